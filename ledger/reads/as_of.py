"""The book as of an instant: what was posted up to then, and what fell due by then, whenever that is posted.

    trial_balance      by line
    account_balances   a page of accounts, by id
    transfers          a page of the log, and behind it what fell due by then and was posted later

Three things fall due by themselves: lots after their last day, and holds and held-back points at their deadlines. What a hold
gives back that was to be taken back before is taken at its deadline too. A sweeper posts them some time after, and it must not
matter when. So a book as of an instant is

    the log up to the instant
    + transfers after it of what fell due by the instant
    + what fell due by the instant and is not posted yet, as its posting will be

Why that is exact, and the same whenever it is asked for: whatever debits a wallet first posts what is due on it, in the same
transaction, so nothing comes between. A hold past its deadline, held-back points past theirs and a lot past its last day are
only ever moved by what posts dues, whole, to the accounts they had at their deadline. Nothing is put on a lot past its last
day but the release of a hold as of its deadline. Posting what fell due therefore moves it from the third part to the second,
by the same accounts and the same points, and no other posting touches either part.

It follows that a lot past its last day is empty, and its points are breakage: so lots, of which millions may die in one night,
are never listed. Holds and held-back points are, but only as many as the sweeper was behind at the instant.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import msgspec

from ledger import chart
from ledger.books import head
from ledger.chart import Kind, OwnerTag
from ledger.instants import EPOCH
from ledger.read_models import AsOf, Transfer, TrialBalance
from ledger.reads import trial_balance
from ledger.reads.trial_balance import AccountRange
from ledger.types import AccountClass, Book, Verb

LOG_ROWS = 200_000
"""How much of the log one statement searches for what fell due."""
_DUES_READ = 5_000
_REMEMBERED = 8

_SQL = Path(__file__).with_name("sql")
_HOLDS = (_SQL / "due_holds.sql").read_text()
_HELD_BACK = (_SQL / "due_held_back.sql").read_text()
_CLAW_BACKS = (_SQL / "due_claw_backs.sql").read_text()
_POSTED = (_SQL / "posted_dues.sql").read_text()
_POSTED_SEQS = "SELECT seq FROM ledger.fell_due_v1($1, $2, $3, $4, $5, $6, $7)"

_BREAKAGE = {account_class: chart.account_id(OwnerTag.HOUSE, 0, Kind.BREAKAGE, account_class) for account_class in AccountClass}


class Due(NamedTuple):
    """What a deadline moved: all that was in a hold's account, what one event held back, or, on ``day``, what was taken back of
    an event's points that holds gave back to one lot.
    """

    debit: bytes
    credit: bytes
    amount: int
    day: date | None = None


_Name = tuple[int, bytes, bytes, date | None]
"""What a due is the only one of: a hold's account; a campaign and an event; these, a lot and a day."""


class _Reckoned(msgspec.Struct):
    """What fell due by an instant and was not posted by then."""

    dues: list[Due]
    lines: dict[bytes, tuple[int, int]] | None = None
    expired: dict[bytes, int] = {}


