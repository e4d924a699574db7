"""Where a redemption's points came from and where a grant's went, however far the log has been read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from typing import Any

import asyncpg
import pytest

from ledger import Book, GrantOrder, Ledger, Opening, Redeem, Verb, import_balances, track_layers
from ledger.layers import reading
from ledger.testing import NOON, authorize, capture, fund, order, refund, set_clock, void

ADA, BOB = 7, 8
SOON, LATER = date(2030, 1, 31), date(2030, 3, 31)
Track = Callable[[], Awaitable[None]]


@pytest.fixture(params=["nothing is read", "some is read", "all is read"])
def reads(request: pytest.FixtureRequest, worker_pool: asyncpg.Pool[Any], book: Book) -> dict[str, Track]:
    """``early`` and ``late``: when the log is read on, if it is."""

    async def read() -> None:
        while await track_layers(worker_pool, book):
            pass

    async def leave() -> None:
        """Not now."""

    return {
        "early": leave if request.param == "nothing is read" else read,
        "late": read if request.param == "all is read" else leave,
    }


async def grant(ledger: Ledger, book: Book, customer: int, name: str, points: int, last_day: date | None = SOON) -> GrantOrder:
    """Grant points; ``name`` is the message."""
    granted = order(book, customer=customer, message_id=name, points=points, expires_on=last_day)
    await ledger.grant(granted)
    return granted


async def redeemed(ledger: Ledger, step: Redeem) -> int:
    """Take a step that must succeed; returns the redemption."""
    result = await ledger.redeem(step)
    assert result.redemption
    return result.redemption.redemption


async def sources(ledger: Ledger, book: Book, redemption: int) -> list[tuple[int, int, int, int, int]]:
    """By source: its seq, and how many points were authorized, are held, were captured and refunded."""
    found = await ledger.redemption_sources(book, redemption)
    assert found
    assert found.seq == (await ledger.head(book)).seq
    return [(each.seq, each.authorized, each.held, each.captured, each.refunded) for each in found.sources]


async def uses(
    ledger: Ledger, book: Book, granted: GrantOrder
) -> tuple[int, list[tuple[Verb, int | None, int, int, int, int]]]:
    """What is left, and by use: what it was and of which redemption, and the points it took, holds, captured and refunded."""
    found = await ledger.grant_uses(book, granted.terms.campaign_no, granted.key)
    assert found
    assert found.seq == (await ledger.head(book)).seq
    rows = [(use.verb, use.redemption, use.points, use.held, use.captured, use.refunded) for use in found.uses]
    gone = sum(
        use.points - use.refunded - (use.points - use.held - use.captured if use.redemption else 0) for use in found.uses
    )
    assert found.left == found.points - gone
    return found.left, rows


async def test_a_redemption_takes_the_oldest_grants_of_each_lot(ledger: Ledger, book: Book, reads: dict[str, Track]) -> None:
    await ledger.fund(fund(book, 1000))
    for name, points, last_day in (("a", 10, LATER), ("b", 10, SOON), ("c", 10, SOON), ("d", 10, LATER)):
        await grant(ledger, book, ADA, name, points, last_day)
    redemption = await redeemed(ledger, authorize(book, ADA, 25))
    await reads["early"]()
    assert await sources(ledger, book, redemption) == [(3, 10, 10, 0, 0), (4, 10, 10, 0, 0), (2, 5, 5, 0, 0)]
    await redeemed(ledger, capture(book, redemption, 18))
    await reads["late"]()
    assert await sources(ledger, book, redemption) == [(3, 10, 0, 10, 0), (4, 10, 0, 8, 0), (2, 5, 0, 0, 0)]
    await redeemed(ledger, refund(book, redemption, 9))
    assert await sources(ledger, book, redemption) == [(3, 10, 0, 10, 1), (4, 10, 0, 8, 8), (2, 5, 0, 0, 0)]


async def test_a_source_says_which_grant_it_is_and_what_earned_it(
    ledger: Ledger, owner: asyncpg.Connection[Any], book: Book, reads: dict[str, Track]
) -> None:
    await ledger.fund(fund(book, 1000))
    granted = await grant(ledger, book, ADA, "a", 10)
    back = order(book, customer=ADA, message_id="b", points=10, held_back=True, due_at=NOON + timedelta(days=3), channel="sms")
    await ledger.grant(back)
    await ledger.mature(book, back.terms.campaign_no, back.key, expires_on=SOON)
    await import_balances(owner, book, [Opening(ADA, 10, SOON)], hashes=[bytes(32)], rows=1, points=10)
    await reads["early"]()
    redemption = await redeemed(ledger, authorize(book, ADA, 25))
    await reads["late"]()
    found = await ledger.redemption_sources(book, redemption)
    assert found
    assert [(each.verb, each.event_key, each.channel, each.action) for each in found.sources] == [
        (Verb.GRANT, granted.key, "email", "click"),
        (Verb.MATURE, back.key, "sms", "click"),
        (Verb.OPEN, None, None, None),
    ]
    assert {each.expires_on for each in found.sources} == {SOON}
    for each in (granted, back):
        assert await uses(ledger, book, each) == (0, [(Verb.AUTHORIZE, redemption, 10, 10, 0, 0)])


async def test_a_grant_says_where_it_went_and_what_is_left(ledger: Ledger, book: Book, reads: dict[str, Track]) -> None:
    await ledger.fund(fund(book, 1000))
    granted = await grant(ledger, book, ADA, "a", 100)
    first = await redeemed(ledger, authorize(book, ADA, 30, capture=True))
    await reads["early"]()
    second = await redeemed(ledger, authorize(book, ADA, 40))
    await redeemed(ledger, refund(book, first, 10))
    await reads["late"]()
    expected = [(Verb.AUTHORIZE, first, 30, 0, 30, 10), (Verb.AUTHORIZE, second, 40, 40, 0, 0)]
    assert await uses(ledger, book, granted) == (40, expected)
    await redeemed(ledger, void(book, second))
    assert (await uses(ledger, book, granted))[0] == 80


async def test_what_is_due_counts_as_done_whether_or_not_it_is_posted(
    ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], book: Book, reads: dict[str, Track]
) -> None:
    await ledger.fund(fund(book, 1000))
    granted = await grant(ledger, book, ADA, "a", 100)
    in_time = await redeemed(ledger, authorize(book, ADA, 30, hold_s=3_600))
    too_late = await redeemed(ledger, authorize(book, ADA, 20, hold_s=20 * 86_400))
    await reads["early"]()
    await set_clock(owner, book, NOON + timedelta(hours=2))
    assert await sources(ledger, book, in_time) == [(2, 30, 0, 0, 0)]
    assert (await uses(ledger, book, granted))[0] == 80
    await set_clock(owner, book, NOON + timedelta(days=25))
    await reads["late"]()
    # What the second held goes to a lot of the grace, for its own was dead by its deadline.
    before = [await uses(ledger, book, granted), await sources(ledger, book, too_late)]
    assert before[0][0] == 20
    assert before[0][1][-1] == (Verb.EXPIRE, None, 80, 0, 0, 0)
    await ledger.redeem(authorize(book, ADA, 1, capture=True))
    left, posted = await uses(ledger, book, granted)
    assert (left, posted[:-1], await sources(ledger, book, too_late)) == (19, before[0][1], before[1])
    while await track_layers(worker_pool, book):
        pass
    assert await uses(ledger, book, granted) == (left, posted)


async def test_merged_points_keep_their_grants_and_a_split_takes_its_own_along(
    ledger: Ledger, book: Book, reads: dict[str, Track]
) -> None:
    await ledger.fund(fund(book, 1000))
    of_ada, of_bob = await grant(ledger, book, ADA, "a", 50), await grant(ledger, book, BOB, "b", 50)
    before = await redeemed(ledger, authorize(book, ADA, 10))
    await ledger.merge(book, loser=ADA, survivor=BOB)
    await reads["early"]()
    shared = await redeemed(ledger, authorize(book, BOB, 60))
    assert await sources(ledger, book, shared) == [(2, 40, 40, 0, 0), (3, 20, 20, 0, 0)]
    await redeemed(ledger, void(book, shared))
    await ledger.split(book, customer=ADA, survivor=BOB)
    own = await redeemed(ledger, authorize(book, ADA, 40, capture=True))
    await redeemed(ledger, capture(book, before, 10))
    await reads["late"]()
    assert await sources(ledger, book, own) == [(2, 40, 0, 40, 0)]
    assert await sources(ledger, book, before) == [(2, 10, 0, 10, 0)]
    assert (await uses(ledger, book, of_ada))[0] == 0
    assert (await uses(ledger, book, of_bob)) == (50, [(Verb.AUTHORIZE, shared, 20, 0, 0, 0)])


async def test_a_merge_of_an_empty_wallet_keeps_what_its_redemptions_took(
    ledger: Ledger, book: Book, reads: dict[str, Track]
) -> None:
    await ledger.fund(fund(book, 1000))
    await grant(ledger, book, ADA, "a", 10)
    spent = await redeemed(ledger, authorize(book, ADA, 10))
    await reads["early"]()
    # No transfer says so: Ada has nothing that could move.
    await ledger.merge(book, loser=ADA, survivor=BOB)
    await redeemed(ledger, capture(book, spent, 10))
    await reads["late"]()
    assert await sources(ledger, book, spent) == [(2, 10, 0, 10, 0)]


async def test_what_is_no_redemption_or_was_not_granted_has_none(ledger: Ledger, book: Book) -> None:
    await ledger.fund(fund(book, 1000))
    granted = await grant(ledger, book, ADA, "a", 50)
    assert await ledger.redemption_sources(book, 2) is None
    refused = await grant(ledger, book, ADA, "b", 5_000)
    assert await ledger.grant_uses(book, 1, refused.key) is None
    assert await ledger.grant_uses(book, 1, bytes(16)) is None
    redemption = await redeemed(ledger, authorize(book, ADA, 5))
    elsewhere = Book(brand_id=2, book_id=book.book_id)
    assert await ledger.redemption_sources(elsewhere, redemption) is None
    assert await ledger.grant_uses(elsewhere, 1, granted.key) is None


async def test_who_has_done_too_much_since_gets_an_answer_as_of_before(
    ledger: Ledger, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOVES_MAX", 3)
    await ledger.fund(fund(book, 1000))
    granted = await grant(ledger, book, ADA, "a", 50)
    numbers = [await redeemed(ledger, authorize(book, ADA, 1)) for _ in range(5)]
    found = await ledger.grant_uses(book, 1, granted.key)
    assert found
    assert (found.seq, found.left, [use.redemption for use in found.uses]) == (numbers[2] - 1, 48, numbers[:2])
