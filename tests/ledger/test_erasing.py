"""Erasing a customer from a book: points are forfeited, details lose what is personal, and the log proves what it proved."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from ledger import (
    Book,
    Erased,
    EraseOutcome,
    GrantOutcome,
    Ledger,
    RedemptionOutcome,
    Verb,
    erase_answers,
    erase_customer,
    erase_details,
)
from ledger.testing import NOON, authorize, capture, fund, order, refund, set_clock, void
from tests.ledger.conftest import spendable

NAMES = ("mail-ada", "ada@example.org", "order-ada", "invoice-ada")
TEXTS = """
SELECT string_agg(said, ' ') FROM (
    SELECT to_jsonb(event)::text AS said FROM ledger.event
    UNION ALL SELECT to_jsonb(redemption)::text FROM ledger.redemption
    UNION ALL SELECT to_jsonb(step)::text FROM ledger.redemption_step AS step
    UNION ALL SELECT to_jsonb(kept)::text FROM ledger.idempotency_key AS kept
) AS told
"""


async def act(ledger: Ledger, book: Book, customer: int, name: str) -> int:
    """A life: points, a purchase that was partly refunded, a refusal, an open that waits. Returns the redemption."""
    await ledger.grant_batch(
        [
            order(book, customer=customer, message_id=f"mail-{name}", points=100, metadata=f'{{"to":"{name}@example.org"}}'),
            order(book, customer=customer, message_id=f"mail-{name}", action="open", waits=True),
            order(book, customer=customer, message_id=f"mail-{name}-2", points=10**6),
        ]
    )
    spent = await ledger.redeem(authorize(book, customer, 50, order_ref=f"order-{name}", store_id="store-1"))
    assert spent.redemption
    await ledger.redeem(capture(book, spent.redemption.redemption, 30, ref=f"invoice-{name}"))
    await ledger.redeem(refund(book, spent.redemption.redemption, 10, ref=f"invoice-{name}-2"))
    return spent.redemption.redemption


@pytest.fixture
async def lived(ledger: Ledger, book: Book) -> int:
    """What customers 7 and 8 have done; the redemption of 7."""
    await ledger.fund(fund(book, 1000))
    redemption = await act(ledger, book, 7, "ada")
    await act(ledger, book, 8, "bob")
    return redemption


async def erase(pool: asyncpg.Pool[Any], book: Book, *customers: int) -> Erased:
    erased = await erase_customer(pool, book, customers)
    await erase_details(pool, book, customers)
    await erase_answers(pool, book, customers)
    return erased


@pytest.mark.usefixtures("lived")
async def test_what_is_left_is_forfeited_and_what_was_said_is_gone(
    ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], book: Book
) -> None:
    before = await owner.fetch("SELECT * FROM ledger.transfer ORDER BY seq")
    said = await owner.fetchval(TEXTS)
    assert all(name in said for name in NAMES)
    assert await erase(worker_pool, book, 7) == Erased(EraseOutcome.ERASED, 80)
    said = await owner.fetchval(TEXTS)
    assert not [name for name in NAMES if name in said]
    assert all(name.replace("ada", "bob") in said for name in NAMES)
    after = await owner.fetch("SELECT * FROM ledger.transfer ORDER BY seq")
    assert after[:-1] == before
    assert (after[-1]["verb"], after[-1]["amount"], after[-1]["customer"]) == (Verb.FORFEIT, 80, 7)
    assert await owner.fetchval("SELECT sum(credits - debits) FROM ledger.account WHERE kind = 8") == 80
    assert (await spendable(ledger, book, 7), await spendable(ledger, book, 8)) == (0, 80)


async def test_nothing_is_posted_to_an_erased_customer(
    ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], book: Book, lived: int
) -> None:
    await erase(worker_pool, book, 7)
    before = await owner.fetchval("SELECT max(seq) FROM ledger.transfer")
    granted = await ledger.grant(order(book, customer=7, message_id="mail-3"))
    assert granted.outcome is GrantOutcome.STALE_CUSTOMER
    replayed = await ledger.grant(order(book, customer=7, message_id="mail-ada", points=100))
    assert replayed.outcome is GrantOutcome.STALE_CUSTOMER
    for step in (authorize(book, 7, 1), refund(book, lived, 5), void(book, lived), capture(book, lived)):
        assert (await ledger.redeem(step)).outcome is RedemptionOutcome.STALE_CUSTOMER, step
    assert await owner.fetchval("SELECT max(seq) FROM ledger.transfer") == before


@pytest.mark.usefixtures("lived")
async def test_erasing_again_changes_nothing(
    owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], book: Book
) -> None:
    first = await erase(worker_pool, book, 7)
    before = await owner.fetchval(TEXTS), await owner.fetch("SELECT * FROM ledger.transfer")
    assert await erase(worker_pool, book, 7) == first
    assert (await owner.fetchval(TEXTS), await owner.fetch("SELECT * FROM ledger.transfer")) == before


async def test_held_points_keep_a_customer_until_they_are_released(
    ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], book: Book
) -> None:
    await ledger.fund(fund(book, 1000))
    await ledger.grant(order(book, customer=7, points=100))
    await ledger.redeem(authorize(book, 7, 50, hold_s=60))
    await ledger.grant(order(book, customer=8, held_back=True, due_at=NOON + timedelta(days=1)))
    before = await owner.fetchval(TEXTS)
    for customer in (7, 8):
        assert await erase(worker_pool, book, customer) == Erased(EraseOutcome.POINTS_HELD, 0)
    assert await owner.fetchval(TEXTS) == before
    assert await spendable(ledger, book, 7) == 50
    await set_clock(owner, book, NOON + timedelta(days=2))
    assert await erase(worker_pool, book, 7) == Erased(EraseOutcome.ERASED, 100)
    assert await erase(worker_pool, book, 8) == Erased(EraseOutcome.ERASED, 0)


@pytest.mark.usefixtures("lived")
async def test_who_was_merged_goes_with_them(
    ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], book: Book
) -> None:
    await ledger.merge(book, loser=7, survivor=8)
    assert await erase(worker_pool, book, 8, 7) == Erased(EraseOutcome.ERASED, 160)
    said = await owner.fetchval(TEXTS)
    assert not [name for name in NAMES for said_of in (name, name.replace("ada", "bob")) if said_of in said]


@pytest.mark.usefixtures("lived")
async def test_details_of_others_are_not_erased_whoever_asks(
    owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], book: Book
) -> None:
    before = await owner.fetchval(TEXTS)
    assert await erase_details(worker_pool, book, [7, 8]) == 0
    await erase_answers(worker_pool, book, [7, 8])
    assert await owner.fetchval(TEXTS) == before
