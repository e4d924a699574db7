"""What a customer has, and what happened to their points. Each read is one statement, so it is of one instant."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from ledger import chart
from ledger.errors import BookRefused
from ledger.read_models import Balance, Decisions, Entry, Lot, Reconciliation, Spendable
from ledger.types import AccountClass, Book, CapUse, GrantOutcome, GrantResult, Verb

_DECISIONS_AT_ONCE = 20_000
"""How many events one statement counts: well below the five seconds that a statement may take, also from a cold disk."""

_SQL = Path(__file__).with_name("sql")
_BALANCES = "SELECT seq, lots, held, pending, moved_to, generation FROM ledger.balances_v1($1, $2, $3)"

_SPENDABLE = "SELECT points, seq, moved_to, generation FROM ledger.spendable_now_v1($1, $2, $3)"

_ISSUE_LIMIT = (_SQL / "issue_limit.sql").read_text()
_BUDGETS = (_SQL / "budgets.sql").read_text()
_CAP_USES = (_SQL / "cap_uses.sql").read_text()
_BUDGET_AT_HEAD = (_SQL / "budget_at_head.sql").read_text()
_DECISIONS = (_SQL / "decisions.sql").read_text()
_DECISION = (_SQL / "decision.sql").read_text()
_STATEMENTS = (_SQL / "statements.sql").read_text()


class _LotRow(msgspec.Struct, array_like=True):
    account_class: AccountClass
    expires_on: date | None
    points: int


_decode_lots = msgspec.json.Decoder(list[_LotRow]).decode
_VERBS = {verb: verb.name.lower() for verb in Verb} | {Verb.TIME_OUT: "void"}


async def balance(pool: asyncpg.Pool[Any], book: Book, customer: int) -> Balance:
    """What ``customer`` has now: nothing, if they never earned. Raises ``BookRefused``."""
    return (await balances(pool, [(book, customer)]))[book, customer]


async def balances(pool: asyncpg.Pool[Any], wanted: Sequence[tuple[Book, int]]) -> dict[tuple[Book, int], Balance]:
    """The same for many customers, in one statement for each book."""
    found: dict[tuple[Book, int], Balance] = {}
    for book in dict.fromkeys(book for book, _ in wanted):
        customers = [customer for of, customer in wanted if of == book]
        rows = await pool.fetch(_BALANCES, book.book_id, book.brand_id, customers)
        if not rows:
            raise BookRefused.of(book)
        found |= {(book, customer): _balance(*row) for customer, row in zip(customers, rows, strict=True)}
    return found


def _balance(seq: int, lots_json: str, held: int, pending: int, moved_to: int | None, generation: int) -> Balance:
    lots = tuple([Lot(lot.account_class, lot.expires_on, lot.points) for lot in _decode_lots(lots_json)])
    return Balance(
        spendable=sum([lot.points for lot in lots]),
        held=held,
        pending=pending,
        lots=lots,
        seq=seq,
        moved_to=moved_to,
        generation=generation,
    )


async def spendable(pool: asyncpg.Pool[Any], book: Book, customers: Sequence[int]) -> list[Spendable]:
    """The points each of ``customers`` can spend now, in order. Raises ``BookRefused``."""
    if not customers:
        return []
    rows = await pool.fetch(_SPENDABLE, book.book_id, book.brand_id, customers)
    if not rows:
        raise BookRefused.of(book)
    return [Spendable(row["points"], row["seq"], row["moved_to"], row["generation"]) for row in rows]


async def budgets(pool: asyncpg.Pool[Any], book: Book, campaign_nos: Sequence[int]) -> list[tuple[int, int]]:
    """What each campaign's budget was funded with and what it has granted or holds back, without what was taken back, in points
    and in order.
    """
    accounts = [chart.budget(campaign_no) for campaign_no in campaign_nos]
    rows = await pool.fetch(_BUDGETS, book.book_id, book.brand_id, accounts)
    sums = {row["id"]: (row["funded"], row["granted"]) for row in rows}
    return [sums.get(account, (0, 0)) for account in accounts]


async def cap_uses(pool: asyncpg.Pool[Any], book: Book, campaign_no: int, uses: Sequence[CapUse]) -> list[int]:
    """How many points each of these has counted in its calendar period for all, or its group, in order."""
    columns = [use.cap for use in uses], [use.period for use in uses], [use.group for use in uses]
    return [row["points"] for row in await pool.fetch(_CAP_USES, book.book_id, campaign_no, *columns)]


async def issue_limit(pool: asyncpg.Pool[Any], book: Book) -> tuple[int, int]:
    """How many points a brand may ever issue, and how many it has issued. Raises ``BookRefused``."""
    row = await pool.fetchrow(_ISSUE_LIMIT, book.book_id, book.brand_id)
    if row is None:
        raise BookRefused.of(book)
    return row["issue_limit"], row["issued"]


async def reconcile(pool: asyncpg.Pool[Any], book: Book, campaign_no: int) -> Reconciliation:
    """A campaign's decisions up to the book's head of now, and its budget there. Raises ``BookRefused``.

    The decisions are read in pages by key, since no statement may take long. Granted events are exactly those up to the head's
    ``seq``; an event that waits and is decided during the read is not counted.
    """
    row = await pool.fetchrow(_BUDGET_AT_HEAD, book.book_id, book.brand_id, chart.budget(campaign_no), campaign_no)
    if row is None:
        raise BookRefused.of(book)
    counts: dict[tuple[GrantOutcome, str, datetime], tuple[int, int]] = {}
    after: bytes | None = b""
    while after is not None:
        part = await pool.fetch(_DECISIONS, book.book_id, campaign_no, after, row["seq"], row["at"], _DECISIONS_AT_ONCE)
        for outcome, channel, hour, events, points, _ in part:
            known = counts.get((GrantOutcome(outcome), channel, hour), (0, 0))
            if events:
                counts[GrantOutcome(outcome), channel, hour] = (known[0] + events, known[1] + points)
        after = part[0]["last"] if part else None
    return Reconciliation(
        seq=row["seq"],
        at=row["at"],
        funded=row["funded"],
        granted=row["granted"],
        clawed_back=row["clawed_back"],
        adjusted=row["adjusted"],
        decisions=tuple(
            Decisions(outcome, channel, hour, events, points)
            for (outcome, channel, hour), (events, points) in sorted(counts.items(), key=lambda item: (item[0][2], item[0]))
        ),
    )


async def decision(pool: asyncpg.Pool[Any], book: Book, campaign_no: int, keys: Sequence[bytes]) -> GrantResult | None:
    """How an event was decided, under whichever of its keys, with what its customer can spend now; ``None`` if it was never
    reported.
    """
    row = await pool.fetchrow(_DECISION, book.book_id, book.brand_id, campaign_no, keys)
    if row is None:
        return None
    now = await balance(pool, book, row["customer"])
    return GrantResult(
        outcome=GrantOutcome(row["outcome"]),
        points=row["points"],
        seq=row["seq"],
        replayed=True,
        balance=now.spendable,
        balance_seq=now.seq,
        key=row["key"],
    )


async def statement(
    pool: asyncpg.Pool[Any], book: Book, customer: int, *, before: int | None = None, limit: int = 100
) -> list[Entry]:
    """What changed a customer's spendable points, newest first; ``before`` is the last ``seq`` of the page before."""
    return (await statements(pool, [(book, customer)], before=before, limit=limit))[book, customer]


async def statements(
    pool: asyncpg.Pool[Any], wanted: Collection[tuple[Book, int]], *, before: int | None = None, limit: int = 100
) -> dict[tuple[Book, int], list[Entry]]:
    """The same for many customers, in one statement for each book."""
    found: dict[tuple[Book, int], list[Entry]] = {each: [] for each in wanted}
    for book in dict.fromkeys(book for book, _ in wanted):
        customers = [customer for of, customer in wanted if of == book]
        rows = await pool.fetch(_STATEMENTS, book.book_id, book.brand_id, customers, before, limit)
        for customer, seq, posted_at, occurred_at, verb, points, expires_on, campaign_no, event_key, other in rows:
            redemption = None if other is None else chart.number_of(other)
            found[book, customer].append(
                Entry(seq, posted_at, occurred_at, _VERBS[verb], points, expires_on, campaign_no, event_key, redemption)
            )
    return found
