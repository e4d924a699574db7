"""What became of an offer is noted once, and not if it was claimed: the book decides, under one key."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from ledger import Book, GrantOrder, GrantOutcome, Ledger, OfferNote, OfferNoted, OfferNotice, Position, offer_key
from ledger.testing import NOON, fund, order
from tests.ledger.conftest import assert_books_are_sound, make_book

LAPSED, FELL_BACK = OfferNotice.LAPSED, OfferNotice.FELL_BACK


def key(customer: int = 7, action: str = "claim") -> bytes:
    return offer_key(campaign_no=1, offer_group="o-1", customer=customer, action=action)


def news(notice: OfferNotice = LAPSED, customer: int = 7, **changed: Any) -> OfferNote:
    """What became of an offer to a customer."""
    said: dict[str, Any] = {
        "notice": notice,
        "campaign_no": 1,
        "campaign_version": 1,
        "customer": customer,
        "generation": 0,
        "keys": (key(customer),),
        "notice_keys": (key(customer),) if notice is LAPSED else (key(customer, "fall_back"),),
        "offer_group": "o-1",
        "at": NOON,
        **changed,
    }
    return OfferNote(**said)


def claim(book: Book, **terms: Any) -> GrantOrder:
    """An act that claims the offer."""
    return msgspec.structs.replace(order(book, customer=7, **terms), key=key())


@pytest.fixture
async def book(ledger: Ledger, owner: asyncpg.Connection[Any]) -> Book:
    made = await make_book(owner)
    await ledger.fund(fund(made, 1000))
    return made


async def told(ledger: Ledger, book: Book) -> list[tuple[OfferNotice | None, GrantOutcome | None]]:
    entries = await ledger.feed(book, after=Position(), limit=100)
    return [(entry.notice, entry.outcome) for entry in entries if entry.verb is None]


async def test_a_lapse_is_noted_once_and_nothing_is_paid_under_its_key(
    ledger: Ledger, book: Book, owner: asyncpg.Connection[Any]
) -> None:
    lapsed = GrantOutcome.OFFER_LAPSED
    assert await ledger.note_offers(book, [news(), news()]) == [OfferNoted(lapsed, True), OfferNoted(lapsed, False)]
    assert await ledger.note_offers(book, [news(), news(FELL_BACK)]) == [OfferNoted(lapsed, False)] * 2
    claimed = await ledger.grant(claim(book))
    assert (claimed.outcome, claimed.replayed, claimed.points) == (lapsed, True, 0)
    assert await told(ledger, book) == [(LAPSED, None)]
    await assert_books_are_sound(owner)


async def test_what_was_claimed_neither_lapses_nor_falls_back(
    ledger: Ledger, book: Book, owner: asyncpg.Connection[Any]
) -> None:
    await ledger.grant(claim(book))
    assert await ledger.note_offers(book, [news(FELL_BACK), news()]) == [OfferNoted(GrantOutcome.GRANTED, False)] * 2
    # Claimed under a number that was merged since.
    other = news(customer=8, keys=(key(8), key(7)))
    assert await ledger.note_offers(book, [other]) == [OfferNoted(GrantOutcome.GRANTED, False)]
    assert await told(ledger, book) == []
    await assert_books_are_sound(owner)


async def test_what_waits_is_over_with_its_offer_and_keeps_its_place(
    ledger: Ledger, book: Book, owner: asyncpg.Connection[Any]
) -> None:
    await ledger.grant(claim(book, waits=True))
    assert await ledger.note_offers(book, [news(FELL_BACK), news()]) == [
        OfferNoted(None, True),
        OfferNoted(GrantOutcome.OFFER_LAPSED, True),
    ]
    assert await told(ledger, book) == [(None, GrantOutcome.OFFER_LAPSED), (FELL_BACK, None), (LAPSED, None)]
    claimed = await ledger.grant(claim(book))
    assert (claimed.outcome, claimed.replayed) == (GrantOutcome.OFFER_LAPSED, True)
    await assert_books_are_sound(owner)


async def test_what_waited_until_its_offer_lapsed_is_forgotten_with_it(
    ledger: Ledger, book: Book, owner: asyncpg.Connection[Any]
) -> None:
    async def forget() -> str | None:
        numbers, before = (book.brand_id, book.book_id), NOON + timedelta(days=1)
        await owner.execute("SELECT ledger.forget_details_v1($1, $2, clock_timestamp(), $3, 100)", *numbers, before)
        return await owner.fetchval("SELECT message_id FROM ledger.event")

    await ledger.grant(claim(book, waits=True))
    assert await forget() is not None
    await ledger.note_offers(book, [news()])
    assert await forget() is None
    assert await owner.fetchval("SELECT count(*) FROM ledger.offer_notice WHERE offer_group IS NOT NULL") == 0
    await assert_books_are_sound(owner)


async def test_nothing_is_noted_of_a_customer_who_was_merged_since(
    ledger: Ledger, book: Book, owner: asyncpg.Connection[Any]
) -> None:
    await ledger.grant_batch([order(book, customer=7, message_id="a"), order(book, customer=8, message_id="a")])
    await ledger.merge(book, loser=8, survivor=7)
    stale = OfferNoted(GrantOutcome.STALE_CUSTOMER, False)
    assert await ledger.note_offers(book, [news(), news(customer=8)]) == [stale] * 2
    assert await told(ledger, book) == []


async def test_another_brands_book_is_refused(ledger: Ledger, book: Book) -> None:
    with pytest.raises(asyncpg.PostgresError, match="is not a book of brand"):
        await ledger.note_offers(Book(book.brand_id + 1, book.book_id), [news()])
