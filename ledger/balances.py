"""What a customer has, and what happened to her points. Each read is one statement, so it is of one instant."""

from __future__ import annotations

from typing import Any

import asyncpg
import msgspec

from ledger import chart
from ledger.chart import Kind, OwnerTag
from ledger.errors import BookRefused
from ledger.types import AccountClass, Balance, Book, Entry, GrantOutcome, GrantResult, Lot, Verb

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
    ), 0)::bigint AS pending
FROM ledger.head
CROSS JOIN LATERAL (SELECT greatest(head.posted_at, clock_timestamp() + head.clock_offset) AS at OFFSET 0) AS clock
WHERE head.book_id = $1 AND head.brand_id = $2
"""

_BUDGET = """
SELECT account.credits, account.debits
FROM ledger.account
JOIN ledger.head ON head.book_id = account.book_id AND head.brand_id = $2
WHERE account.book_id = $1 AND account.id = $3
"""

_DECISION = """
SELECT event.outcome, event.points, event.seq, event.customer
FROM ledger.event
JOIN ledger.head ON head.book_id = event.book_id AND head.brand_id = $2
WHERE event.book_id = $1 AND event.campaign_no = $3 AND event.key = $4
"""

_STATEMENT = """
SELECT
    transfer.seq, transfer.posted_at, transfer.occurred_at, transfer.verb, transfer.debit, transfer.credit, transfer.amount,
    transfer.campaign_no, transfer.event_key
FROM ledger.transfer
JOIN ledger.head ON head.book_id = transfer.book_id AND head.brand_id = $2
WHERE transfer.book_id = $1 AND transfer.customer = $3 AND transfer.seq < coalesce($4, 9223372036854775807)
    AND transfer.verb <> 7  -- a capture spends what an authorization has taken from the wallet already
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
        spendable=sum(lot.points for lot in lots), held=row["held"], pending=row["pending"], lots=lots, seq=row["seq"]
    )


async def budget(pool: asyncpg.Pool[Any], book: Book, campaign_no: int) -> tuple[int, int]:
    """What a campaign's budget was funded with and what was granted from it."""
    row = await pool.fetchrow(_BUDGET, book.book_id, book.brand_id, chart.budget(campaign_no))
    return (0, 0) if row is None else (row["credits"], row["debits"])


async def decision(pool: asyncpg.Pool[Any], book: Book, campaign_no: int, key: bytes) -> GrantResult | None:
    """What was decided on an event, with what its customer can spend now; ``None`` for an event that nobody has reported."""
    row = await pool.fetchrow(_DECISION, book.book_id, book.brand_id, campaign_no, key)
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
