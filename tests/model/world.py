"""The real thing: two ledgers on one database, as two processes would be, and a loop to run them in."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import date
from typing import Any, TypeVar

import asyncpg

from ledger import Book, GrantOutcome, Ledger, Verb
from service.storage.database import APPLICATION_ROLE, WORKER_ROLE, connect, create_pool
from tests.conftest import Database
from tests.model.plain_ledger import PlainLedger
from tests.model.reports import CAMPAIGNS

Answer = TypeVar("Answer")

PROCESSES = 2
_FELL_DUE = """
SELECT verb, due_on, sum(amount)::bigint FROM ledger.transfer WHERE book_id = $1 AND due_on IS NOT NULL GROUP BY verb, due_on
"""
# Lots, what is held back, what is held.
_OWED = """
SELECT day, (
    SELECT coalesce(sum(CASE WHEN side.gains THEN amount ELSE 0 END - CASE WHEN side.loses THEN amount ELSE 0 END), 0)
    FROM ledger.transfer
    CROSS JOIN LATERAL (
        SELECT get_byte(credit, 11) >> 4 IN (1, 2, 3) AS gains, get_byte(debit, 11) >> 4 IN (1, 2, 3) AS loses
    ) AS side
    WHERE transfer.book_id = head.book_id
        AND ledger.accounting_date_v1(transfer.due_on, verb, debit, transfer.posted_at, head.time_zone) <= day
)::bigint
FROM ledger.head CROSS JOIN unnest($2::date[]) AS day
WHERE book_id = $1
"""
_EVENTS = "SELECT key, outcome, points, customer FROM ledger.event WHERE book_id = $1"
# But for what is taken back at once of holds that have timed out.
_SHORT = """
SELECT customer, event_key, points - (
    SELECT coalesce(sum(due.points), 0)
    FROM ledger.head
    CROSS JOIN LATERAL ledger.due_claw_backs_v1($1, customer, head.posted_at, head.time_zone, head.grace_days::integer) AS due
    WHERE head.book_id = $1 AND due.layer = shortfall.layer
)::bigint AS points
FROM ledger.shortfall
WHERE book_id = $1
"""
_POOL_SIZE = 6
"""A connection for each queue, and two to read and settle."""


class World:
    """The real ledger."""

    def __init__(self, database: Database) -> None:
        self._loop = asyncio.new_event_loop()
        self.owner: asyncpg.Connection[Any] = self.run(connect(database.owner_url))
        self._pools = [
            self.run(create_pool(database.application_url, APPLICATION_ROLE, size=_POOL_SIZE)) for _ in range(PROCESSES)
        ]
        self.worker_pool = self.run(create_pool(database.application_url, WORKER_ROLE, size=1))
        self.ledgers = [self.run(Ledger(pool).__aenter__()) for pool in self._pools]

    def run(self, doing: Coroutine[Any, Any, Answer]) -> Answer:
        """Wait for it."""
        return self._loop.run_until_complete(doing)

    def picture(self, book: Book, customers: set[int]) -> dict[Any, Any]:
        """What these customers have and what was decided on every event: to be compared with the plain ledger's."""
        return self.run(self._picture(book, customers))

    async def _picture(self, book: Book, customers: set[int]) -> dict[Any, Any]:
        ledger = self.ledgers[-1]
        balances = await ledger.balances([(book, customer) for customer in customers])
        budgets = await ledger.budgets(book, CAMPAIGNS)
        events = await self.owner.fetch(
            "SELECT key, outcome, points, customer FROM ledger.event WHERE book_id = $1", book.book_id
        )
        short = await self.owner.fetch(_SHORT, book.book_id)
        return {
            "short": {(customer, key): points for customer, key, points in short if points},
            **{
                customer: (balance.lots, balance.held, balance.pending, balance.moved_to)
                for (_, customer), balance in balances.items()
            },
            "budgets": [funded - granted for funded, granted in budgets],
            **{key: (GrantOutcome(outcome), points, customer) for key, outcome, points, customer in events},
        }

    def fell_due(self, book: Book) -> dict[tuple[Verb, date], int]:
        """How many points fell due on which day, by what became of them."""
        rows = self.run(self.owner.fetch(_FELL_DUE, book.book_id))
        return {(Verb(verb), day): points for verb, day, points in rows}

    def owed(self, book: Book, days: list[date]) -> dict[date, int]:
        """What the log says was owed to all customers at the end of each of these days."""
        return dict(self.run(self.owner.fetch(_OWED, book.book_id, days)))

    def left_undone(self, book: Book, today: date) -> int:
        """How many dead lots still have points: the sweeper must have come by for each."""
        counting = self.owner.fetchval(
            "SELECT count(*) FROM ledger.account WHERE book_id = $1 AND kind = 1 AND expires_on < $2 AND credits > debits",
            book.book_id,
            today,
        )
        return self.run(counting)

    def layers(self, book: Book) -> list[tuple[int, int, int]]:
        """What is kept of each transfer's layers: seq, layer and points."""
        reading = self.owner.fetch(
            "SELECT seq, layer, amount::bigint FROM ledger.transfer_layer WHERE book_id = $1 ORDER BY seq, layer", book.book_id
        )
        return [tuple(row) for row in self.run(reading)]

    def close(self) -> None:
        """Stop everything."""
        for ledger in self.ledgers:
            self.run(ledger.__aexit__(None, None, None))
        for pool in (*self._pools, self.worker_pool):
            pool.terminate()
        self.run(self.owner.close())
        self._loop.close()


def picture(plain: PlainLedger, customers: set[int]) -> dict[Any, Any]:
    """The same of the plain ledger."""
    keys = {layer: key for key, layer in plain.layers.items()}
    return {
        "short": {(customer, keys[layer]): points for (customer, layer), points in plain.short.items() if points},
        **{each: (plain.lots(each), plain.held(each), plain.pending(each), plain.survivors.get(each)) for each in customers},
        "budgets": [plain.budgets[campaign_no, False] for campaign_no in CAMPAIGNS],
        **{key: (event.outcome, event.points, event.customer) for key, event in plain.events.items()},
    }
