"""The audit: every invariant of a book, recomputed from its tables alone.

An invariant is a file here: its name is what a finding calls it, its first sentence says what must hold, and the rest is one
statement that counts what was checked and what is wrong. A statement sees one instant even while others write. Together they
read the whole log: for a large book use a connection of its own, or a replica.

    INVARIANTS   one row each: checked, violations, examples
    HASHES       details that are kept beside the log, a page at a time: seq, hash in the log, what it is made of
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import asyncpg

from ledger import details
from ledger.read_models import Finding
from ledger.types import Book

INVARIANTS = (
    "seq_has_no_gaps",
    "posted_at_never_runs_back",
    "balances_equal_the_log",
    "debits_equal_credits",
    "no_account_below_its_floor",
    "issued_within_the_limit",
    "no_dead_lot_is_paid",
    "what_fell_due_says_when",
    "account_columns_equal_its_id",
    "one_transfer_an_event",
    "what_moved_nothing_has_a_place",
    "offers_are_decided_once",
    "caps_count_real_grants",
    "pending_rows_equal_the_accounts",
    "customer_states_equal_the_accounts",
    "redemptions_close_when_empty",
    "redemptions_begin_in_the_log",
    "redemptions_add_up",
    "redemption_steps_are_in_the_log",
    "late_captures_follow_time_outs",
    "corrections_are_in_the_log",
    "shortfalls_lie_in_redemptions",
    "merged_customers_have_nothing",
    "survivors_count_whom_they_absorbed",
    "merges_move_everything",
    "erased_customers_have_nothing",
    "only_the_erased_lack_details",
    "splits_give_back_what_was_brought",
    "spells_say_who_was_part_of_whom",
    "imports_are_in_the_log",
    "cuts_lie_in_the_log",
    "closes_equal_the_log",
    "closes_add_up",
    "closes_equal_their_digests",
    "layers_add_up_to_their_transfers",
    "layers_equal_the_lots",
    "layers_are_used_up_to_what_they_were",
    "claw_backs_take_their_grant",
    "returns_take_what_was_earned",
    "daily_movements_equal_the_log",
)
"""What one statement checks, in the order of the findings."""


HASHES: Mapping[str, Callable[..., bytes | None]] = {
    "details_equal_their_hash": details.event_hash,
    "redemption_details_equal_their_hash": details.redemption_hash,
    "redemption_steps_equal_their_hash": details.step_hash,
    "correction_reasons_equal_their_hash": details.correction_hash,
}
"""What takes a hash to check, which PostgreSQL does not compute: how it is made of what the statement returns."""

_PAGE_ROWS = 5_000
_EXAMPLES_MAX = 5
_STATEMENTS = {name: Path(__file__).with_name(f"{name}.sql").read_text() for name in (*INVARIANTS, *HASHES)}


async def audit(connection: asyncpg.Connection[Any], book: Book) -> list[Finding]:
    """Check every invariant of a book; a finding with violations names up to five of them. The reader's role is enough."""
    return [
        *[await _check(connection, invariant, book) for invariant in INVARIANTS],
        *[await _check_hashes(connection, invariant, book) for invariant in HASHES],
    ]


async def _check(connection: asyncpg.Connection[Any], invariant: str, book: Book) -> Finding:
    row = await connection.fetchrow(_STATEMENTS[invariant], book.book_id)
    checked, violations, examples = row if row is not None else (0, 1, ["the book has no head"])
    return Finding(invariant, checked, violations, tuple((examples or [])[:_EXAMPLES_MAX]))


async def _check_hashes(connection: asyncpg.Connection[Any], invariant: str, book: Book) -> Finding:
    checked = unprovable = 0
    wrong: list[str] = []
    async for seq, in_the_log, *kept in _pages(connection, _STATEMENTS[invariant], book):
        checked += 1
        computed = HASHES[invariant](*kept)
        if computed is None:
            unprovable += 1
        elif computed != in_the_log:
            wrong.append(f"seq {seq}")
    return Finding(invariant, checked, len(wrong), tuple(wrong[:_EXAMPLES_MAX]), unprovable)


async def _pages(connection: asyncpg.Connection[Any], statement: str, book: Book) -> AsyncIterator[Any]:
    after = 0
    while rows := await connection.fetch(statement, book.book_id, after, _PAGE_ROWS):
        for row in rows:
            yield row
        after = rows[-1]["seq"]
