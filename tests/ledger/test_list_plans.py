"""A page of a list reads a bounded number of rows, whatever is asked for and however long the log is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any

import asyncpg
import pytest

from ledger import ActFilter, Book, Position, RedemptionFilter, RedemptionStatus, TransferFilter, Verb
from ledger.reads import event_log, finding, redemptions, wallets
from tests.ledger.conftest import make_book
from tests.ledger.rows_read import PLANS, OneConnection, counting_rows

CUSTOMERS = 30_000
BUSY = 77
"""Who has a tenth of the log. All others have an act each, and a redemption."""
SCANNED = 300
BOUND = 15 * SCANNED
"""A row that is looked at is in the log; its event, redemption or step may be read for it, and again to be shown."""

LOAD = (
    """
    INSERT INTO ledger.transfer (
        book_id, seq, posted_at, occurred_at, amount, customer, campaign_no, verb, debit, credit, event_key
    )
    SELECT
        $1, n, at, at, 10, CASE WHEN n % 10 = 0 THEN 77 ELSE n END, 1, 2,
        ledger.account_id_v1(ledger.campaign_owner_v1(1), 80, 'infinity'),
        ledger.account_id_v1(ledger.account_owner_v1(1, n), 16, '2031-12-31'), decode(md5(n::text), 'hex')
    FROM generate_series(1, $2::bigint) AS n, LATERAL (SELECT timestamptz '2031-01-01' + n * interval '10 min' AS at) AS moment
    """,
    """
    INSERT INTO ledger.event (
        book_id, campaign_no, key, customer, seq, points, window_at, campaign_version, principal, outcome, rule, grade, action,
        channel, message_id, source, place, decided_at
    )
    SELECT
        $1, 1, decode(md5(what || n::text), 'hex'), CASE WHEN n % 10 = 0 THEN 77 ELSE n END, n, 10, now(), 1, 1,
        CASE what WHEN '' THEN 1 ELSE 4 END, 0, 'B', 'click', 'email', 'message ' || n, 'api',
        CASE WHEN what <> '' THEN n END, CASE WHEN what <> '' THEN now() END
    FROM (VALUES (''), ('waits ')) AS kind (what), generate_series(1, $2::bigint) AS n
    """,
    """
    INSERT INTO ledger.redemption (book_id, id, customer, deadline, closed_at, order_ref, store_id, terminal_id, salt)
    SELECT
        $1, n, CASE WHEN n % 10 = 0 THEN 77 ELSE n END, now(), now(), 'order ' || n, CASE WHEN n % 2 = 0 THEN 'Mitte' END,
        'till', '\\x00'
    FROM generate_series(1, $2::bigint) AS n
    """,
    """
    INSERT INTO ledger.account (book_id, id, kind, expires_on, credits)
    SELECT $1, ledger.account_id_v1(ledger.account_owner_v1(3, n), kind * 16, '2031-12-31'), kind, '2031-12-31', 5
    FROM (VALUES (3), (4)) AS of_redemption (kind), generate_series(1, $2::bigint) AS n
    """,
    """
    INSERT INTO ledger.customer_state (book_id, customer, points, lot_until)
    SELECT $1, n, 10, '2031-12-31' FROM generate_series(1, $2::bigint) AS n
    """,
    """
    UPDATE ledger.head SET seq = $2, places = $2, posted_at = (SELECT max(posted_at) FROM ledger.transfer)
    WHERE book_id = $1
    """,
)

BEHIND_ALL = Position(CUSTOMERS + 1, CUSTOMERS + 1)
NOWHERE = ActFilter(message_id="none of ours")


def _events(**asked: Any) -> Callable[[Any, Book], Awaitable[Any]]:
    return lambda pool, book: event_log.find_events(pool, book, before=BEHIND_ALL, **asked)


def _transfers(**asked: Any) -> Callable[[Any, Book], Awaitable[Any]]:
    return lambda pool, book: finding.find_transfers(pool, book, TransferFilter(**asked), after=0, cut=CUSTOMERS, limit=10)


def _redemptions(**asked: Any) -> Callable[[Any, Book], Awaitable[Any]]:
    return lambda pool, book: redemptions.find_redemptions(pool, book, RedemptionFilter(**asked), limit=10)


def _wallets(expires_by: date) -> Callable[[Any, Book], Awaitable[Any]]:
    return lambda pool, book: wallets.wallets(pool, book, expires_by=expires_by, limit=10)


LISTS = {
    "events on a message of all": _events(act=NOWHERE),
    "events on a message since a place": _events(act=NOWHERE, since=Position(CUSTOMERS - 50, CUSTOMERS - 50)),
    "events of a customer": _events(customers=(BUSY,), act=NOWHERE),
    "events of two customers": _events(customers=(BUSY, 78), act=NOWHERE),
    "events of a customer of another campaign": _events(customers=(BUSY,), campaign_no=9),
    "events of a customer who has one": _events(customers=(11,), act=ActFilter(action="click")),
    "transfers of a customer": _transfers(customers=(BUSY,), verbs=(Verb.CAPTURE,)),
    "transfers of a customer on a message": _transfers(customers=(BUSY,), act=NOWHERE),
    "transfers of a redemption": _transfers(redemptions=(70,)),
    "transfers at a store on some days": _transfers(store_id="Nord", since=date(2031, 3, 1), until=date(2031, 3, 31)),
    "transfers with metadata on some days": _transfers(act=ActFilter(metadata=("a", "b")), since=date(2031, 3, 1)),
    "transfers of a kind": _transfers(verbs=(Verb.CAPTURE,)),
    "redemptions of a customer": _redemptions(customer=BUSY),
    "redemptions of an order": _redemptions(order_ref="order 20000"),
    "redemptions at a store": _redemptions(store_id="Mitte"),
    "redemptions at a store that has none": _redemptions(store_id="Nord"),
    "redemptions at a terminal of a store": _redemptions(store_id="Mitte", terminal_id="none of theirs"),
    "redemptions of a status": _redemptions(store_id="Mitte", status=RedemptionStatus.REFUNDED),
}
WALKS = {
    "who loses points": _wallets(date(2031, 12, 31)),
    "who loses points, of whom there are none": _wallets(date(2031, 6, 30)),
}


CLOSE = """
INSERT INTO ledger.close (
    book_id, ends_on, version, state, begins_on, ends_at, closed_at, seq, posted_at, settled_seq, lines, debits, credits,
    accounts, customers, lines_digest, balances_digest
)
VALUES ($1, '2031-01-12', 1, 3, '2031-01-12', now(), now(), 1700, now(), 1900, '{}', '{}', '{}', 0, 0, '', '')
"""


@pytest.fixture
async def long_log(owner: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch) -> Book:
    for module, name in ((event_log, "SCAN_ROWS_MAX"), (finding, "SCAN_ROWS_MAX"), (redemptions, "SCAN_ROWS_MAX")):
        monkeypatch.setattr(module, name, SCANNED)
    monkeypatch.setattr(wallets, "WALLETS_MAX", SCANNED)
    for module in (event_log, finding):
        monkeypatch.setattr(module, "LOOKED_AT_ONCE", 100)
    await owner.execute("SET enable_seqscan = off")  # as for the application
    book = await make_book(owner)
    for statement in LOAD:
        await owner.execute(statement, book.book_id, *([CUSTOMERS] if "$2" in statement else []))
    return book


@pytest.mark.own_database("loads what no log explains")
async def test_transfers_of_days_are_read_from_where_these_begin_to_where_a_close_of_them_was_settled(
    owner: asyncpg.Connection[Any], long_log: Book
) -> None:
    wanted = TransferFilter(verbs=(Verb.CAPTURE,), since=date(2031, 1, 10), until=date(2031, 1, 10))

    pool: Any = owner

    async def pages() -> int:
        after: int | None = 0
        for page in range(1, CUSTOMERS):
            _, after = await finding.find_transfers(pool, long_log, wanted, after=after, cut=CUSTOMERS, limit=10)
            if after is None:
                return page
        raise AssertionError("there is no end")

    assert await pages() == (CUSTOMERS - 9 * 144) // SCANNED + 1
    await owner.execute(CLOSE, long_log.book_id)
    assert await pages() == 3, "up to the first close that has the day, which is settled with transfer 1900"


@pytest.mark.slow
@pytest.mark.own_database("loads what no log explains")
@pytest.mark.parametrize("analyzed", [False, True])
async def test_a_page_of_a_list_reads_few_rows_of_a_long_log(
    owner: asyncpg.Connection[Any], long_log: Book, analyzed: bool
) -> None:
    if analyzed:
        await owner.execute("ANALYZE")
    read: dict[str, int] = {}
    # Wallets are walked through by their key. While nobody knows how many there are, to sort them looks as cheap.
    asked = [(plan, name, ask) for plan in PLANS for name, ask in (LISTS | WALKS if analyzed else LISTS).items()]
    for plan, name, ask in asked:
        await owner.execute(f"SET plan_cache_mode = {plan}")
        async with counting_rows(owner) as rows:
            await ask(OneConnection(owner), long_log)
        read[f"{name}, {plan}"] = sum(rows.values())
    assert {name: rows for name, rows in read.items() if not 0 < rows < BOUND} == {}
