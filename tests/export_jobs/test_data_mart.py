"""The data mart: each business date once, without gaps, and a star that adds up to the ledger."""

# Arrow comes without types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import duckdb
import msgspec
import pyarrow.parquet as pq
import pytest

from ledger import Cut, GrantOutcome
from service.export_jobs.making import book_at_cut
from service.export_jobs.mart import facts
from service.exports import bundle
from service.settings import SettingsError, load
from service.storage.database import READER_ROLE, create_engine, create_pool
from tests.api_fixtures import Api
from tests.export_jobs.conftest import ExportWorker, Mart, look
from tests.links.campaigns import make_campaign
from tests.links.conftest import Links

FILES = ["dim_campaign", "dim_customer", "fact_event", "fact_link", "fact_transfer"]


def sql(query: str, *directories: Path) -> list[tuple[Any, ...]]:
    """What DuckDB answers of the files of some days together."""
    with duckdb.connect() as database:
        for name in FILES:
            paths = [str(directory / f"{name}.parquet") for directory in directories]
            database.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({paths})")
        return database.execute(query).fetchall()


async def today(api: Api) -> date:
    """The business date by the brand's clock."""
    clock = await api.services.ledger.clock(api.brand.book)
    return api.brand.calendar.day(clock.at(datetime.now(UTC)))


async def advance(api: Api, days: int) -> None:
    answer = await api.client("admin").post("/v1/test/clock/advance", json={"seconds": days * 86_400})
    assert answer.status_code == 200, answer.text


async def jobs(api: Api) -> list[Any]:
    """The brand's exports, oldest first."""
    answer = await api.client("finance").get("/v1/exports")
    return list(reversed(answer.json()["items"]))


@pytest.fixture
async def links(api: Api) -> Links:
    """The campaign ``autumn``, at noon of tomorrow: no test is to be at midnight."""
    noon = datetime.combine(await today(api), time(12), UTC) + timedelta(days=1)
    moved = await api.client("admin").post("/v1/test/clock/advance", json={"to": noon.isoformat()})
    assert moved.status_code == 200, moved.text
    await make_campaign(api.client("admin"))
    return Links(api)


async def click(links: Links, customer: str, **changed: Any) -> Any:
    """Report a click."""
    item = {"campaign": "autumn", "message_id": "newsletter-0412", "action": "click", "channel": "email"}
    answer = await links.api.client("messaging").post("/v1/grants", json=item | {"customer": {"id": customer}} | changed)
    assert answer.status_code in {200, 201}, answer.text
    return answer.json()


async def a_day(links: Links) -> date:
    """Three offers, one of which is paid."""
    await links.mint(*(links.item(customer) for customer in ("C-1", "C-2", "C-3")))
    assert (await click(links, "C-1"))["outcome"] == "granted"
    return await today(links.api)


@pytest.fixture
async def refused(links: Links, owner: asyncpg.Connection[Any]) -> None:
    """The campaign has points for one click."""
    budget = await owner.fetchval("SELECT id FROM ledger.account WHERE kind = 5")
    await owner.execute("UPDATE ledger.account SET debits = credits - 25 WHERE id = $1", budget)


@pytest.mark.usefixtures("refused")
async def test_a_star_has_offers_decisions_and_transfers(links: Links, export_worker: ExportWorker, schedule: Mart) -> None:
    api = links.api
    day = await a_day(links)
    assert (await click(links, "C-2"))["reason"] == "budget_exhausted"
    await advance(api, 1)
    assert await schedule() == 1
    assert await export_worker.work() == 1
    [job] = await jobs(api)
    assert (job["status"], job["formats"], job["business_date"]) == ("done", ["mart"], str(day))
    assert [file["name"] for file in job["files"]] == [*(f"{name}.parquet" for name in FILES), "manifest.json"]
    directory = api.settings.exports_path / job["id"]
    decided = sql("SELECT outcome, points, channel, grade, business_date FROM fact_event ORDER BY decided_at", directory)
    assert decided == [("granted", 25, "email", "A", day), ("budget_exhausted", 0, "email", "A", day)]
    hours = """
        SELECT bool_and(
            occurred_weekday = isodow(occurred_at AT TIME ZONE 'Europe/Berlin')
            AND occurred_hour = hour(occurred_at AT TIME ZONE 'Europe/Berlin')
        ) FROM fact_event
    """
    assert sql(hours, directory) == [(True,)]
    offers = """
        SELECT outcome, count(*) FROM fact_link LEFT JOIN fact_event USING (grant_id) GROUP BY outcome ORDER BY outcome
    """
    assert dict(sql(offers, directory)) == {"budget_exhausted": 1, "granted": 1, None: 1}
    paid = "SELECT verb, debit_kind, credit_kind, amount FROM fact_transfer JOIN fact_event USING (grant_id)"
    assert sql(paid, directory) == [("grant", "budget", "lot", 25)]
    assert sql("SELECT count(*) FROM dim_customer JOIN fact_link USING (customer)", directory) == [(3,)]
    named = "SELECT DISTINCT name, account_class FROM fact_event JOIN dim_campaign USING (campaign_no)"
    assert sql(named, directory) == [("Autumn thank-you", "engagement")]


