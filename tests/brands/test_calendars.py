"""Which day it is: the database says, for what is due as for what is capped, and nobody else is asked."""

from __future__ import annotations

import zoneinfo
from collections.abc import Generator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ledger import month_end, read_calendar
from service.brands import calendars
from tests.api_fixtures import Api, make_brand
from tests.grants.test_grants_api import CAMPAIGN, CLICK

ZONES = [
    *("Europe/Berlin", "America/Vancouver", "America/Sao_Paulo", "Africa/Casablanca"),
    *("Australia/Lord_Howe", "Asia/Kathmandu", "UTC"),
]
FROM, UNTIL = datetime(2024, 1, 1, tzinfo=UTC), datetime(2038, 1, 1, tzinfo=UTC)
_MIDNIGHTS = """
SELECT
    beginning.at, (beginning.at AT TIME ZONE $1)::date AS day,
    ((beginning.at - interval '1 microsecond') AT TIME ZONE $1)::date AS day_before
FROM generate_series($2::timestamptz, $3, interval '1 day') AS sample
CROSS JOIN LATERAL (SELECT (sample AT TIME ZONE $1)::date::timestamp AT TIME ZONE $1 AS at) AS beginning
"""


@pytest.mark.parametrize("zone", ZONES)
async def test_a_day_begins_when_it_does_for_the_database(owner: asyncpg.Connection[Any], zone: str) -> None:
    calendar = await read_calendar(owner, zone)
    midnights = await owner.fetch(_MIDNIGHTS, zone, FROM, UNTIL)
    assert len(midnights) > 5_000
    for at, day, day_before in midnights:
        assert (calendar.day(at), calendar.day(at - timedelta(microseconds=1))) == (day, day_before), at


@pytest.fixture
def other_zones(tmp_path: Path) -> Generator[None]:
    """A machine that takes every day in Berlin to begin as early as in Tokyo: its rules are newer, or older."""
    (tmp_path / "Europe").mkdir()
    tokyo = next(place for each in zoneinfo.TZPATH if (place := Path(each) / "Asia" / "Tokyo").is_file())
    (tmp_path / "Europe" / "Berlin").write_bytes(tokyo.read_bytes())
    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath(to=[str(tmp_path), *before])
    zoneinfo.ZoneInfo.clear_cache()
    yield
    zoneinfo.reset_tzpath(to=before)
    zoneinfo.ZoneInfo.clear_cache()


@pytest.mark.usefixtures("other_zones")
async def test_caps_last_days_and_what_is_due_agree_whatever_the_machine_knows_of_zones(
    api: Api, owner: asyncpg.Connection[Any]
) -> None:
    year = datetime.now(UTC).year + 1
    five_in_the_afternoon = datetime(year, 1, 31, 16, tzinfo=UTC)
    assert five_in_the_afternoon.astimezone(zoneinfo.ZoneInfo("Europe/Berlin")).month == 2, "so this machine says"
    terms = CAMPAIGN | {"expires_after_months": 1, "caps": [{"per": "customer", "window": "month", "max_grants": 1}]}
    (await api.client("admin").post("/v1/campaigns", json=terms)).raise_for_status()
    advance = {"to": five_in_the_afternoon.isoformat()}
    (await api.client("admin").post("/v1/test/clock/advance", json=advance)).raise_for_status()
    answer = (await api.client("messaging").post("/v1/grants", json=CLICK)).json()
    assert answer["outcome"] == "granted"
    (lot,) = (await api.client("storefront").get("/v1/customers/c-1/balance")).json()["lots"]
    assert lot["expires_on"] == str(month_end(date(year, 1, 31), 1))
    assert str(await owner.fetchval("SELECT period FROM ledger.cap_use")) == f"{year}-01-01"


async def test_a_brand_is_known_with_its_calendar(owner: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calendars, "_known", {})
    brand = await make_brand(owner, time_zone="Asia/Kolkata")
    assert brand.calendar.time_zone == "Asia/Kolkata"
    assert brand.calendar.day(datetime(2026, 12, 31, 18, 30, tzinfo=UTC)).year == 2027
