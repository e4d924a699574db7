"""What a customer has, and what happened to her points. Each read is one statement, so it is of one instant."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from ledger import chart
from ledger.chart import Kind, OwnerTag
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

# Timed-out holds and dead lots are shown as if what is due had been posted: see spendable_v1.
_BALANCE = """
SELECT
    head.seq,
    coalesce((
        SELECT json_agg(json_build_array(lot.class, nullif(lot.expires_on, 'infinity'), lot.points)
            ORDER BY lot.expires_on, lot.class)
        FROM (
            SELECT part.class, part.expires_on, sum(part.points)::bigint AS points
            FROM (
                SELECT get_byte(account.id, 11) & 15 AS class, account.expires_on, account.credits - account.debits AS points
                FROM ledger.account
                WHERE account.book_id = head.book_id
                    AND account.id >= ledger.account_owner_v1(1, $3) || '\\x10'::bytea
                    AND account.id < ledger.account_owner_v1(1, $3) || '\\x20'::bytea
                    AND account.credits > account.debits
                UNION ALL
                SELECT
                    get_byte(held.id, 11) & 15,
                    CASE
                        WHEN held.expires_on >= (hold.deadline AT TIME ZONE head.time_zone)::date THEN held.expires_on
                        ELSE (hold.deadline AT TIME ZONE head.time_zone)::date + head.grace_days
                    END,
                    held.credits - held.debits
                FROM ledger.redemption AS hold
                JOIN ledger.account AS held
                    ON held.book_id = hold.book_id
                    AND held.id >= ledger.account_owner_v1(3, hold.id) || '\\x30'::bytea
                    AND held.id < ledger.account_owner_v1(3, hold.id) || '\\x40'::bytea
                    AND held.credits > held.debits
                WHERE hold.book_id = head.book_id AND hold.customer = $3 AND hold.closed_at IS NULL
                    AND hold.deadline <= clock.at
            ) AS part
            WHERE part.expires_on >= (clock.at AT TIME ZONE head.time_zone)::date
            GROUP BY part.class, part.expires_on
        ) AS lot
    )::text, '[]') AS lots,
    coalesce((
        SELECT sum(held.credits - held.debits)
        FROM ledger.redemption AS hold
        JOIN ledger.account AS held
            ON held.book_id = hold.book_id
            AND held.id >= ledger.account_owner_v1(3, hold.id) || '\\x30'::bytea
            AND held.id < ledger.account_owner_v1(3, hold.id) || '\\x40'::bytea
        WHERE hold.book_id = head.book_id AND hold.customer = $3 AND hold.closed_at IS NULL AND hold.deadline > clock.at
    ), 0)::bigint AS held,
    coalesce((
        SELECT sum(account.credits - account.debits)
        FROM ledger.account
        WHERE account.book_id = head.book_id
            AND account.id >= ledger.account_owner_v1(1, $3) || '\\x20'::bytea
            AND account.id < ledger.account_owner_v1(1, $3) || '\\x30'::bytea
    ), 0)::bigint AS pending,
    (
        SELECT state.moved_to FROM ledger.customer_state AS state
        WHERE state.book_id = head.book_id AND state.customer = $3
    ) AS moved_to
