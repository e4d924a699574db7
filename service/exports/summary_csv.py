"""summary.csv: the summarised journal that a general ledger takes: a row a day, campaign, channel, verb and pair of accounts.

Rows are by accounting date. Memos, and what stays within what is owed, are left out. When a point gets another value, a row
``revalue`` says so, before those of its day. Memory grows with the rows that are written, not with the log.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, TextIO, TypeAlias

import msgspec

from ledger import AccountClass, PointValue, Verb, decimal_text
from service.exports.account_names import class_name
from service.exports.book_at_cut import LOOKED_UP_ROWS, BookAtCut
from service.exports.journal_accounts import BROUGHT_IN, GRANTED, OWED, summary_entry
from service.exports.spreadsheets import neutral
from service.exports.summary_money import Owed
from service.exports.totals import Totals

COLUMNS = (
    "date",
    "campaign",
    "channel",
    "verb",
    "class",
    "debit_account",
    "debit_code",
    "credit_account",
    "credit_code",
    "points",
    "amount",
    "currency",
    "transfers",
)
REVALUE = "revalue"
_REFUND = Verb.REFUND.name.lower()
_OPEN = Verb.OPEN.name.lower()
_LINES = (Path(__file__).with_name("sql") / "summary_lines.sql").read_text()

Summed: TypeAlias = dict[tuple[Any, ...], tuple[int, int]]
"""Points and transfers by day, campaign number, channel, verb, and kinds and classes of the accounts."""


class Row(msgspec.Struct, frozen=True):
    """A row: ``points`` and ``money`` (minor units; ``None`` while points have no value) from ``debit`` to ``credit``."""

    day: date
    campaign: str
    channel: str
    verb: str
    account_class: AccountClass
    debit: str
    credit: str
    points: int
    money: int | None
    transfers: int


async def write(book: BookAtCut, out: TextIO) -> Totals:
    """Write the summarised journal. Its debits and credits are those of the whole log, what it leaves out too."""
    summed = await _summed(book)
    moved = sum(points for points, _ in summed.values())
    written = csv.writer(out, lineterminator="\n")
    written.writerow(COLUMNS)
    rows, money = 0, 0
    unmapped: set[str] = set()
    for row in _rows(book, summed):
        codes = [book.bookkeeping.codes.code(account, row.day) for account in (row.debit, row.credit)]
        unmapped.update(account for account, code in zip((row.debit, row.credit), codes, strict=True) if not code)
        written.writerow(_cells(row, codes, book.bookkeeping.currency))
        rows, money = rows + 1, money + (row.money or 0)
    amount = decimal_text(money, book.bookkeeping.currency)
    return Totals(rows, moved, moved, amount, tuple(sorted(unmapped)))


async def _summed(book: BookAtCut) -> Summed:
    summed: Summed = {}
    async for page in _pages(book):
        for *key, points, transfers in page:
            at = tuple(key)
            before = summed.get(at, (0, 0))
            summed[at] = before[0] + points, before[1] + transfers
    return summed


async def _pages(book: BookAtCut) -> AsyncIterator[list[Any]]:
    async for page in book.log_pages(LOOKED_UP_ROWS):
        yield await book.pool.fetch(_LINES, *page, book.calendar.time_zone)


def _rows(book: BookAtCut, summed: Summed) -> Iterator[Row]:
    """All rows in order, each with its money."""
    owed = {account_class: Owed(account_class) for account_class in AccountClass}
    values = {since.starts_on: since.value for since in book.bookkeeping.values}
    moves = {
        day: list(rows)
        for day, rows in itertools.groupby(sorted(_moves(book.campaigns, summed), key=_place), key=lambda row: row.day)
    }
    for day in sorted({*values, *moves}):
        if (value := values.get(day)) is not None:
            for account_class, each in owed.items():
                yield from _revalued(day, account_class, each, value)
        yield from _with_money(moves.get(day, []), owed)


def _moves(campaigns: Mapping[int, str], summed: Summed) -> Iterator[Row]:
    for (day, campaign_no, channel, verb, debit, credit), (points, transfers) in summed.items():
        entry = summary_entry(debit, credit)
        if entry is not None:
            campaign = "" if campaign_no is None else campaigns.get(campaign_no, str(campaign_no))
            yield Row(day, campaign, channel or "", Verb(verb).name.lower(), *entry, points, None, transfers)


def _place(row: Row) -> tuple[Any, ...]:
    return row.day, row.campaign, row.channel, row.verb, row.account_class, row.debit, row.credit


def _with_money(rows: Sequence[Row], owed: Mapping[AccountClass, Owed]) -> list[Row]:
    """A day's rows with what each is in money: of points that keep their price, those that came are reckoned first."""
    money: dict[int, int | None] = {}
    for place in sorted(range(len(rows)), key=lambda at: _keeps_price(rows[at]) and not _came(rows[at])):
        row = rows[place]
        moved = owed[row.account_class].move(
            row.points if _gained(row) else -row.points, returned=row.verb == _REFUND, brought_in=row.verb == _OPEN
        )
        money[place] = None if moved is None else abs(moved)
    for each in owed.values():
        each.end_day()
    return [msgspec.structs.replace(row, money=money[place]) for place, row in enumerate(rows)]


def _keeps_price(row: Row) -> bool:
    return row.account_class is AccountClass.PURCHASE


def _gained(row: Row) -> bool:
    return row.credit == OWED[row.account_class]


def _came(row: Row) -> bool:
    return _gained(row) and row.verb != _REFUND


def _revalued(day: date, account_class: AccountClass, owed: Owed, value: PointValue) -> Iterator[Row]:
    """What a change of value books. The first one values what there is: what was brought in against the opening balance, in
    proportion to all that came by then.
    """
    is_first = owed.money is None
    change = owed.revalue(value)
    brought_in = change * owed.brought_in // owed.came if is_first and owed.came else 0
    for account, part in ((BROUGHT_IN[account_class], brought_in), (GRANTED[account_class], change - brought_in)):
        if part:
            debit, credit = (account, OWED[account_class]) if part > 0 else (OWED[account_class], account)
            yield Row(day, "", "", REVALUE, account_class, debit, credit, 0, abs(part), 0)


def _cells(row: Row, codes: list[str], currency: str) -> tuple[Any, ...]:
    return (
        row.day,
        neutral(row.campaign),
        row.channel,
        row.verb,
        class_name(row.account_class),
        row.debit,
        neutral(codes[0]),
        row.credit,
        neutral(codes[1]),
        row.points,
        "" if row.money is None else decimal_text(row.money, currency),
        "" if row.money is None else currency,
        row.transfers,
    )
