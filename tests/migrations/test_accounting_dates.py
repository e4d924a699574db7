"""What fell due before transfers had accounting dates counts on the day it did; a time-out is told from a void."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from ledger import Book, GrantOrder, Ledger, Verb, audit, sweep
from ledger.testing import NOON, authorize, capture, fund, order, set_clock, void
from migrations.upgrade import upgrade
from tests.conftest import Database
from tests.ledger.conftest import make_book

pytestmark = pytest.mark.own_database("changes the schema or its rights")

# What the revision has made, unmade: time-outs were voids, and points could be paid to a lot that was dead.
BEFORE = """
UPDATE ledger.transfer SET verb = 8, occurred_at = posted_at WHERE verb = 16;
UPDATE ledger.transfer SET posted_at = timestamptz '2030-03-04 12:00Z' WHERE event_key = $1;
ALTER TABLE ledger.transfer DROP COLUMN due_on;
DELETE FROM ledger.customer_state WHERE customer = 11;
UPDATE ledger.customer_state SET hold_until = 'infinity' WHERE customer = 10;
UPDATE rewards.alembic_version SET version_num = '0028'
"""


LATER = datetime(2030, 6, 1, 12, tzinfo=UTC)


def a_review(book: Book, customer: int, **fields: Any) -> GrantOrder:
    """A review that somebody has to approve."""
    told: dict[str, Any] = {"message_id": "review", "due_at": LATER}
    return order(book, customer=customer, held_back=True, **told | fields)


async def test_what_fell_due_before_counts_on_the_day_it_did(
    ledger: Ledger, database: Database, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any]
) -> None:
    book = await make_book(owner)
    january, february = date(2030, 1, 31), date(2030, 2, 28)
    await ledger.fund(fund(book, 1_000))
    await ledger.grant(order(book, points=30, expires_on=january))
    await ledger.grant(order(book, customer=8, points=20, expires_on=february))
    holds = [await ledger.redeem(authorize(book, 7, points, hold_s=86_400)) for points in (3, 4, 5)]
    timed_out, voided, captured = [each.redemption.redemption for each in holds if each.redemption]
    await ledger.redeem(void(book, voided))
    await ledger.redeem(capture(book, captured, 1))
    await ledger.merge(book, loser=7, survivor=10)
    await ledger.grant_batch([a_review(book, 10, former=(7,)), a_review(book, 11)])
    late = order(book, customer=9, points=5, expires_on=february)
    await ledger.grant(late)
    await set_clock(owner, book, datetime(2030, 3, 5, 12, tzinfo=UTC))
    while await sweep(worker_pool, book):
        pass
    await ledger.grant(a_review(book, 10, former=(7,), message_id="later", due_at=LATER + timedelta(days=1)))
    for statement in BEFORE.split(";"):
        await owner.execute(statement.replace("$1", f"'\\x{late.key.hex()}'"))
    columns = "SELECT to_jsonb(transfer) - 'due_on' FROM ledger.transfer ORDER BY seq"
    before = await owner.fetch(columns)

    assert await upgrade(database.owner_url, revision="0029") is True
    # What came in between is there already, and stays.
    await owner.execute("UPDATE rewards.alembic_version SET version_num = '0033'")
    assert await upgrade(database.owner_url, revision="0034") is True

    assert await owner.fetch(columns) == before
    assert [each for each in await audit(owner, book) if each.violations] == []
    transfers = await ledger.transfers(book, after=0, cut=100, limit=100)
    due = [(each.verb, each.amount, each.accounting_date) for each in transfers if each.verb in (Verb.TIME_OUT, Verb.EXPIRE)]
    assert due == [
        (Verb.TIME_OUT, 3, (NOON + timedelta(days=1)).date()),
        (Verb.EXPIRE, 29, january),
        (Verb.EXPIRE, 20, february),
        # They were paid when their lot was dead.
        (Verb.EXPIRE, 5, date(2030, 3, 4)),
    ]
    voids = [(each.amount, each.accounting_date) for each in transfers if each.verb is Verb.VOID]
    assert voids == [(4, NOON.date()), (4, NOON.date())]
    redemption = await ledger.redemption(book, timed_out)
    assert redemption
    assert [each.verb for each in redemption.operations] == ["authorize", "void"]
    # What was held back falls due with the wallet from now on.
    await set_clock(owner, book, LATER)
    assert [(await ledger.balance(book, customer)).pending for customer in (10, 11)] == [5, 0]