FROM ledger.head
CROSS JOIN LATERAL (SELECT greatest(head.posted_at, clock_timestamp() + head.clock_offset) AS at OFFSET 0) AS clock
WHERE head.book_id = $1 AND head.brand_id = $2
"""

_SPENDABLE = """
SELECT head.seq, spendable.points, state.moved_to
FROM ledger.head
CROSS JOIN LATERAL (SELECT greatest(head.posted_at, clock_timestamp() + head.clock_offset) AS at OFFSET 0) AS clock
CROSS JOIN LATERAL (
    SELECT EXISTS (
        SELECT FROM ledger.redemption AS hold
        WHERE hold.book_id = head.book_id AND hold.closed_at IS NULL AND hold.deadline <= clock.at
    ) AS holds OFFSET 0
) AS due
CROSS JOIN LATERAL unnest($3::bigint[]) WITH ORDINALITY AS wanted (customer, place)
CROSS JOIN LATERAL ledger.spendable_v1(
    head.book_id, wanted.customer, clock.at, (clock.at AT TIME ZONE head.time_zone)::date, head.time_zone, head.grace_days,
    due.holds
) AS spendable
LEFT JOIN ledger.customer_state AS state ON state.book_id = head.book_id AND state.customer = wanted.customer
WHERE head.book_id = $1 AND head.brand_id = $2
ORDER BY wanted.place
"""

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
    SELECT event.key, event.outcome, event.channel, event.window_at, event.points, event.seq, event.decided_at
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
CROSS JOIN LATERAL (SELECT CASE part.outcome WHEN 1 THEN part.seq <= $4 ELSE part.decided_at <= $5 END AS is) AS counted
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
_STATEMENT = """
SELECT
    transfer.seq, transfer.posted_at, transfer.occurred_at, transfer.verb, transfer.debit, transfer.credit, transfer.amount,
    transfer.campaign_no, transfer.event_key
FROM ledger.transfer
JOIN ledger.head ON head.book_id = transfer.book_id AND head.brand_id = $2
WHERE transfer.book_id = $1 AND transfer.customer = $3 AND transfer.seq < coalesce($4, 9223372036854775807)
    AND 1 IN (get_byte(transfer.debit, 11) >> 4, get_byte(transfer.credit, 11) >> 4)
ORDER BY transfer.seq DESC
LIMIT $5
"""


async def balance(pool: asyncpg.Pool[Any], book: Book, customer: int) -> Balance:
    """What ``customer`` has now. A customer who never earned has nothing."""
    row = await pool.fetchrow(_BALANCE, book.book_id, book.brand_id, customer)
    if row is None:
        raise BookRefused(f"book {book.book_id} is not a book of brand {book.brand_id}")
    lots = tuple(
        Lot(AccountClass(account_class), expires_on, points)
        for account_class, expires_on, points in msgspec.json.decode(row["lots"], type=list[tuple[int, Any, int]])
    )
    lots = msgspec.convert(msgspec.to_builtins(lots), tuple[Lot, ...])
    return Balance(
        spendable=sum(lot.points for lot in lots),
        held=row["held"],
        pending=row["pending"],
        lots=lots,
        seq=row["seq"],
        moved_to=row["moved_to"],
    )


async def spendable(pool: asyncpg.Pool[Any], book: Book, customers: Sequence[int]) -> list[Spendable]:
    """What each of ``customers`` can spend now, in order."""
    if not customers:
        return []
    rows = await pool.fetch(_SPENDABLE, book.book_id, book.brand_id, customers)
    if not rows:
        raise BookRefused(f"book {book.book_id} is not a book of brand {book.brand_id}")
    return [Spendable(row["points"], row["seq"], row["moved_to"]) for row in rows]


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
    rows = await pool.fetch(_STATEMENT, book.book_id, book.brand_id, customer, before, limit)
    return [_entry(row) for row in rows]


def _entry(row: Any) -> Entry:
    debit = chart.describe_account(row["debit"])
    credit = chart.describe_account(row["credit"])
    gained = credit.owner == OwnerTag.CUSTOMER and credit.kind == Kind.LOT
    lost = debit.owner == OwnerTag.CUSTOMER and debit.kind == Kind.LOT
    redemption = next((name.number for name in (debit, credit) if name.owner == OwnerTag.REDEMPTION), None)
    return Entry(
        seq=row["seq"],
        posted_at=row["posted_at"],
        occurred_at=row["occurred_at"],
        verb=Verb(row["verb"]).name.lower(),
        points=row["amount"] * (gained - lost),
        expires_on=credit.expires_on if gained else debit.expires_on,
        campaign_no=row["campaign_no"],
        event_key=row["event_key"],
        redemption=redemption,
    )
