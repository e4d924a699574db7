"""The promise, on the real thing: 20,000 reported events, one in ten twice, the whole file sent twice by four clients at once,
each time to another of two API processes, which share nothing but the database; two workers run beside them.

20,000 are 40 full calls for each of the two senders, each call larger than what a process decides at once, so that both
processes work on the same events all through the file, thousands of customers act, and hundreds of them reach the cap.
``REWARDS_TEST_EVENTS=100000`` sends more.

Every rule pays the same and caps count grants, so what each customer must have follows from the file alone, whatever the order
in which the clients came: the test counts it by itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import httpx
import pytest

from service.storage.embedded_postgres.server import EmbeddedPostgres
from tests import plain_http
from tests.cli import running
from tests.cli.up import Up, second_of_each
from tests.conftest import reachable_directory
from tests.prepared_postgres import prepared_environ

EVENTS = int(os.environ.get("REWARDS_TEST_EVENTS", "20000"))
PAID_BY_SCARCE = EVENTS // 5
POINTS = 5
CAP = 12
CLIENTS_EACH = 2


@pytest.fixture
def up() -> Generator[Up]:
    with reachable_directory() as directory:
        up = Up(prepared_environ(directory / ".rewards"))
        yield up
        up.stop()


@pytest.fixture
def addresses(up: Up) -> Generator[list[str]]:
    """Where the API's processes are."""
    with second_of_each(up) as second:
        yield [up.demo["base_url"], second]


@pytest.mark.slow
def test_every_event_is_paid_exactly_once(up: Up, addresses: list[str], tmp_path: Path, program: Any) -> None:
    hledger = program("hledger")
    budgets = {"generous": EVENTS * POINTS, "scarce": PAID_BY_SCARCE * POINTS + POINTS - 1}
    for campaign, budget in budgets.items():
        _create(up, campaign, budget, cap=CAP if campaign == "generous" else EVENTS)

    files: dict[str, Path] = {}
    for campaign in budgets:
        files[campaign] = tmp_path / f"{campaign}.ndjson"
        share = EVENTS if campaign == "generous" else EVENTS // 4
        made = running.run(
            up.environ, "simulate", "--events", str(share), "--campaign", campaign, "--write", str(files[campaign])
        )
        assert made.returncode == 0, made.stderr
        _send_twice(up, addresses, files[campaign])

    owed = _owed(files["generous"])
    assert min(owed.values()) < CAP * POINTS < max(owed.values()), "the cap must matter, and on more than one day"
    owner_url = EmbeddedPostgres(Path(up.environ["REWARDS_DATA_DIR"]) / "postgres").owner_url
    paid = asyncio.run(_paid(owner_url, "generous"))
    assert sorted(paid.values()) == sorted(owed.values())
    assert sum(asyncio.run(_paid(owner_url, "scarce")).values()) == PAID_BY_SCARCE * POINTS

    finance = httpx.Client(base_url=up.demo["base_url"], headers={"Authorization": f"Bearer {up.demo['keys']['finance']}"})
    for campaign, budget in budgets.items():
        left = finance.get(f"/v1/campaigns/{campaign}").json()["budget"]
        assert left == {"funded": budget, "granted": budget - left["left"], "left": left["left"]}
    assert finance.get("/v1/campaigns/scarce").json()["budget"]["left"] == POINTS - 1
    trial_balance = finance.get("/v1/ledger/trial-balance").json()
    assert trial_balance["debits"] == trial_balance["credits"]

    audit = running.run(up.environ, "audit", "--brand", "demo")
    assert audit.returncode == 0, audit.stdout

    exported = running.run(up.environ, "export", "--brand", "demo", "--out", str(tmp_path / "books"))
    assert exported.returncode == 0, exported.stderr
    books = tmp_path / "books"
    subprocess.run([Path(sys.executable).with_name("bean-check"), books / "journal.beancount"], check=True)
    subprocess.run([hledger, "-f", books / "journal.hledger", "check"], check=True)
    balances = subprocess.run(
        [hledger, "-f", books / "journal.hledger", "balance", "--depth", "2", "--output-format", "csv"],
        check=True,
        capture_output=True,
        text=True,
    )
    liability = next(line for line in balances.stdout.splitlines() if "Liabilities:PointsProvision" in line)
    api_liability = sum(each["balance"] for each in trial_balance["accounts"] if each["kind"] == "lot")
    assert f"-{api_liability} " in liability.replace(",", " ")


def _create(up: Up, campaign: str, budget: int, *, cap: int) -> None:
    now = datetime.now(UTC)
    body = {
        "id": campaign,
        "name": campaign,
        "starts_at": (now - timedelta(days=7)).isoformat(),
        "ends_at": (now + timedelta(days=7)).isoformat(),
        "budget": budget,
        "rules": [{"action": action, "points": POINTS, "min_evidence": "D"} for action in ("open", "click", "reply")],
        "caps": [{"per": "customer", "window": "day", "max_grants": cap}],
    }
    admin = {"Authorization": f"Bearer {up.demo['keys']['admin']}"}
    plain_http.post(f"{up.demo['base_url']}/v1/campaigns", json=body, headers=admin).raise_for_status()


def _send_twice(up: Up, addresses: list[str], file: Path) -> None:
    """A sender for each API process, with two clients, at the same time: each event comes to both at about the same moment."""
    sending = ("simulate", "--file", str(file), "--concurrency", str(CLIENTS_EACH))
    senders = [running.start(up.environ, *sending, "--base-url", address) for address in addresses]
    for sender in senders:
        said, _ = sender.communicate(timeout=300)
        assert sender.returncode == 0, said


def _owed(file: Path) -> Counter[str]:
    """What each customer of the file must have: her events, each once, up to the cap of each day in the brand's zone."""
    events: set[tuple[str, str, str]] = set()
    days: dict[tuple[str, str], int] = defaultdict(int)
    for line in file.read_text().splitlines():
        event = json.loads(line)
        customer = json.dumps(event["customer"])
        key = (event["message_id"], customer, event["action"])
        if key not in events:
            events.add(key)
            local = datetime.fromisoformat(event["occurred_at"]).astimezone(ZoneInfo("Europe/Berlin"))
            days[customer, local.date().isoformat()] += 1
    owed: Counter[str] = Counter()
    for (customer, _), count in days.items():
        owed[customer] += min(count, CAP) * POINTS
    return owed


async def _paid(owner_url: str, campaign: str) -> dict[int, int]:
    connection = await asyncpg.connect(owner_url)
    try:
        rows = await connection.fetch(
            """
            SELECT transfer.customer, sum(transfer.amount)::bigint AS points
            FROM ledger.transfer
            JOIN rewards.campaign ON campaign.campaign_no = transfer.campaign_no
            WHERE campaign.id = $1 AND transfer.verb = 2
            GROUP BY transfer.customer
            """,
            campaign,
        )
    finally:
        await connection.close()
    return {row["customer"]: row["points"] for row in rows}