class Reckoner:
    """Reads books as of instants. What fell due by an instant never changes, so that of the last few is remembered."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool
        self._known: OrderedDict[tuple[Book, AsOf], _Reckoned] = OrderedDict()

    async def trial_balance(self, book: Book, as_of: AsOf) -> TrialBalance:
        """Every account's debits and credits, by line."""
        return trial_balance.of_sums(as_of.cut, await self.line_sums(book, as_of))

    async def line_sums(self, book: Book, as_of: AsOf) -> dict[bytes, tuple[int, int]]:
        """Debits and credits by line."""
        return (await self._with_lines(book, as_of)).lines or {}

    async def due_claw_backs(self, book: Book, as_of: AsOf) -> list[Due]:
        """What was taken back of holds that timed out by the instant and were not released by then."""
        return [due for due in (await self._of(book, as_of)).dues if due.day is not None]

    async def points_due(self, book: Book, as_of: AsOf) -> int:
        """How many points fell due by the instant and were not posted by then."""
        known = await self._with_lines(book, as_of)
        return sum(due.amount for due in known.dues) + sum(known.expired.values())

    async def account_balances(
        self, book: Book, as_of: AsOf, *, after: bytes | None = None, limit: int = 10_000
    ) -> list[tuple[bytes, int, int]]:
        """A page of accounts, by id: ``(id, debits, credits)``. ``after`` is the last id before the page."""
        page: list[tuple[bytes, int, int]] = []
        ranges = trial_balance.account_ranges(self._pool, book, as_of.cut, after=after or b"", accounts=limit)
        async for part in ranges:
            page += await self._account_sums(book, as_of, part)
            if len(page) >= limit:
                break
        return page[:limit]

    async def _account_sums(self, book: Book, as_of: AsOf, part: AccountRange) -> list[tuple[bytes, int, int]]:
        sums = {account: (debits, credits_) for account, debits, credits_ in await trial_balance.account_sums(self._pool, part)}
        known = await self._of(book, as_of)
        for due in known.dues:
            if part.after < due.debit <= part.until:
                _add(sums, due.debit, due.amount, 0)
            if part.after < due.credit <= part.until:
                _add(sums, due.credit, 0, due.amount)
        _expire(sums, as_of)
        # All of the book is added up for breakage, so only where it is read.
        if any(part.after < account <= part.until for account in _BREAKAGE.values()):
            for account, points in (await self._with_lines(book, as_of)).expired.items():
                if part.after < account <= part.until:
                    _add(sums, account, 0, points)
        return [(account, *sums[account]) for account in sorted(sums)]

    async def transfers(self, book: Book, as_of: AsOf, *, after: int, limit: int) -> list[Transfer]:
        """A page of the log up to the instant, and behind it what fell due by then and was posted later."""
        page = await trial_balance.transfers(self._pool, book, after=after, cut=as_of.cut.seq, limit=limit)
        if len(page) < limit:
            seqs = await self._posted_late(book, as_of, after=after, limit=limit - len(page))
            page += await trial_balance.transfers_numbered(self._pool, book, seqs)
        return page

    async def _posted_late(self, book: Book, as_of: AsOf, *, after: int, limit: int) -> list[int]:
        seqs: list[int] = []
        until = (await head(self._pool, book)).seq
        for begin in range(max(after, as_of.cut.seq), until, LOG_ROWS):
            piece = (begin, min(begin + LOG_ROWS, until), limit - len(seqs))
            rows = await self._pool.fetch(_POSTED_SEQS, book.book_id, as_of.cut.seq, as_of.at, as_of.day, *piece)
            seqs += [row["seq"] for row in rows]
            if len(seqs) == limit:
                break
        return seqs

    async def _with_lines(self, book: Book, as_of: AsOf) -> _Reckoned:
        known = await self._of(book, as_of)
        if known.lines is None:
            sums = await trial_balance.line_sums(self._pool, book, as_of.cut)
            for due in known.dues:
                _add(sums, _line(due.debit), due.amount, 0)
                _add(sums, _line(due.credit), 0, due.amount)
            known.expired = _expire(sums, as_of)
            for account, points in known.expired.items():
                _add(sums, account, 0, points)
            known.lines = sums
        return known

    async def _of(self, book: Book, as_of: AsOf) -> _Reckoned:
        known = self._known.get((book, as_of))
        if known is None:
            known = self._known[book, as_of] = _Reckoned(await self._dues(book, as_of))
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return known

    async def _dues(self, book: Book, as_of: AsOf) -> list[Due]:
        """Holds and held-back points that fell due by the instant and were posted later or not yet."""
        found: dict[_Name, Due] = {}
        await self._unposted_holds(book, as_of, found)
        await self._unposted_held_back(book, as_of, found)
        await self._unposted_claw_backs(book, as_of, found)
        # Read last: what is posted during the reading is found twice, which is once, and never missed.
        return list((found | await self._posted(book, as_of)).values())

    async def _posted(self, book: Book, as_of: AsOf) -> dict[_Name, Due]:
        found: dict[_Name, Due] = {}
        until = (await head(self._pool, book)).seq
        for begin in range(as_of.cut.seq, until, LOG_ROWS):
            piece = (begin, min(begin + LOG_ROWS, until))
            for row in await self._pool.fetch(_POSTED, book.book_id, as_of.cut.seq, as_of.at, *piece):
                if row["verb"] == Verb.CLAWBACK:
                    _find_claw_back(found, row)
                else:
                    name = (row["campaign_no"], row["event_key"] or row["debit"], b"", None)
                    found[name] = Due(row["debit"], row["credit"], row["amount"])
        return found

    async def _unposted_holds(self, book: Book, as_of: AsOf, found: dict[_Name, Due]) -> None:
        after = (EPOCH, 0)
        while rows := await self._pool.fetch(_HOLDS, book.book_id, as_of.at, as_of.cut.seq, *after, _DUES_READ):
            for row in rows:
                found[0, row["debit"], b"", None] = Due(row["debit"], row["credit"], row["amount"])
            after = rows[-1]["deadline"], rows[-1]["id"]

    async def _unposted_held_back(self, book: Book, as_of: AsOf, found: dict[_Name, Due]) -> None:
        after = (EPOCH, b"")
        while rows := await self._pool.fetch(_HELD_BACK, book.book_id, as_of.at, as_of.cut.seq, *after, _DUES_READ):
            for row in rows:
                if row["is_in"]:
                    found[row["campaign_no"], row["key"], b"", None] = Due(row["debit"], row["credit"], row["amount"])
            after = rows[-1]["due_at"], rows[-1]["key"]

    async def _unposted_claw_backs(self, book: Book, as_of: AsOf, found: dict[_Name, Due]) -> None:
        for row in await self._pool.fetch(_CLAW_BACKS, book.book_id, as_of.at, as_of.cut.seq):
            _find_claw_back(found, row)


