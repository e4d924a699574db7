"""Transfers that are looked for, oldest first, by what they are, whose they are, and what their events and redemptions say.

A page looks at ``SCAN_ROWS_MAX`` transfers at most. For customers or redemptions these are the customers' own, by their index;
for anything else they are a piece of the log, which accounting dates cut down: what counts on a day was posted on it or later,
and at the latest when a close of it was settled.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

from ledger import chart
from ledger.chart import Kind, OwnerTag
from ledger.read_models import ActFilter, Transfer, TransferFilter
from ledger.reads import cuts, event_log, trial_balance
from ledger.types import Book, Verb

SCAN_ROWS_MAX = 10_000
LOOKED_AT_ONCE = 1_000
"""How many transfers are read at once to look at what belongs to them."""

_SQL = Path(__file__).with_name("sql")
_FIND = (_SQL / "find_transfers.sql").read_text()
_OF_CUSTOMERS = (_SQL / "transfers_of_customers.sql").read_text()
_WHOSE_REDEMPTIONS = (_SQL / "customers_of_redemptions.sql").read_text()
_STORES = (_SQL / "stores_of_steps.sql").read_text()
_SETTLED = "SELECT min(settled_seq) FROM ledger.close WHERE book_id = $1 AND ends_on >= $2"
_OCCURRED = """SELECT
$3::date::timestamp AT TIME ZONE time_zone AS since, ($4::date + 1)::timestamp AT TIME ZONE time_zone AS until
FROM ledger.head WHERE book_id = $1 AND brand_id = $2"""
_AT_A_POS = frozenset((Verb.CAPTURE, Verb.REFUND))


async def find_transfers(
    pool: asyncpg.Pool[Any], book: Book, wanted: TransferFilter, *, after: int, cut: int, limit: int
) -> tuple[list[Transfer], int | None]:
    """A page of the transfers that are ``wanted``, and the ``after`` of the next page; ``None`` at the end.

    A page may have fewer than ``limit`` transfers, or none, and not be the last.
    """
    after, until = await _bounds(pool, book, wanted, after, cut)
    search = await _search(pool, book, wanted, until)
    found: list[Transfer] = []
    following: int | None = after
    budget = SCAN_ROWS_MAX
    while budget > 0 and following is not None and len(found) < limit:
        page = await search.page(following, limit - len(found) if search.is_exact else LOOKED_AT_ONCE)
        found += page.transfers if search.is_exact else await _matching(search, page.transfers)
        budget, following = budget - page.read, page.following
    if len(found) > limit:
        return found[:limit], found[limit - 1].seq
    return found, following


class _Page(NamedTuple):
    """Transfers that may be wanted, how many were read for that, and the ``after`` of the next page."""

    transfers: list[Transfer]
    read: int
    following: int | None


class _Search(NamedTuple):
    """Where transfers are looked for: among those of customers, or in the log, of which one statement finds what it can."""

    pool: asyncpg.Pool[Any]
    book: Book
    wanted: TransferFilter
    customers: Sequence[int] | None
    until: int
    occurred: tuple[datetime | None, datetime | None]

    @property
    def is_exact(self) -> bool:
        """Whether all that is found is wanted."""
        at_a_store = self.wanted.store_id is not None or self.wanted.terminal_id is not None
        return self.customers is None and not at_a_store and _in_the_log(self.wanted.act) == self.wanted.act

    async def page(self, after: int, limit: int) -> _Page:
        if self.customers is None:
            return await self._page_of_log(after, limit)
        rows = await self.pool.fetch(_OF_CUSTOMERS, self.book.book_id, self.customers, after, self.until, limit)
        seqs = [row["seq"] for row in rows]
        transfers = await trial_balance.transfers_numbered(self.pool, self.book, seqs)
        return _Page(transfers, len(seqs), seqs[-1] if len(seqs) == limit else None)

    async def _page_of_log(self, after: int, limit: int) -> _Page:
        until = min(self.until, after + SCAN_ROWS_MAX)
        wanted = self.wanted
        asked = (wanted.verbs, wanted.campaign_no, wanted.account_class, wanted.since, wanted.until)
        of_event = (wanted.act.channel, wanted.act.action, wanted.act.grade, wanted.occurred_since, wanted.occurred_until)
        rows = await self.pool.fetch(_FIND, self.book.book_id, self.book.brand_id, after, until, limit + 1, *asked, *of_event)
        transfers = trial_balance.transfers_of(rows[:limit])
        if len(rows) > limit:
            return _Page(transfers, transfers[-1].seq - after, transfers[-1].seq)
        return _Page(transfers, until - after, until if until < self.until else None)


async def _bounds(pool: asyncpg.Pool[Any], book: Book, wanted: TransferFilter, after: int, cut: int) -> tuple[int, int]:
    """Between which transfers those with the accounting dates that are wanted must be."""
    if wanted.since is not None:
        after = max(after, (await cuts.cut_before_day(pool, book, wanted.since)).seq)
    if wanted.until is not None:
        settled: int | None = await pool.fetchval(_SETTLED, book.book_id, wanted.until)
        cut = cut if settled is None else min(cut, settled)
    return after, cut


async def _search(pool: asyncpg.Pool[Any], book: Book, wanted: TransferFilter, until: int) -> _Search:
    customers = wanted.customers
    if wanted.redemptions is not None:
        rows = await pool.fetch(_WHOSE_REDEMPTIONS, book.book_id, wanted.redemptions)
        customers = [row["customer"] for row in rows]
    row = await pool.fetchrow(_OCCURRED, book.book_id, book.brand_id, wanted.occurred_since, wanted.occurred_until)
    return _Search(pool, book, wanted, customers, until, (None, None) if row is None else (row["since"], row["until"]))


async def _matching(search: _Search, transfers: Sequence[Transfer]) -> list[Transfer]:
    pool, book, wanted = search.pool, search.book, search.wanted
    since, until = search.occurred
    found = [
        transfer
        for transfer in transfers
        if _is_so(transfer, wanted)
        and (since is None or transfer.occurred_at >= since)
        and (until is None or transfer.occurred_at < until)
    ]
    if wanted.act != ActFilter():
        named = {each.seq: (book, each.campaign_no or 0, each.event_key) for each in found if each.event_key is not None}
        events = await event_log.events(pool, list(dict.fromkeys(named.values())))
        matching = {name for name, event in events.items() if wanted.act.matches(event)}
        found = [each for each in found if named.get(each.seq) in matching]
    if wanted.store_id is not None or wanted.terminal_id is not None:
        found = await _at_a_store(pool, book, wanted, found)
    return found


def _in_the_log(act: ActFilter) -> ActFilter:
    """What of it the statement that reads the log looks at."""
    return ActFilter(action=act.action, channel=act.channel, grade=act.grade)


def _is_so(transfer: Transfer, wanted: TransferFilter) -> bool:
    debit, credit = chart.describe_account(transfer.debit), chart.describe_account(transfer.credit)
    return (
        (wanted.verbs is None or transfer.verb in wanted.verbs)
        and wanted.campaign_no in {None, transfer.campaign_no}
        and wanted.account_class in {None, (credit if credit.kind <= Kind.SPENT else debit).account_class}
        and (wanted.since is None or transfer.accounting_date >= wanted.since)
        and (wanted.until is None or transfer.accounting_date <= wanted.until)
        and (wanted.customers is None or transfer.customer in wanted.customers)
        and (wanted.redemptions is None or _redemption_of(transfer) in wanted.redemptions)
    )


def _redemption_of(transfer: Transfer) -> int | None:
    names = (chart.describe_account(account) for account in (transfer.debit, transfer.credit))
    return next((name.number for name in names if name.owner is OwnerTag.REDEMPTION), None)


async def _at_a_store(
    pool: asyncpg.Pool[Any], book: Book, wanted: TransferFilter, transfers: Sequence[Transfer]
) -> list[Transfer]:
    """Those of redemptions at the store and terminal that was named with the step, or else where the redemption began."""
    steps = [(each, redemption) for each in transfers if (redemption := _redemption_of(each)) is not None]
    begun = [each.transaction_id if each.verb in _AT_A_POS else 0 for each, _ in steps]
    rows = await pool.fetch(_STORES, book.book_id, [redemption for _, redemption in steps], begun)
    return [
        each
        for (each, _), row in zip(steps, rows, strict=True)
        if wanted.store_id in {None, row["store_id"]} and wanted.terminal_id in {None, row["terminal_id"]}
    ]
