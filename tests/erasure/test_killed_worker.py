"""`rewards worker` is killed with -9 in the middle of an erasure. The next one goes on, and what is done is done once."""

from __future__ import annotations

from typing import Any

import asyncpg
import httpx
import pytest

from ledger import erase_customer
from tests.api_fixtures import Api
from tests.conftest import Database
from tests.erasure.conftest import ADA, BOB, Erase, Owner, Who, approve, ask, live, report
from tests.erasure.test_erasing import everything, named_in
from tests.ledger.conftest import assert_books_are_sound
from tests.real_worker import real_worker, until_waiting

pytestmark = pytest.mark.usefixtures("campaign")

STEPS = {
    "in the book": ("SELECT FROM ledger.head FOR UPDATE", "erase_customer_v1"),
    "in the look-ups": ("SELECT FROM rewards.identity FOR UPDATE", "rewards.erase_customer_v1"),
    "in the details": ("SELECT FROM ledger.event FOR UPDATE", "erase_details_v1"),
    "in the answers": ("SELECT FROM ledger.idempotency_key FOR UPDATE", "erase_answers_v1"),
    "in the clicks": ("SELECT FROM rewards.touch FOR UPDATE", "rewards.touch"),
}


@pytest.mark.own_database("a worker in another process works on it")
@pytest.mark.parametrize(("lock", "function"), STEPS.values(), ids=STEPS)
async def test_what_was_begun_is_finished_by_the_next(
    api: Api, owner: Owner, database: Database, checker: httpx.AsyncClient, erase: Erase, lock: str, function: str
) -> None:
    await live(api, ADA)
    await live(api, BOB)
    of_bob = named_in(await everything(owner), BOB)
    await approve(checker, (await ask(api, ADA, forfeit_points="true")).json())
    holder = await asyncpg.connect(database.owner_url)
    async with holder.transaction():
        await holder.execute(lock)
        with real_worker(api.settings) as worker:
            await until_waiting(owner, function, worker)
            worker.kill()
    await holder.close()
    await owner.execute("UPDATE rewards.erasure SET erases_at = least(erases_at, now())")
    for _ in range(2):
        await erase()
    rows = await owner.fetch("SELECT state, points FROM rewards.erasure")
    assert [tuple(row) for row in rows] == [("erased", 65)]
    after = await everything(owner)
    assert (named_in(after, ADA), named_in(after, BOB)) == ({}, of_bob)
    assert await owner.fetchval("SELECT sum(amount) FROM ledger.transfer WHERE verb = 17") == 65
    await assert_books_are_sound(owner)


@pytest.mark.parametrize(("survivor", "merged"), [(ADA, BOB), (BOB, ADA)], ids=["into them", "into somebody else"])
async def test_who_is_merged_while_nobody_goes_on_is_erased_with_all_their_points(
    api: Api, owner: Owner, worker_pool: asyncpg.Pool[Any], checker: httpx.AsyncClient, erase: Erase, survivor: Who, merged: Who
) -> None:
    for who in (ADA, BOB):
        (await report(api, who, "mail-1", customer={"id": who.id})).raise_for_status()
    await approve(checker, (await ask(api, ADA, forfeit_points="true")).json())
    # So far it came in the book, and was killed.
    await erase_customer(worker_pool, api.brand.book, [1])
    path = f"/v1/customers/{survivor.id}/merge"
    (await api.client("admin").post(path, json={"from": {"id": merged.id}})).raise_for_status()
    assert await erase() == 1
    assert tuple(await owner.fetchrow("SELECT state, points FROM rewards.erasure") or ()) == ("erased", 200)
    assert await owner.fetchval("SELECT sum(amount) FROM ledger.transfer WHERE verb = 17") == 200
    left = "SELECT count(*) FROM ledger.customer_state WHERE NOT erased"
    assert await owner.fetchval(left) == 0
    assert (await report(api, BOB, "mail-2")).json()["code"] == "customer_erased"
    await assert_books_are_sound(owner)
