"""Funding: a campaign grants what finance gave it, and finance gives no more than the brand authorized."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from ledger import FUND_MAX, Book, BookRefused, DataRefused, FundOutcome, FundResult, Ledger
from ledger.testing import fund
from tests.ledger.conftest import make_book, written

FUNDED, LIMIT, REUSED = FundOutcome.FUNDED, FundOutcome.ISSUE_LIMIT_REACHED, FundOutcome.IDEMPOTENCY_KEY_REUSED


async def test_a_funding_moves_points_from_issuance_to_the_campaigns_budget(ledger: Ledger, book: Book) -> None:
    assert await ledger.fund(fund(book, 100, campaign_no=1)) == FundResult(FUNDED, False, budget=100, issued=100)
    assert await ledger.fund(fund(book, 50, campaign_no=2)) == FundResult(FUNDED, False, budget=50, issued=150)
    assert await ledger.fund(fund(book, 7, campaign_no=1)) == FundResult(FUNDED, False, budget=107, issued=157)


FUNDINGS = [  # what is asked for in order with an issue limit of 100, and how each is decided
    ((100,), (FUNDED,)),
    ((101, 100, 1), (LIMIT, FUNDED, LIMIT)),
    ((60, 41, 40), (FUNDED, LIMIT, FUNDED)),
    ((FUND_MAX,), (LIMIT,)),
]


@pytest.mark.parametrize(("asked", "outcomes"), FUNDINGS)
async def test_no_more_is_issued_than_the_brand_authorized(
    ledger: Ledger, owner: asyncpg.Connection[Any], asked: tuple[int, ...], outcomes: tuple[FundOutcome, ...]
) -> None:
    book = await make_book(owner, issue_limit=100)
    assert tuple([(await ledger.fund(fund(book, points))).outcome for points in asked]) == outcomes


async def test_a_decision_is_kept_under_its_key(ledger: Ledger, owner: asyncpg.Connection[Any]) -> None:
    book = await make_book(owner, issue_limit=100)
    await ledger.fund(fund(book, 60, key="a"))
    await ledger.fund(fund(book, 60, key="b"))
    await owner.execute("UPDATE ledger.head SET issue_limit = 1000")
    await ledger.fund(fund(book, 1))
    before = await written(owner)
    assert await ledger.fund(fund(book, 60, key="a")) == FundResult(FUNDED, True, budget=60, issued=60)
    assert await ledger.fund(fund(book, 60, key="b")) == FundResult(LIMIT, True, budget=60, issued=60)
    for other in (fund(book, 61, key="a"), fund(book, 60, campaign_no=2, key="b")):
        reused = await ledger.fund(other)
        assert (reused.outcome, reused.replayed) == (REUSED, False)
    assert await written(owner) == before


@pytest.mark.parametrize("points", [0, -1, 2**63])
async def test_what_is_no_amount_is_refused(ledger: Ledger, book: Book, points: int) -> None:
    with pytest.raises(DataRefused):
        await ledger.fund(fund(book, points))


async def test_another_brands_book_is_refused(ledger: Ledger, book: Book) -> None:
    with pytest.raises(BookRefused):
        await ledger.fund(fund(Book(2, book.book_id), 5))