def _find_claw_back(found: dict[_Name, Due], row: asyncpg.Record) -> None:
    """Add to what was taken back of an event's points from one lot on a day: several holds may have given back some."""
    name = (row["campaign_no"], row["event_key"], row["debit"], row["day"])
    before = found[name].amount if name in found else 0
    found[name] = Due(row["debit"], row["credit"], before + row["amount"], row["day"])


def _add(sums: dict[bytes, tuple[int, int]], account: bytes, debits: int, credits_: int) -> None:
    known = sums.get(account, (0, 0))
    sums[account] = known[0] + debits, known[1] + credits_


def _line(account: bytes) -> bytes:
    """The line of the trial balance that an account is added to: ``account_line_v1``."""
    personal = account[0] in (OwnerTag.CUSTOMER, OwnerTag.REDEMPTION)
    return account[:1] + bytes(10) + account[chart.OWNER_BYTES :] if personal else account


def _expire(sums: dict[bytes, tuple[int, int]], as_of: AsOf) -> dict[bytes, int]:
    """Empty the lots past their last day. Returns what that gives to each account of breakage."""
    expired: dict[bytes, int] = {}
    first_day = chart.tail(Kind.LOT, AccountClass.ENGAGEMENT, as_of.day)[1:]
    for account, (debits, credits_) in sums.items():
        kind, account_class = divmod(account[chart.OWNER_BYTES], 16)
        if kind == Kind.LOT and account[chart.OWNER_BYTES + 1 :] < first_day and credits_ > debits:
            sums[account] = credits_, credits_
            breakage = _BREAKAGE[AccountClass(account_class)]
            expired[breakage] = expired.get(breakage, 0) + credits_ - debits
    return expired
