"""What a customer has, and what happened to her points. Each read is one statement, so it is of one instant."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Any

import asyncpg
import msgspec

from ledger import chart
from ledger.errors import BookRefused
from ledger.types import (
    AccountClass,
    Balance,
    Book,
    Decisions,
    Entry,
    GrantOutcome,
    GrantResult,
    Lot,
    Reconciliation,
    Spendable,
    Verb,
)

_DECISIONS_AT_ONCE = 20_000
"""How many events one statement counts: well below the five seconds that a statement may take, also from a cold disk."""

_BALANCES = "SELECT seq, lots, held, pending, moved_to, generation FROM ledger.balances_v1($1, $2, $3)"

_SPENDABLE = "SELECT points, seq, moved_to, generation FROM ledger.spendable_now_v1($1, $2, $3)"

# What a rejection gives back is credited to the budget as a funding is, and was debited before.
_BUDGETS = """
SELECT
    account.id, funding.points AS funded, account.debits - (account.credits - funding.points) AS granted
FROM ledger.account
JOIN ledger.head ON head.book_id = account.book_id AND head.brand_id = $2
CROSS JOIN LATERAL (
    SELECT coalesce(sum(transfer.amount), 0)::bigint AS points
    FROM ledger.transfer
    WHERE transfer.book_id = account.book_id AND transfer.verb = 1
        AND transfer.campaign_no = ('x' || encode(substring(account.id FROM 8 FOR 4), 'hex'))::bit(32)::integer
) AS funding
WHERE account.book_id = $1 AND account.id = ANY($3::bytea[])
"""

# By the book's clock: a refusal moves no head, so the head's own time may lie before decisions that are there already.
_BUDGET_AT_HEAD = """
SELECT
    head.seq, greatest(head.posted_at, clock_timestamp() + head.clock_offset) AS at,
    funding.points AS funded, coalesce(account.debits - (account.credits - funding.points), 0) AS granted
FROM ledger.head
LEFT JOIN ledger.account ON account.book_id = head.book_id AND account.id = $3
CROSS JOIN LATERAL (
    SELECT coalesce(sum(transfer.amount), 0)::bigint AS points
    FROM ledger.transfer
    WHERE transfer.book_id = head.book_id AND transfer.verb = 1 AND transfer.campaign_no = $4
) AS funding
WHERE head.book_id = $1 AND head.brand_id = $2
"""

_DECISIONS = """
WITH part AS (
    SELECT event.key, event.outcome, event.channel, event.window_at, event.points, event.seq,
        event.place, event.decided_at
    FROM ledger.event
    WHERE event.book_id = $1 AND event.campaign_no = $2 AND event.key > $3
    ORDER BY event.key
    LIMIT $6
), last AS (
    SELECT part.key FROM part ORDER BY part.key DESC LIMIT 1
)
SELECT
    part.outcome, part.channel, date_trunc('hour', part.window_at, 'UTC') AS hour,
    count(*) FILTER (WHERE counted.is) AS events,
    coalesce(sum(part.points) FILTER (WHERE counted.is), 0)::bigint AS points,
    (SELECT last.key FROM last) AS last
FROM part
CROSS JOIN LATERAL (SELECT CASE WHEN part.place IS NULL THEN part.seq <= $4 ELSE part.decided_at <= $5 END AS is) AS counted
GROUP BY part.outcome, part.channel, hour
"""

_DECISION = """
SELECT event.outcome, event.points, event.seq, event.key, coalesce(state.moved_to, event.customer) AS customer
FROM ledger.event
JOIN ledger.head ON head.book_id = event.book_id AND head.brand_id = $2
LEFT JOIN ledger.customer_state AS state ON state.book_id = event.book_id AND state.customer = event.customer
WHERE event.book_id = $1 AND event.campaign_no = $3 AND event.key = ANY($4::bytea[])
ORDER BY CASE WHEN event.outcome IN (1, 6) THEN 0 WHEN event.outcome <> 4 THEN 1 ELSE 2 END, event.seq, event.place NULLS FIRST
LIMIT 1
"""

# A line is a transfer to or from a lot: no capture, which spends what an authorization has taken from the wallet already, and
# nothing of points that are held back.
# The lot's side of each transfer: points are positive where the lot is credited.
_STATEMENTS = """
SELECT
    wanted.customer, line.seq, line.posted_at, line.occurred_at, line.verb,
    CASE WHEN line.gained THEN line.amount ELSE 0 END - CASE WHEN line.lost THEN line.amount ELSE 0 END,
    nullif(ledger.account_expires_on_v1(line.lot), 'infinity'),
    line.campaign_no, line.event_key,
    CASE WHEN get_byte(line.other, 0) = 3 THEN line.other END
