"""What both journals share: entries, what each account held at the cut, and what points are worth.

An entry is one transaction of the log, with two postings for each pair of accounts in it. A debit is positive, and the
commodity is the brand's points code, whose form both programs accept. What memo accounts gave is one entry a day and campaign.
After the log each account is declared together with what it held at the cut **by its running balance**, so that a journal
program that reads the file adds up the log on its own and compares: an independent check of our double entry.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from ledger import Verb
from service.exports.book_at_cut import LOOKED_UP_ROWS, BookAtCut
from service.exports.journal_accounts import GRANTED, USED, JournalAccount, JournalAccounts

_LINES = (Path(__file__).with_name("sql") / "journal_lines.sql").read_text()
_VERBS = {verb.value: verb.name.lower() for verb in Verb}
MEMO_USED = "memo"
"""What an entry of memo accounts says instead of a verb."""
_SUBJECTS_KEPT = 4_096


class Subject(msgspec.Struct, frozen=True):
    """What an entry is about: for people, and as tags for programs. Both have what users typed, as they typed it."""

    about: str = ""
    tags: tuple[tuple[str, str], ...] = ()


class Leg(msgspec.Struct, frozen=True, gc=False):
    """What an entry moves between two journal accounts."""

    debit: str
    credit: str
    amount: int


class Entry(msgspec.Struct, frozen=True):
    """A transaction, by its accounting date. ``what`` are its verbs: ``grant``, or ``capture, void``.

    ``number`` is the ``seq`` of its first transfer, ``None`` for what adds up many.
    """

    day: date
    number: int | None
    what: str
    subject: Subject
    legs: list[Leg]


class ClosingBalance(msgspec.Struct, frozen=True):
    """What a journal account held at the cut: debits less credits, as journals count. ``note`` names a campaign.

    ``debits`` and ``credits`` are those of our accounts in it.
    """

    account: str
    balance: int
    debits: int = 0
    credits: int = 0
    note: str = ""


Line: TypeAlias = Any
"""A row of ``journal_lines.sql``."""


async def entries(book: BookAtCut) -> AsyncIterator[Entry]:
    """The log's transactions, oldest first, and after each day what memo accounts gave on it.

    A transaction that counts on several days is an entry a day. However many transfers it has, its accounts are few.
    """
    writer = _Writer(book)
    transaction: _Transaction | None = None
    async for page in _pages(book):
        for line in page:
            if transaction is None or not transaction.has(line):
                if transaction is not None:
                    yield writer.entry(transaction)
                for entry in writer.memo(before=line["day"]):
                    yield entry
                transaction = _Transaction(line)
            writer.add(line, transaction)
    if transaction is not None:
        yield writer.entry(transaction)
    for entry in writer.memo():
        yield entry


class _Transaction:
    """What was read of a transaction so far."""

    __slots__ = ("amounts", "first", "verbs")

    def __init__(self, first: Line) -> None:
        self.first = first
        self.verbs: dict[int, None] = {}
        self.amounts: dict[tuple[str, str], int] = {}

    def has(self, line: Line) -> bool:
        """Whether a transfer is one of its transfers of the same day."""
        return line["transaction_id"] == self.first["transaction_id"] and line["day"] == self.first["day"]


class _Writer:
    """Turns transactions into entries, and keeps in mind what memo accounts gave since the day before."""

    def __init__(self, book: BookAtCut) -> None:
        self._account = JournalAccounts(sub_accounts=book.bookkeeping.sub_accounts)
        self._subject = functools.lru_cache(_SUBJECTS_KEPT)(_campaign_subjects(book))
        self._used: dict[tuple[date, int, str], int] = {}
        self._newest = date.min

    def entry(self, transaction: _Transaction) -> Entry:
        """The entry of one transaction."""
        first = transaction.first
        what = ", ".join([_VERBS[verb] for verb in transaction.verbs])
        if first["redemption"] is not None:
            subject = _redemption_subject(first)
        else:
            subject = self._subject(first["campaign_no"], first["channel"], first["action"])
        legs = [Leg(debit, credit, amount) for (debit, credit), amount in transaction.amounts.items()]
        return Entry(first["day"], first["transaction_id"], what, subject, legs)

    def add(self, line: Line, transaction: _Transaction) -> None:
        """Add a transfer to its transaction."""
        debit, credit, amount = self._account(line["debit"]), self._account(line["credit"]), line["amount"]
        debited, credited = debit.name, credit.name
        if debit.account_class is None and credit.account_class is not None:
            self._use(line, debit, amount)
            debited = GRANTED[credit.account_class]
        elif credit.account_class is None and debit.account_class is not None:
            self._use(line, credit, -amount)
            credited = GRANTED[debit.account_class]
        transaction.verbs[line["verb"]] = None
        between = debited, credited
        transaction.amounts[between] = transaction.amounts.get(between, 0) + amount

    def _use(self, line: Line, memo: JournalAccount, amount: int) -> None:
        key = line["day"], line["campaign_no"] or 0, memo.name
        self._used[key] = self._used.get(key, 0) + amount

    def memo(self, before: date | None = None) -> Iterator[Entry]:
        """What memo accounts gave to customers, once a day is over; without a day, all that is left."""
        if before is not None and before <= self._newest:
            return
        self._newest = before or self._newest
        for (day, campaign_no, account), amount in sorted(self._used.items()):
            if amount:
                yield Entry(day, None, MEMO_USED, self._subject(campaign_no or None, None, None), [_used(account, amount)])
        self._used.clear()


def _used(memo: str, amount: int) -> Leg:
    return Leg(memo, USED, amount) if amount > 0 else Leg(USED, memo, -amount)


def _campaign_subjects(book: BookAtCut) -> Callable[[int | None, str | None, str | None], Subject]:
    def subject(campaign_no: int | None, channel: str | None, action: str | None) -> Subject:
        if campaign_no is None:
            return Subject()
        campaign = book.campaigns.get(campaign_no, str(campaign_no))
        name = book.bookkeeping.campaign_names.get(campaign_no, campaign)
        return Subject(name, _tags(campaign=campaign, channel=channel, action=action))

    return subject


def _redemption_subject(line: Line) -> Subject:
    store = line["store_id"]
    return Subject(
        f"order {line['order_ref'] or 'erased'}" + (f" at {store}" if store else ""),
        _tags(
            redemption=f"R{line['redemption']}",
            order=line["order_ref"],
            ref=line["ref"],
            store=store,
            terminal=line["terminal_id"],
        ),
    )


def _tags(**tags: str | None) -> tuple[tuple[str, str], ...]:
    return tuple((name, text) for name, text in tags.items() if text)


async def _pages(book: BookAtCut) -> AsyncIterator[list[Line]]:
    """The log in pages. The next one is read while one is written."""
    ahead: asyncio.Task[list[Line]] | None = None
    try:
        async for page in book.log_pages(LOOKED_UP_ROWS):
            reading = asyncio.create_task(book.pool.fetch(_LINES, *page, book.calendar.time_zone))
            if ahead is not None:
                yield await ahead
            ahead = reading
        if ahead is not None:
            yield await ahead
    finally:
        if ahead is not None:
            ahead.cancel()


async def closing_balances(book: BookAtCut) -> AsyncIterator[ClosingBalance]:
    """Every journal account that was used up to the cut, and what it held.

    No account of ours holds what was granted: it is what all others of its class hold together.
    """
    account_of = JournalAccounts(sub_accounts=book.bookkeeping.sub_accounts)
    shared: dict[str, ClosingBalance] = {}
    granted: dict[str, int] = {}
    own: ClosingBalance | None = None
    async for page in book.accounts():
        for account, debits, credits in page:
            name = account_of(account)
            against = USED if name.account_class is None else GRANTED[name.account_class]
            granted[against] = granted.get(against, 0) + credits - debits
            closing = ClosingBalance(name.name, debits - credits, debits, credits, _note(name, book))
            if not name.is_owners:
                shared[name.name] = _together(shared.get(name.name), closing)
            elif own is not None and own.account == name.name:
                own = _together(own, closing)
            else:
                if own is not None:
                    yield own
                own = closing
    for closing in itertools.chain([own] if own else (), shared.values()):
        yield closing
    for name, balance in granted.items():
        yield ClosingBalance(name, balance)


def _together(one: ClosingBalance | None, other: ClosingBalance) -> ClosingBalance:
    if one is None:
        return other
    debits, credits = one.debits + other.debits, one.credits + other.credits
    return ClosingBalance(one.account, debits - credits, debits, credits, one.note)


def _note(account: JournalAccount, book: BookAtCut) -> str:
    return "" if account.campaign_no is None else book.campaigns.get(account.campaign_no, "")
