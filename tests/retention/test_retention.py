"""What is past its time goes; what is a day younger stays; a worker that is killed leaves the rest to the next."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from service.erasure.scope import KEPT, NUMBERS
from service.erasure.scope import TABLES as ERASED
from service.link_pages.deferred_claims import DeferredClaims
from service.retention.kinds import KINDS, TABLES
from service.retention.retention_keeper import RetentionKeeper
from service.settings import DAYS_MIN, Settings, SettingsError, load
from service.storage.database import WORKER_ROLE, create_engine
from service.storage.spool import Spool
from service.storage.spool_files import ASIDE
from service.storage.spool_records import frame
from tests.api_fixtures import Api
from tests.conftest import Database
from tests.erasure.conftest import ADA, BOB, Owner, campaign, live, redeem, report
from tests.erasure.test_dead_letters import SETTLEMENT, act_of
from tests.erasure.test_erasing import everything, named_in
from tests.ledger.conftest import assert_books_are_sound
from tests.real_worker import real_worker, until_waiting

__all__ = ["campaign"]

pytestmark = pytest.mark.usefixtures("campaign")

PAGE = (Path(__file__).parents[2] / "docs/privacy.md").read_text()
DAY = timedelta(days=1)


@pytest.fixture
async def forget(api: Api, database: Database, worker_pool: asyncpg.Pool[Any]) -> Any:
    """Run the agent until it finds nothing to do, at a time; everything is kept for as short a time as is allowed."""
    engine = create_engine(database.application_url, WORKER_ROLE, size=1)

    async def run(now: datetime, **days: int) -> int:
        kept = {name: days.get(name, 0) for name in DAYS_MIN}
        keeper = RetentionKeeper(msgspec.structs.replace(api.settings, **kept), worker_pool, engine)
        done = 0
        while more := await keeper.run_once(now):
            done += more
        return done

    yield run
    await engine.dispose()


async def days_later(api: Api, days: int) -> None:
    (await api.client("admin").post("/v1/test/clock/advance", json={"seconds": days * 86_400})).raise_for_status()


def test_every_table_that_has_more_than_numbers_says_how_long_it_is_kept() -> None:
    personal = {name for name, said in ERASED.items() if said not in (KEPT, NUMBERS)}
    assert personal == TABLES.keys()


def test_every_kind_is_a_setting_and_is_on_the_page() -> None:
    settings = {name for name in Settings.__struct_fields__ if name.endswith("_days") and name != "erasure_notice_days"}
    assert settings == {kind.setting for kind in KINDS.values()}
    assert all(kind.row(name.replace("_", " ")) in PAGE for name, kind in KINDS.items())


@pytest.mark.parametrize(("name", "shortest"), DAYS_MIN.items())
def test_a_time_that_is_too_short_is_refused_by_name(name: str, shortest: int) -> None:
    variable = f"REWARDS_{name.upper()}"
    assert getattr(load({variable: "0"}), name) == 0
    assert getattr(load({variable: str(shortest)}), name) == shortest
    with pytest.raises(SettingsError, match=f"{variable} is '{shortest - 1}': it must be 0, .* or at least {shortest}"):
        load({variable: str(shortest - 1)})


async def test_details_go_after_their_time_and_the_books_prove_what_they_proved(api: Api, owner: Owner, forget: Any) -> None:
    await live(api, ADA)
    await days_later(api, 1)
    await live(api, BOB)
    of_bob = named_in(await everything(owner), BOB)
    hashes = await owner.fetch("SELECT seq, details_hash FROM ledger.transfer ORDER BY seq")
    until = await owner.fetchval("SELECT posted_at FROM ledger.head") + timedelta(days=366) - timedelta(hours=12)
    assert await forget(until, details_days=366) == 1
    after = await everything(owner)
    found = named_in(after, ADA)
    # Answers have a time of their own, and what waits for evidence keeps its details.
    assert {table for table in found if table.startswith("ledger.")} == {"ledger.event", "ledger.idempotency_key"}, found
    texts = await owner.fetch("SELECT message_id, metadata FROM ledger.event WHERE customer = 1 AND outcome <> 4")
    assert {tuple(row) for row in texts} == {(None, None)}
    assert named_in(after, BOB) == of_bob
    assert await owner.fetch("SELECT seq, details_hash FROM ledger.transfer ORDER BY seq") == hashes
    await assert_books_are_sound(owner)
    assert await forget(until, details_days=366) == 0
    await forget(until + DAY, details_days=366)
    assert await owner.fetchval("SELECT count(*) FROM ledger.event WHERE message_id IS NOT NULL AND outcome <> 4") == 0
    await assert_books_are_sound(owner)


async def test_what_waits_or_is_held_back_keeps_its_details_and_is_still_decided(api: Api, owner: Owner, forget: Any) -> None:
    (await report(api, ADA, "mail-1", "open", evidence="D")).raise_for_status()
    held = (await report(api, ADA, "mail-2", "reply")).json()
    await forget(datetime.now(UTC) + timedelta(days=400), details_days=366)
    assert await owner.fetchval("SELECT count(*) FROM ledger.event WHERE salt IS NULL") == 0
    matured = await api.client("approver").post(f"/v1/grants/{held['grant_id']}/mature")
    assert matured.status_code == 201, matured.text
    (await report(api, ADA, "mail-1", "click")).raise_for_status()
    assert (await api.client("admin").get(f"/v1/customers/{ADA.id}/balance")).json()["balance"] == 151
    await assert_books_are_sound(owner)


async def test_answers_go_after_their_time(api: Api, owner: Owner, forget: Any) -> None:
    (await report(api, ADA, "mail-1")).raise_for_status()
    await redeem(api, ADA, 10, "key-1", capture=True)
    kept = await owner.fetchval("SELECT max(kept_at) FROM ledger.idempotency_key")
    await forget(kept + timedelta(days=30) - timedelta(seconds=1), answers_days=30)
    assert (await redeem(api, ADA, 10, "key-1", capture=True))["balance"] == 90
    await forget(kept + timedelta(days=30, seconds=1), answers_days=30)
    assert await owner.fetchval("SELECT count(*) FROM ledger.idempotency_key") == 0
    await assert_books_are_sound(owner)


AGED = {
    "links": ("rewards.link", "minted_at = minted_at - $1::interval, expires_at = expires_at - $1::interval", "customer"),
    "consent_texts": ("rewards.consent", "recorded_at = recorded_at - $1::interval", "customer"),
    "approvals": ("rewards.approval", "asked_at = asked_at - $1::interval", "customer"),
    "looks": ("rewards.audit_trail", "happened_at = happened_at - $1::interval", "subject"),
}
LEFT: Mapping[str, str] = {
    "links": "SELECT customer FROM rewards.link ORDER BY customer",
    "consent_texts": "SELECT customer FROM rewards.consent WHERE source LIKE 'form of %' ORDER BY customer",
    "approvals": "SELECT customer FROM rewards.approval WHERE body <> '{}' ORDER BY customer",
    "looks": "SELECT right(subject, 1)::bigint FROM rewards.audit_trail WHERE act = 'customer.look' ORDER BY subject",
}


@pytest.mark.parametrize("kind", AGED)
async def test_of_a_kind_what_is_past_its_time_goes_and_what_is_a_day_younger_stays(
    api: Api, owner: Owner, forget: Any, kind: str
) -> None:
    for who in (ADA, BOB):
        await live(api, who)
        await two_people(owner, 1 if who is ADA else 2)
    table, aging, by = AGED[kind]
    days = DAYS_MIN[f"{kind}_days"]
    if kind == "links":
        await owner.execute("UPDATE rewards.link SET expires_at = minted_at + interval '1 minute'")
    of_ada, of_bob = (1, 2) if by == "customer" else ("cus_1", "cus_2")
    for who, age in ((of_ada, timedelta(days=days, hours=1)), (of_bob, timedelta(days=days - 1))):
        await owner.execute(f"UPDATE {table} SET {aging} WHERE {by} = $2", age, who)
    if kind == "looks":  # entries come in the order of time
        await owner.execute(
            "UPDATE rewards.audit_trail SET happened_at = happened_at - interval '3 years'"
            " WHERE entry_no < (SELECT entry_no FROM rewards.audit_trail WHERE subject = 'cus_1' AND act = 'customer.look')"
        )
    trail = await owner.fetchval("SELECT count(*) FROM rewards.audit_trail WHERE act <> 'customer.look'")
    await forget(datetime.now(UTC), **{f"{kind}_days": days})
    assert [row[0] for row in await owner.fetch(LEFT[kind])] == [2]
    assert await owner.fetchval("SELECT count(*) FROM rewards.audit_trail WHERE act <> 'customer.look'") == trail
    assert await forget(datetime.now(UTC), **{f"{kind}_days": days}) == 0


async def two_people(owner: Owner, customer: int) -> None:
    """Somebody who looks at a customer, and an approval for them that was decided."""
    await owner.execute(
        """
        INSERT INTO rewards.audit_trail (brand_id, api_key_id, act, subject)
        VALUES (1, 1, 'customer.look', 'cus_' || $1::bigint)
        """,
        customer,
    )
    await owner.execute(
        """
        INSERT INTO rewards.approval (
            brand_id, kind, subject, body, digest, amount, customer, key, request_key, exceeds, asked_by, expires_at, decision,
            decided_at, note
        ) VALUES (1, 'adjustment', 's', '{"note": "n"}', $2, 1, $1, 'k', $2, 'x', 1, now(), 'declined', now(), 'n')
        """,
        customer,
        hashlib.sha256(str(customer).encode()).digest(),
    )


async def test_nobody_removes_a_look_of_the_last_year(owner: Owner, worker_pool: asyncpg.Pool[Any]) -> None:
    await two_people(owner, 1)
    await worker_pool.fetchval("SELECT rewards.forget_looks_v1(0, 'infinity', 1000)")
    assert await owner.fetchval("SELECT count(*) FROM rewards.audit_trail WHERE act = 'customer.look'") == 1


async def test_dead_letters_go_after_their_time(tmp_path: Path) -> None:
    (tmp_path / ASIDE).write_bytes(frame(act_of(7)) + frame(b"nobody can read this"))
    late = DeferredClaims(Spool(tmp_path, bytes_max=1_000_000))
    kept = msgspec.structs.replace(SETTLEMENT, keeps=timedelta(days=30))
    await late.forget_old(kept, datetime.now(UTC) + timedelta(days=29))
    assert b"mail-of-7" in (tmp_path / ASIDE).read_bytes()
    await late.forget_old(SETTLEMENT, datetime.now(UTC) + timedelta(days=400))
    assert b"mail-of-7" in (tmp_path / ASIDE).read_bytes()
    await late.forget_old(kept, datetime.now(UTC) + timedelta(days=31))
    left = (tmp_path / ASIDE).read_bytes()
    assert b"mail-of-7" not in left
    assert b"nobody can read this" in left


@pytest.mark.own_database("a worker in another process works on it")
async def test_a_worker_that_is_killed_leaves_the_rest_to_the_next(
    api: Api, owner: Owner, database: Database, forget: Any
) -> None:
    await live(api, ADA)
    await live(api, BOB)
    for who in (1, 2):
        await two_people(owner, who)
    await owner.execute("UPDATE rewards.audit_trail SET happened_at = happened_at - interval '2000 days'")
    holder = await asyncpg.connect(database.owner_url)
    async with holder.transaction():
        await holder.execute("SELECT FROM rewards.audit_trail FOR UPDATE")
        with real_worker(api.settings) as worker:
            await until_waiting(owner, "forget_looks_v1", worker)
            worker.kill()
    await holder.close()
    # The database may have finished what the worker asked for; nobody has stored how far that came.
    assert await owner.fetchval("SELECT count(*) FROM rewards.retention") == 0
    await forget(datetime.now(UTC), looks_days=365)
    assert await owner.fetchval("SELECT count(*) FROM rewards.audit_trail WHERE act = 'customer.look'") == 0
    last = await owner.fetchval("SELECT max(entry_no) FROM rewards.audit_trail")
    assert await owner.fetchval("SELECT reached FROM rewards.retention WHERE kind = 'looks'") >= last
    await assert_books_are_sound(owner)
