"""What reports, closes, journals and layers read: rows of their page or piece of the log, and no others.

Each statement is sent by a session that keeps a plan from when the tables were empty, or by one that knows how large they are;
then PostgreSQL says how many rows it has read.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest

from ledger import AccountClass, Book, GrantOutcome, chart, track_layers
from ledger.chart import Kind, OwnerTag
from ledger.engine.grants import post_grants
from ledger.engine.merging import Merge, post_groupings
from ledger.engine.redemptions import post_redemptions
from ledger.testing import NOON, authorize, order, set_clock
from tests.ledger.conftest import make_book
from tests.ledger.rows_read import counting_rows, never_analyzed

__all__ = ["never_analyzed"]

CUSTOMERS = 1_000
PAGE = 20
ROWS_MAX = 15 * PAGE
"""Each row of a page may be looked up in several tables, and a place is found by halving."""

TODAY = date(2030, 3, 31)
NOW = datetime(2030, 3, 31, 12, tzinfo=UTC)
DUE = NOW - timedelta(hours=1)
READS, LAYERS, EXPORTS = Path("ledger/reads/sql"), Path("ledger/layers/sql"), Path("service/exports/sql")

NOT_FINANCE = {
    # Lists, quotes and what campaigns ask: tests/ledger/test_query_plans.py, test_list_plans.py.
    "attention",
    "budgets",
    "cap_uses",
    "decision",
    "events_by_key",
    "feed",
    "find_redemptions",
    "find_redemptions_with_status",
    "history",
    "lookback",
    "newest_events",
    "newest_events_floor",
    "newest_events_of_customers",
    "past_events",
    "refusals",
    "responders",
    "statements",
    "survivors",
    "wallet_accounts",
    "wallet_movements",
    "wallets",
}


class Lived(NamedTuple):
    """A book in which much has happened, and the places to ask about."""

    book: Book
    head: int
    redemption: int
    layer: int
    key: bytes


def _lot(customer: int) -> bytes:
    return chart.account_id(OwnerTag.CUSTOMER, customer, Kind.LOT, AccountClass.ENGAGEMENT)


def arguments(lived: Lived) -> dict[str, tuple[Any, ...]]:
    """The arguments of each statement, so that it is to read a page."""
    book, brand = lived.book.book_id, lived.book.brand_id
    piece = (lived.head - PAGE, lived.head)
    lot, budget = _lot(500), chart.budget(1)
    none = (None,) * 10
    return {
        "adjustments": (book, brand, 2**62, PAGE),
        "adjustments_by_reason": (book, brand, 2**62, PAGE, "goodwill"),
        "adjustments_of_customers": (book, brand, 2**62, PAGE, [500, 501]),
        "act_hours": (book, brand, *piece),
        "account_range": (book, brand, lot, PAGE),
        "before_day": (book, brand, TODAY),
        "budget_at_head": (book, brand, budget, 1),
        "close_balances": (book, TODAY, 1, lot, PAGE),
        "closes": (book, brand, TODAY, PAGE, False),
        "correction_numbers": (book, *piece),
        "corrections_made": (book, *piece),
        "customer_messages": (book, brand, [500, 501], [0, 0], lived.head, PAGE),
        "customer_movements": (book, brand, [500, 501], [0, 0], lived.head, PAGE, TODAY, [NOON.date()]),
        "daily_movements": (book, brand, TODAY, TODAY + timedelta(days=1), [TODAY], True, True, True, True),
        "daily_movements_kept": (book, brand),
        "decisions": (book, 1, lived.key, lived.head, NOW, PAGE),
        "due_claw_backs": (book, DUE - timedelta(days=1), lived.head),
        "due_held_back": (book, NOW, lived.head, DUE - timedelta(days=1), b"", PAGE),
        "due_holds": (book, NOW, lived.head, DUE - timedelta(days=1), 0, PAGE),
        "find_transfers": (book, brand, *piece, PAGE, *none),
        "held_back": (book, [500, 501], 0, b"", PAGE),
        "issue_limit": (book, brand),
        "layer_movements": (book, brand, *piece, None),
        "left_open": (book, brand, NOON.date(), PAGE, PAGE),
        "lifecycle": (book, brand, *piece, NOON.date(), TODAY, timedelta(days=90)),
        "movements": (book, brand, *piece, True, True),
        "posted_dues": (book, piece[0], NOW, *piece),
        "redemption_steps": (book, brand, *piece, NOON.date(), TODAY, 8),
        "transfers": (book, brand, *piece, PAGE),
        "transfers_of_customers": (book, [500, 501], 0, lived.head, PAGE),
        "customers_of_redemptions": (book, [lived.redemption]),
        "stores_of_steps": (book, [lived.redemption], [lived.redemption]),
        "newest_events_of_customers_floor": (book, [500, 501], lived.head, lived.head, PAGE),
        "transfers_numbered": (book, brand, list(range(piece[0], piece[1]))),
        "customers_of_transactions": (book, [piece[0]], PAGE),
        "issued": (book, lived.head, PAGE, [500], [lot], [0]),
        "layer_of_event": (book, 1, lived.key),
        "layers_issued": (book, [lived.layer]),
        "moves": (book, *piece, PAGE),
        "moves_of_customers": (book, 0, lived.head, PAGE, [500, 501]),
        "moves_of_layer": (book, lived.layer),
        "place": (book, brand),
        "redemption_pieces": (book, [lived.redemption]),
        "related_customers": (book, [500, 501], [lived.redemption]),
        "accounts_csv": (book, piece[0], lot, _lot(500 + PAGE), lived.head, [], [], [], "{}", "{}"),
        "journal_lines": (book, *piece, "UTC"),
        "summary_lines": (book, *piece, "UTC"),
        "transfer_details": (book, *piece, "UTC", None, None, ["x"] * 20, "{}", [NOON], [1], [1], [1], 2, False),
        "transfer_details_sums": (book, *piece, "UTC", None, None),
        "seq_at_v1": (book, NOW),
        "fell_due_v1": (book, piece[0], NOW, TODAY, *piece),
        "is_settled_v1": (book, date(2000, 1, 1), NOON),
        "log_lines_v1": (book, *piece),
        "account_lines_v1": (book, lived.head, lot, _lot(500 + PAGE)),
        "account_sums_v1": (book, piece[0], lot, _lot(500 + PAGE), lived.head, [], [], []),
        "as_of_v1": (brand, book, datetime.now(UTC), NOW - timedelta(days=1)),
        "begin_close_v1": (brand, book, datetime.now(UTC), date(2030, 3, 30), date(2030, 3, 30), True),
    }


def _texts(*folders: Path) -> dict[str, str]:
    return {file.stem: file.read_text() for folder in folders for file in sorted(folder.glob("*.sql"))}


def _calls(asked: dict[str, tuple[Any, ...]]) -> dict[str, str]:
    return {
        name: f"SELECT * FROM ledger.{name}({', '.join(f'${n}' for n in range(1, len(of) + 1))})"
        for name, of in asked.items()
        if name.endswith("_v1")
    }


FILES = {name: text for name, text in _texts(READS, LAYERS).items() if name not in NOT_FINANCE}
EXPORTED = _texts(EXPORTS)


def test_every_statement_is_here() -> None:
    asked = arguments(Lived(Book(1, 1), 0, 0, 0, b""))
    assert set(asked) == {*FILES, *EXPORTED, *_calls(asked)}


async def live(owner: asyncpg.Connection[Any], book: Book) -> Lived:
    """Many earn, some of them wait, are held back, redeem, let holds time out, or are merged."""
    everybody = range(1, CUSTOMERS + 1)
    orders = [order(book, customer=each, points=50, unlimited=True) for each in everybody]
    await post_grants(owner, orders)
    waiting = [order(book, customer=each, message_id="weak", unlimited=True, waits=True) for each in everybody]
    assert {answer.outcome for answer in await post_grants(owner, waiting)} == {GrantOutcome.WAITING}
    held_back: dict[str, Any] = {"message_id": "held", "unlimited": True, "held_back": True, "due_at": DUE}
    for first in range(1, 301, PAGE):
        held_back["due_at"] += timedelta(microseconds=1)
        await post_grants(owner, [order(book, customer=each, **held_back) for each in range(first, first + PAGE)])
    await post_redemptions(owner, [authorize(book, each, 1, capture=True, order_ref=f"o {each}") for each in range(1, 301)])
    await set_clock(owner, book, DUE - timedelta(hours=1))
    for first in range(301, 601, PAGE):
        await post_redemptions(owner, [authorize(book, each, 1, hold_s=3600 + first) for each in range(first, first + PAGE)])
    for each in range(801, 841, 2):
        await post_groupings(owner, [Merge(book, each, each + 1)])
    await set_clock(owner, book, NOW)
    await post_redemptions(owner, [authorize(book, each, 1, capture=True, order_ref=f"p {each}") for each in (601, 602, 603)])
    due = [*range(1, 6), *range(301, 306)]
    await owner.fetchval("SELECT ledger.expire_v1($1, $2, $3, $4)", book.brand_id, book.book_id, datetime.now(UTC), due)
    while await track_layers(owner, book):
        pass
    await owner.execute(
        """
        INSERT INTO ledger.close_balance (book_id, ends_on, version, account, balance)
        SELECT book_id, $2, 1, id, credits - debits FROM ledger.account WHERE book_id = $1
        """,
        book.book_id,
        TODAY,
    )
    head = await owner.fetchval("SELECT seq FROM ledger.head WHERE book_id = $1", book.book_id)
    part = await owner.fetchrow(
        "SELECT redemption, layer FROM ledger.transfer_layer WHERE book_id = $1 ORDER BY seq DESC LIMIT 1", book.book_id
    )
    assert part is not None
    return Lived(book, head, part["redemption"], part["layer"], orders[600].key)


async def plan(owner: asyncpg.Connection[Any], statements: dict[str, str], asked: dict[str, tuple[Any, ...]]) -> None:
    """Send each once more than its plan is made for what is asked."""
    for name, statement in statements.items():
        for _ in range(6):
            await owner.fetch(statement, *asked[name])


async def too_many(
    owner: asyncpg.Connection[Any], statements: dict[str, str], asked: dict[str, tuple[Any, ...]]
) -> dict[str, dict[str, int]]:
    """Statements that read more than they should, and what."""
    found: dict[str, dict[str, int]] = {}
    for name, statement in statements.items():
        async with counting_rows(owner) as rows:
            await owner.fetch(statement, *asked[name])
        if sum(rows.values()) > ROWS_MAX:
            found[name] = {table: read for table, read in rows.items() if read}
    return found


@pytest.mark.slow
@pytest.mark.usefixtures("never_analyzed")
@pytest.mark.own_database("of tables that were analyzed before anything was in them, or never")
@pytest.mark.parametrize("analyzed", ["never", "while they were empty", "full"])
async def test_a_report_reads_its_page_and_no_more(owner: asyncpg.Connection[Any], analyzed: str) -> None:
    book = await make_book(owner)
    if analyzed == "while they were empty":
        await owner.execute("ANALYZE")
    empty = arguments(Lived(book, 0, 0, 0, bytes(16)))
    statements = FILES | _calls(empty)
    await owner.execute("SET enable_seqscan = off")  # as for the application and the worker
    if analyzed != "full":
        await owner.execute("SET plan_cache_mode = force_generic_plan")
        await plan(owner, statements, empty)
    lived = await live(owner, book)
    if analyzed == "full":
        await owner.execute("ANALYZE")
        await plan(owner, statements, arguments(lived))
    assert await too_many(owner, statements, arguments(lived)) == {}
    # An export has a session of its own, in the reader's role.
    await owner.execute("RESET enable_seqscan; RESET plan_cache_mode")
    await plan(owner, EXPORTED, arguments(lived))
    assert await too_many(owner, EXPORTED, arguments(lived)) == {}