FROM ledger.head
CROSS JOIN LATERAL unnest($3::bigint[]) WITH ORDINALITY AS wanted (customer, place)
CROSS JOIN LATERAL (
    SELECT
        transfer.*, side.gained, side.lost,
        CASE WHEN side.gained THEN transfer.credit ELSE transfer.debit END AS lot,
        CASE WHEN side.gained THEN transfer.debit ELSE transfer.credit END AS other
    FROM ledger.transfer
    CROSS JOIN LATERAL (
        SELECT
            get_byte(transfer.credit, 0) = 1 AND get_byte(transfer.credit, 11) >> 4 = 1 AS gained,
            get_byte(transfer.debit, 0) = 1 AND get_byte(transfer.debit, 11) >> 4 = 1 AS lost
    ) AS side
    WHERE transfer.book_id = head.book_id AND transfer.customer = wanted.customer
        AND transfer.seq < coalesce($4, 9223372036854775807)
        AND 1 IN (get_byte(transfer.debit, 11) >> 4, get_byte(transfer.credit, 11) >> 4)
    ORDER BY transfer.seq DESC
    LIMIT $5
) AS line
WHERE head.book_id = $1 AND head.brand_id = $2
ORDER BY wanted.place, line.seq DESC
"""


class _LotRow(msgspec.Struct, array_like=True):
    account_class: AccountClass
    expires_on: date | None
    points: int


_decode_lots = msgspec.json.Decoder(list[_LotRow]).decode
_VERBS = {verb: verb.name.lower() for verb in Verb}


async def balance(pool: asyncpg.Pool[Any], book: Book, customer: int) -> Balance:
    """What ``customer`` has now. A customer who never earned has nothing."""
    return (await balances(pool, [(book, customer)]))[book, customer]


async def balances(pool: asyncpg.Pool[Any], wanted: Sequence[tuple[Book, int]]) -> dict[tuple[Book, int], Balance]:
    """The same for many customers, in one statement for each book."""
    found: dict[tuple[Book, int], Balance] = {}
    for book in dict.fromkeys(book for book, _ in wanted):
        customers = [customer for of, customer in wanted if of == book]
        rows = await pool.fetch(_BALANCES, book.book_id, book.brand_id, customers)
        if not rows:
            raise BookRefused(f"book {book.book_id} is not a book of brand {book.brand_id}")
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
    """What each of ``customers`` can spend now, in order."""
    if not customers:
        return []
    rows = await pool.fetch(_SPENDABLE, book.book_id, book.brand_id, customers)
    if not rows:
        raise BookRefused(f"book {book.book_id} is not a book of brand {book.brand_id}")
    return [Spendable(row["points"], row["seq"], row["moved_to"], row["generation"]) for row in rows]


async def budgets(pool: asyncpg.Pool[Any], book: Book, campaign_nos: Sequence[int]) -> list[tuple[int, int]]:
    """What each campaign's budget was funded with and what of it is granted or held back, in order."""
    accounts = [chart.budget(campaign_no) for campaign_no in campaign_nos]
    rows = await pool.fetch(_BUDGETS, book.book_id, book.brand_id, accounts)
    sums = {row["id"]: (row["funded"], row["granted"]) for row in rows}
    return [sums.get(account, (0, 0)) for account in accounts]


async def reconcile(pool: asyncpg.Pool[Any], book: Book, campaign_no: int) -> Reconciliation:
    """What a campaign decided up to the book's head of now, and its budget there.

    Read in pages by key, since no statement of ours may take long: granted events are those up to the head's ``seq``, which is
    exact; one that waited then and is decided while this reads is not counted.
    """
    row = await pool.fetchrow(_BUDGET_AT_HEAD, book.book_id, book.brand_id, chart.budget(campaign_no), campaign_no)
    if row is None:
        raise BookRefused(f"book {book.book_id} is not a book of brand {book.brand_id}")
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
        decisions=tuple(
            Decisions(outcome, channel, hour, events, points)
            for (outcome, channel, hour), (events, points) in sorted(counts.items(), key=lambda item: (item[0][2], item[0]))
        ),
    )


async def decision(pool: asyncpg.Pool[Any], book: Book, campaign_no: int, keys: Sequence[bytes]) -> GrantResult | None:
    """What was decided on an event under one of its keys, with what its customer can spend now.

    ``None`` for an event that nobody has reported.
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
