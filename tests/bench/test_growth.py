"""Growth: both books take the same turns, and what is said of them is made of pairs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import asyncpg

from bench.engine import CAMPAIGN, batches, prepared
from bench.growth import BATCH, Posted, Side, Taken, alternate, compared
from ledger import Ledger, open_book
from ledger.testing import fund

if TYPE_CHECKING:
    from tests.conftest import Database


async def _side(database: Database, owner: asyncpg.Connection[Any], ledger: Ledger, brand_id: int) -> Side:
    book = await open_book(owner, brand_id=brand_id, unit="PTS", time_zone="Europe/Berlin", issue_limit=10**15)
    await ledger.fund(fund(book, 10**9, campaign_no=CAMPAIGN))
    return Side(await prepared(database.owner_url, book), batches(book, BATCH, seed=1, customers=500))


async def test_both_books_post_as_much_after_each_checkpoint(
    database: Database, owner: asyncpg.Connection[Any], ledger: Ledger
) -> None:
    large, empty = [await _side(database, owner, ledger, brand_id) for brand_id in (1, 2)]
    checkpoints = "SELECT num_requested FROM pg_stat_checkpointer"
    before = await owner.fetchval(checkpoints)
    both = await alternate((large, empty), cycles=2, turns=1, amount=1)

    # What is a duplicate inside its batch is not granted; the turns that warmed up do not count.
    assert [[turn.granted for turn in taken.turns] for taken in both] == [[900, 900]] * 2
    assert await owner.fetchval(checkpoints) >= before + 2
    for taken in both:
        assert min(turn.wal_bytes for turn in taken.turns) > 900 * 500
        # After a checkpoint the first change of each page is logged whole.
        assert taken.logged > 0


def test_growth_is_a_mean_over_pairs_with_its_interval_and_says_what_it_is_made_of() -> None:
    def taken(*seconds: float, postgres_ms: float, **read: int) -> Taken:
        return Taken([Posted(1_000, each, postgres_ms, 10.0, 2_000_000) for each in seconds], 600, Counter(read))

    large = taken(2.0, 4.0, 8.0, postgres_ms=200.0, transfer_by_customer=3_000, head=3, account=600)
    measured = compared(large, taken(1.0, 2.0, 4.0, postgres_ms=100.0))
    result = measured.result
    assert (result.ratio, result.low, result.high) == (0.5, 0.5, 0.5)
    assert (round(result.ours), round(result.reference), result.postgres_us) == (214, 429, 200.0)
    assert measured.notes == (
        "0.500 [0.500, 0.500] over 3 pairs of turns; by PostgreSQL's processor time 0.500 [0.500, 0.500]",
        "a grant in the large book: 200 µs of PostgreSQL, 2,000 bytes of WAL with 0.20 whole pages, 1.20 pages read: "
        "transfer_by_customer 1.00, account 0.20",
        "in the other: 100 µs of PostgreSQL, 2,000 bytes of WAL with 0.20 whole pages, 0.00 pages read",
    )
