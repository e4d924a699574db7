"""The book at a cut: every account's sums, and the log itself.

A balance at a cut is today's balance less what was posted since, both read in one statement. The log up to a cut never changes,
so it is read page by page in separate statements: no snapshot stays open.
"""

from __future__ import annotations

from typing import Any

import asyncpg

from ledger import chart
from ledger.chart import Kind, OwnerTag
from ledger.types import Book, Cut, Transfer, TrialBalance, TrialBalanceLine, Verb

# Lots, held and spent accounts are summed by class and last day; every other account is a line of its own.
_LINES = """
WITH movement AS (
    SELECT account.id, account.debits, account.credits
    FROM ledger.account
    WHERE account.book_id = $1
    UNION ALL
    SELECT transfer.debit, -transfer.amount, 0 FROM ledger.transfer WHERE transfer.book_id = $1 AND transfer.seq > $3
    UNION ALL
    SELECT transfer.credit, 0, -transfer.amount FROM ledger.transfer WHERE transfer.book_id = $1 AND transfer.seq > $3
)
SELECT line.id, line.debits, line.credits
FROM (
    SELECT
        CASE WHEN get_byte(movement.id, 0) IN (1, 3)
            THEN substring(movement.id FROM 1 FOR 1) || '\\x00000000000000000000'::bytea || substring(movement.id FROM 12)
            ELSE movement.id
        END AS id,
        sum(movement.debits)::bigint AS debits,
        sum(movement.credits)::bigint AS credits
    FROM movement
    GROUP BY 1
) AS line
WHERE (line.debits <> 0 OR line.credits <> 0)
    AND EXISTS (SELECT FROM ledger.head WHERE head.book_id = $1 AND head.brand_id = $2)
ORDER BY substring(line.id FROM 12), line.id
"""

_ACCOUNTS = """
WITH since AS (
    SELECT side.id, sum(side.debits)::bigint AS debits, sum(side.credits)::bigint AS credits
    FROM (
        SELECT transfer.debit AS id, transfer.amount AS debits, 0 AS credits
        FROM ledger.transfer WHERE transfer.book_id = $1 AND transfer.seq > $3
        UNION ALL
        SELECT transfer.credit, 0, transfer.amount
        FROM ledger.transfer WHERE transfer.book_id = $1 AND transfer.seq > $3
    ) AS side
    GROUP BY side.id
)
SELECT account.id, account.debits - coalesce(since.debits, 0) AS debits, account.credits - coalesce(since.credits, 0) AS credits
FROM ledger.account
LEFT JOIN since ON since.id = account.id
WHERE account.book_id = $1 AND account.id > $4
    -- Accounts that were first used after the cut would move the ends of its pages.
    AND (account.debits > coalesce(since.debits, 0) OR account.credits > coalesce(since.credits, 0))
    AND EXISTS (SELECT FROM ledger.head WHERE head.book_id = $1 AND head.brand_id = $2)
ORDER BY account.id
LIMIT $5
"""

_TRANSFERS = """
SELECT
    transfer.seq, transfer.posted_at, transfer.occurred_at, transfer.verb, transfer.debit, transfer.credit, transfer.amount,
    transfer.customer, transfer.campaign_no, transfer.event_key, transfer.transaction_id, transfer.due_at
FROM ledger.transfer
JOIN ledger.head ON head.book_id = transfer.book_id AND head.brand_id = $2
WHERE transfer.book_id = $1 AND transfer.seq > $3 AND transfer.seq <= $4
ORDER BY transfer.seq
LIMIT $5
"""


async def trial_balance(pool: asyncpg.Pool[Any], book: Book, cut: Cut) -> TrialBalance:
    """Every account's debits and credits at ``cut``."""
    rows = await pool.fetch(_LINES, book.book_id, book.brand_id, cut.seq)
    lines = tuple(_line(*row) for row in rows)
    return TrialBalance(
        cut=cut, debits=sum(line.debits for line in lines), credits=sum(line.credits for line in lines), lines=lines
    )


def _line(account: bytes, debits: int, credits_: int) -> TrialBalanceLine:
    name = chart.describe_account(account)
    personal = name.owner in (OwnerTag.CUSTOMER, OwnerTag.REDEMPTION)
    return TrialBalanceLine(
        kind=name.kind.name.lower(),
        account_class=name.account_class.name.lower() if personal or name.kind == Kind.BREAKAGE else None,
        campaign_no=name.number if name.owner == OwnerTag.CAMPAIGN else None,
        expires_on=name.expires_on,
        debits=debits,
        credits=credits_,
    )


async def account_balances(
    pool: asyncpg.Pool[Any], book: Book, cut: Cut, *, after: bytes | None = None, limit: int = 10_000
) -> list[tuple[bytes, int, int]]:
    """A page of the accounts used up to ``cut``, by id: ``(id, debits, credits)``. ``after`` is the last id before the page."""
    rows = await pool.fetch(_ACCOUNTS, book.book_id, book.brand_id, cut.seq, after or b"", limit)
    return [tuple(row) for row in rows]


async def transfers(pool: asyncpg.Pool[Any], book: Book, *, after: int, cut: int, limit: int = 10_000) -> list[Transfer]:
    """A page of the log: the transfers with ``after < seq <= cut``, in order."""
    rows = await pool.fetch(_TRANSFERS, book.book_id, book.brand_id, after, cut, limit)
    return [
        Transfer(
            seq=row["seq"],
            posted_at=row["posted_at"],
            occurred_at=row["occurred_at"],
            verb=Verb(row["verb"]),
            debit=row["debit"],
            credit=row["credit"],
            amount=row["amount"],
            customer=row["customer"],
            campaign_no=row["campaign_no"],
            event_key=row["event_key"],
            transaction_id=row["transaction_id"],
            due_at=row["due_at"],
        )
        for row in rows
    ]