async def test_links_are_there_once_each_in_order_however_far_apart_they_were_minted(
    links: Links, owner: asyncpg.Connection[Any], export_worker: ExportWorker, schedule: Mart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "LINKS_AT_ONCE", 2)
    api = links.api
    minutes = (0, 0, 0, 0, 0, 1, 2, 5, 6, 6, 6, 21, 22, 70, 70, 70, 300)
    await links.mint(*(links.item(f"C-{n}") for n in range(len(minutes))))
    await owner.execute(
        """
        UPDATE rewards.link SET minted_at = minted_at - make_interval(mins => minutes.before)
        FROM unnest($1::integer[]) WITH ORDINALITY AS minutes (before, n)
        JOIN (SELECT link_id, row_number() OVER (ORDER BY link_id) AS n FROM rewards.link) AS numbered USING (n)
        WHERE link.link_id = numbered.link_id
        """,
        minutes,
    )
    minted = await owner.fetch(
        "SELECT minted_at, 'grt_' || encode(link_id, 'hex') FROM rewards.link ORDER BY minted_at, link_id"
    )
    await advance(api, 1)
    await schedule()
    await export_worker.work()
    [job] = await jobs(api)
    told = pq.read_table(api.settings.exports_path / job["id"] / "fact_link.parquet").to_pylist()
    assert [(row["minted_at"], row["grant_id"]) for row in told] == [tuple(row) for row in minted]


async def test_days_follow_each_other_without_gaps_and_add_up_to_the_ledger(
    links: Links, export_worker: ExportWorker, schedule: Mart
) -> None:
    api = links.api
    first = await a_day(links)
    assert await schedule() == 0, "the day is not over"
    await advance(api, 3)
    await click(links, "C-1", message_id="another")
    assert await schedule() == 1
    assert await schedule() == 0, "the first is not done"
    for _ in range(2):
        await export_worker.work()
        assert await schedule() == 1
    await export_worker.work()
    assert await schedule() == 0, "today is not over"
    await advance(api, 1)
    assert await schedule() == 1
    await export_worker.work()
    made = await jobs(api)
    assert [job["business_date"] for job in made] == [str(first + timedelta(days=number)) for number in range(4)]
    assert [(job["from"]["seq"], job["to"]["seq"]) for job in made] == [(0, 2), (2, 2), (2, 2), (2, 3)]
    directories = [api.settings.exports_path / job["id"] for job in made]
    balance = await api.services.ledger.trial_balance(api.brand.book, Cut("", 3, datetime.now(UTC)))
    kinds = """
        SELECT kind, sum(points)::bigint FROM (
            SELECT credit_kind AS kind, amount AS points FROM fact_transfer
            UNION ALL SELECT debit_kind, -amount FROM fact_transfer
        ) GROUP BY kind
    """
    assert dict(sql(kinds, *directories)) == {line.kind: line.balance for line in balance.lines}


async def test_a_day_made_again_has_the_same_bytes(
    links: Links, export_worker: ExportWorker, schedule: Mart, tmp_path: Path
) -> None:
    api = links.api
    day = await a_day(links)
    await advance(api, 1)
    await schedule()
    await export_worker.work()
    [job] = await jobs(api)
    await click(links, "C-3")
    await links.mint(links.item("C-4"))
    engine = create_engine(api.settings.database_url, READER_ROLE)
    pool = await create_pool(api.settings.database_url, READER_ROLE, size=2)
    ledger = api.services.ledger
    begin, end = (
        await ledger.cut_before_day(api.brand.book, day),
        await ledger.cut_before_day(api.brand.book, day + timedelta(1)),
    )
    book = await book_at_cut(pool, engine, api.brand, end, since=begin)
    await bundle.write(
        msgspec.structs.replace(book, copied_rows=1), facts.writers_of_day(facts.Day(day, day)), tmp_path / "again"
    )
    pool.terminate()
    await engine.dispose()
    for file in (tmp_path / "again").iterdir():
        assert file.read_bytes() == (api.settings.exports_path / job["id"] / file.name).read_bytes(), file.name


async def test_a_day_that_failed_is_made_again_before_the_next(
    links: Links, export_worker: ExportWorker, schedule: Mart, owner: asyncpg.Connection[Any]
) -> None:
    api = links.api
    day = await a_day(links)
    await advance(api, 2)
    await schedule()
    await export_worker.work(exports_bytes=10)
    [failed] = await jobs(api)
    assert failed["status"] == "failed"
    assert await schedule() == 0
    await owner.execute("UPDATE rewards.export_job SET ended_at = ended_at - interval '2 hours'")
    assert await schedule() == 1
    again = (await jobs(api))[-1]
    assert again["business_date"] == str(day)
    await export_worker.work()
    assert (await look(api, again))["status"] == "done"
    assert await schedule() == 1


async def test_the_mart_begins_when_the_operator_says(links: Links, schedule: Mart) -> None:
    day = await a_day(links)
    await advance(links.api, 3)
    assert await schedule("") == 0
    assert await schedule("2999-01-01") == 0
    assert await schedule(str(day + timedelta(days=2))) == 1
    assert [job["business_date"] for job in await jobs(links.api)] == [str(day + timedelta(days=2))]
    with pytest.raises(SettingsError, match="REWARDS_DATA_MART_SINCE is 'soon'"):
        load({"REWARDS_DATA_MART_SINCE": "soon"})


def test_outcomes_are_numbered_from_one_without_holes() -> None:
    assert sorted(GrantOutcome) == list(range(1, len(GrantOutcome) + 1))


def test_the_page_names_every_column() -> None:
    page = (Path(__file__).parents[2] / "docs/data-mart.md").read_text()
    for schema in (facts.TRANSFER, facts.EVENT, facts.LINK, facts.CAMPAIGN, facts.CUSTOMER):
        for name in schema.names:
            assert f"`{name}`" in page, name
