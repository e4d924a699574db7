"""Who was merged before splits were known can be split off, too."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from ledger import GrantOutcome, Ledger, SplitOutcome, audit
from ledger.testing import authorize, capture, fund, order
from migrations.upgrade import upgrade
from tests.conftest import Database
from tests.ledger.conftest import make_book

pytestmark = pytest.mark.own_database("changes the schema or its rights")

ADA, BOB, CLEO, DORA, EVE = 7, 8, 9, 10, 11

# What the revision has made, unmade.
BEFORE = """
DROP TABLE ledger.spell, ledger.brought, rewards.parted;
ALTER TABLE ledger.customer_state DROP COLUMN generation;
ALTER TABLE rewards.customer DROP COLUMN generation, DROP COLUMN parted;
DROP SEQUENCE rewards.customer_generation;
UPDATE rewards.alembic_version SET version_num = '0010'
"""


async def test_merges_of_before_are_kept_and_can_be_undone(
    ledger: Ledger, database: Database, owner: asyncpg.Connection[Any]
) -> None:
    book = await make_book(owner)
    await ledger.fund(fund(book, 1_000))
    for customer in (ADA, BOB, CLEO, DORA):
        await ledger.grant(order(book, customer=customer, points=customer))
    held = await ledger.redeem(authorize(book, ADA, 2))
    assert held.redemption
    await ledger.merge(book, loser=ADA, survivor=BOB)
    await ledger.redeem(capture(book, held.redemption.redemption, 1, final=False))
    await ledger.merge(book, loser=BOB, survivor=CLEO)
    await ledger.merge(book, loser=EVE, survivor=DORA)
    await ledger.grant(order(book, customer=CLEO, former=(ADA, BOB), message_id="meanwhile"))
    before = await ledger.redemption(book, held.redemption.redemption)
    first = await owner.fetchval(
        "INSERT INTO rewards.customer (brand_id, book_id, confirmed) VALUES (1, 1, true) RETURNING customer"
    )
    await owner.execute(
        "INSERT INTO rewards.customer (brand_id, book_id, confirmed, merged_into) VALUES (1, 1, true, $1)", first
    )
    await owner.execute("UPDATE rewards.customer SET absorbed = 1 WHERE customer = $1", first)
    await owner.execute(BEFORE)

    # What came later is there already, and stays.
    assert await upgrade(database.owner_url, revision="0011") is True

    assert [each for each in await audit(owner, book) if each.violations] == []
    generations = (
        "SELECT array_agg(generation ORDER BY customer) FROM ledger.customer_state WHERE customer IN (7, 8, 9, 10, 11)"
    )
    assert await owner.fetchval(generations) == [1, 1, 2, 1, 1]
    assert await owner.fetchval("SELECT array_agg(generation) FROM rewards.customer") == [1, 1]
    assert await owner.fetchval("SELECT nextval('rewards.customer_generation')") == 16
    # The function of before looked at a row of merges: what was done on the redemption by Bob is found by its owner of now.
    after = await ledger.redemption(book, held.redemption.redemption)
    assert before
    assert after
    assert after.operations[0] == before.operations[0]
    # A merge of before is a replay.
    again = await ledger.merge(book, loser=EVE, survivor=DORA)
    assert (again.replayed, again.points) == (True, 0)
    split = await ledger.split(book, customer=ADA, survivor=CLEO)
    assert (split.outcome, split.points) == (SplitOutcome.SPLIT, ADA - 2)
    late = order(book, customer=ADA, past=(BOB, CLEO), generation=2, message_id="meanwhile")
    told = await ledger.grant(late)
    assert (told.outcome, told.replayed) == (GrantOutcome.GRANTED, True)
    assert (await ledger.split(book, customer=EVE, survivor=DORA)).outcome is SplitOutcome.SPLIT
    assert [each for each in await audit(owner, book) if each.violations] == []
