"""Hot statements look rows up by index, whatever the planner knows: on empty tables, on full ones, before and after ANALYZE.

What was scanned is counted by PostgreSQL itself, so this holds for the statements inside the functions too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from ledger import Book, CapUse, GrantOutcome, GrantResult, Ledger, MovementsBy, Position, RedemptionFilter, track_layers
from ledger.engine.grants import post_grants
from ledger.engine.merging import Merge, Split, post_groupings
from ledger.engine.redemptions import post_redemptions
from ledger.reads import customers, event_log, history, redemptions, wallets
from ledger.reads.balances import decision
from ledger.reads.event_log import past_events
from ledger.testing import NOON, authorize, capture, claw_back, corroboration, fund, order, refund, returned, set_clock, void
from service.storage.database import APPLICATION_ROLE, READER_ROLE, WORKER_ROLE, create_pool
from tests.conftest import Database
from tests.ledger.conftest import make_book
from tests.ledger.rows_read import PLANS, OneConnection, counting_rows, never_analyzed

__all__ = ["never_analyzed"]

TABLES = (
    "account",
    "cap_recent",
    "cap_use",
    "correction",
    "customer_state",
    "event",
    "idempotency_key",
    "proof",
    "purchase_return",
    "redemption",
    "redemption_layer",
    "shortfall",
    "transfer",
)
CUSTOMERS = 20_000
MONTH_END = date(2031, 1, 31)

LOAD = (
    """
    INSERT INTO ledger.account (book_id, id, kind, expires_on, credits)
    SELECT
        $1, ledger.account_id_v1(ledger.account_owner_v1(1, customer), 16, month.last_day), 1, month.last_day, 10
    FROM (VALUES (date '2030-12-31'), (date '2031-01-31'), (date '2031-02-28')) AS month (last_day),
        generate_series(11, $2::bigint) AS customer
    """,
    """
    INSERT INTO ledger.customer_state (book_id, customer, points, lot_until)
    SELECT $1, customer, 30, '2030-12-31' FROM generate_series(11, $2::bigint) AS customer
    """,
    """
    INSERT INTO ledger.event (
        book_id, campaign_no, key, customer, seq, points, window_at, decided_at, campaign_version, principal, outcome, rule,
        grade, action, channel, message_id, qualifier, source
    )
    SELECT
        $1, 1, decode(md5(customer::text), 'hex'), customer, customer, 10, now(), now(), 1, 1, 1, 0, 'B', 'click', 'email',
        'loaded', '', 'api'
    FROM generate_series(11, $2::bigint) AS customer
    """,
    """
    INSERT INTO ledger.event (
        book_id, campaign_no, key, customer, seq, points, window_at, decided_at, campaign_version, principal, outcome, rule,
        grade, action, channel, message_id, qualifier, source, place
    )
    SELECT
        $1, 1, decode(md5('waits ' || customer), 'hex'), customer, customer, 0, now(), now(), 1, 1, 4, 0, 'D', 'open',
        'email', 'loaded', '', 'api', 1000000 + customer
    FROM generate_series(11, $2::bigint) AS customer
    """,
    """
    INSERT INTO ledger.transfer (
        book_id, seq, posted_at, occurred_at, amount, customer, transaction_id, campaign_no, verb, debit, credit, event_key
    )
    SELECT
        $1, 1000000 + customer, now(), now(), 10, customer, 1000000 + customer, 1, 2,
        ledger.account_id_v1(ledger.account_owner_v1(2, 1), 80, 'infinity'),
        ledger.account_id_v1(ledger.account_owner_v1(1, customer), 16, '2031-01-31'), decode(md5(customer::text), 'hex')
    FROM generate_series(11, $2::bigint) AS customer
    """,
    """
    INSERT INTO ledger.cap_use
    SELECT $1, 1, '2030-01-15', customer, 0, 1, 10 FROM generate_series(11, $2::bigint) AS customer
    """,
    """
    INSERT INTO ledger.cap_recent (book_id, campaign_no, customer, cap, counted_at, points)
    SELECT $1, 1, customer, 1, ARRAY[0::bigint], ARRAY[10::bigint] FROM generate_series(11, $2::bigint) AS customer
    """,
    """
    INSERT INTO ledger.proof (book_id, campaign_no, key, grade, proved_at)
    SELECT $1, 1, decode(md5('proof ' || customer), 'hex'), 'B', now() FROM generate_series(11, $2::bigint) AS customer
    """,
    """
    INSERT INTO ledger.redemption (book_id, id, customer, deadline, closed_at, order_ref, salt)
    SELECT $1, 1000000 + customer, customer, now(), now(), 'order ' || customer, '\\x00'
    FROM generate_series(11, $2::bigint) AS customer
    """,
    """
    INSERT INTO ledger.redemption_layer (book_id, account, layer, amount)
    SELECT $1, ledger.account_id_v1(ledger.account_owner_v1(3, 1000000 + customer), 64, '2031-01-31'), customer, 10
    FROM generate_series(11, $2::bigint) AS customer
    """,
    """
    INSERT INTO ledger.shortfall (book_id, campaign_no, customer, layer, points, event_key, budget)
    SELECT $1, 1, customer, customer, 10, decode(md5(customer::text), 'hex'), '\\x00'
    FROM generate_series(11, $2::bigint) AS customer
    """,
    """
    INSERT INTO ledger.correction (
        book_id, campaign_no, correction_no, customer, posted_at, asked, moved, shortfall, principal, verb, event_key, reason
    )
    SELECT $1, 1, 1000000 + customer, customer, now(), 10, 0, 10, 1, 11, decode(md5(customer::text), 'hex'), 'mistake'
    FROM generate_series(11, $2::bigint) AS customer
    """,
    """
    INSERT INTO ledger.purchase_return (
        book_id, campaign_no, correction_no, bought, amount, points, withheld_points, withheld_minor, event_key, return_key
    )
    SELECT $1, 1, 1000000 + customer, 100, 1, 0, 0, 0, decode(md5(customer::text), 'hex'), '\\x00'
    FROM generate_series(11, $2::bigint) AS customer
    """,
    """
    INSERT INTO ledger.idempotency_key
    SELECT $1, 1, decode(md5(customer::text), 'hex'), '\\x00', 10, '{}', now() FROM generate_series(11, $2::bigint) AS customer
    """,
)


_OTHERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND backend_type IN ('client backend', 'parallel worker') AND pid <> pg_backend_pid()
"""


async def scans(owner: asyncpg.Connection[Any]) -> dict[str, tuple[int, bool]]:
    """How often each table was scanned from end to end by now, and whether its indexes were used at all.

    A connection's counts are there for certain once it has ended.
    """
    async with asyncio.timeout(10):
        while await owner.fetchval(_OTHERS):  # noqa: ASYNC110 - another process has to end
            await asyncio.sleep(0.01)
    await owner.execute("SELECT pg_stat_force_next_flush()")
    rows = await owner.fetch(
        "SELECT relname, seq_scan, idx_scan > 0 FROM pg_stat_user_tables WHERE schemaname = 'ledger' AND relname = ANY($1)",
        TABLES,
    )
    return {table: (sequential, by_index) for table, sequential, by_index in rows}


async def use(ledger: Ledger, book: Book, turn: int) -> None:
    """Everything hot, more often than a plan is made anew."""
    caps = (CapUse(0, date(2030, 1, 15), max_grants=100),)
    await ledger.fund(fund(book, 10_000))
    for number in range(8):
        name = f"message {turn} {number}"
        grants = [
            order(book, customer=customer, message_id=name, caps=caps, expires_on=MONTH_END, waits=customer == 3)
            for customer in (1, 2, 3, 2, CUSTOMERS + 1 + turn * 10 + number)
        ]
        answers = await ledger.grant_batch([*grants, order(book, customer=3, message_id=name, caps=caps)])
        outcomes = [answer.outcome for answer in answers if isinstance(answer, GrantResult)]
        assert outcomes == [GrantOutcome.GRANTED, GrantOutcome.GRANTED, GrantOutcome.WAITING, *[GrantOutcome.GRANTED] * 3]
        quotes = await ledger.quotes(
            [
                msgspec.structs.replace(grants[0], former_keys=(grants[3].key,), past_keys=((2, grants[1].key),)),
                order(book, customer=1, message_id="not sent yet", caps=(*caps, CapUse(1, None, max_grants=100))),
                order(
                    book, customer=3, message_id="weak", waits=True, corroboration=corroboration(customer=3, message_id="weak")
                ),
            ]
        )
        assert [(quote.outcome, quote.replayed) for quote in quotes] == [
            (GrantOutcome.GRANTED, True),
            (GrantOutcome.GRANTED, False),
            (GrantOutcome.WAITING, False),
        ]
        held = (await ledger.redeem(authorize(book, customer=1, points=4))).redemption
        assert held is not None
        await ledger.redeem(capture(book, held.redemption, 3))
        await ledger.redeem(refund(book, held.redemption, 1))
        held = (await ledger.redeem(authorize(book, customer=2, points=1))).redemption
        assert held is not None
        await ledger.redeem(void(book, held.redemption))
        assert await ledger.redemption(book, held.redemption)
        assert await ledger.redemption_sources(book, held.redemption)
        assert await ledger.grant_uses(book, 1, grants[0].key)
        assert (await ledger.balance(book, 1)).spendable
        assert await ledger.statement(book, 1)
        assert await ledger.decision(book, 1, [grants[0].key])
        names = [(book, 1, each.key) for each in grants]
        assert len(await ledger.events([*names, (book, 2, grants[0].key)])) == len({each.key for each in grants})
        newcomer = CUSTOMERS + 1 + turn * 10 + number
        held = (await ledger.redeem(authorize(book, newcomer, points=1))).redemption
        assert held is not None
        assert (await ledger.merge(book, loser=newcomer, survivor=newcomer + 100)).points
        assert await ledger.redemption(book, held.redemption)
        assert (await ledger.merge(book, loser=newcomer, survivor=newcomer + 100)).replayed
        for outcomes in ((), (GrantOutcome.WAITING,), (GrantOutcome.GRANTED, GrantOutcome.HELD_BACK)):
            await ledger.find_events(book, outcomes=outcomes, limit=5)
            await ledger.find_events(book, outcomes=outcomes, customers=(2, 3), limit=1000)
        assert await ledger.feed(book, after=Position(5, 1), limit=1000)
        held = (await ledger.redeem(authorize(book, customer=2, points=1))).redemption
        assert held is not None
        assert all(await ledger.claw_back_quotes(book, [(1, each.key) for each in grants]))
        assert (await ledger.claw_backs(book, [claw_back(grants[1])]))[0].clawed_back
        await ledger.redeem(void(book, held.redemption))
        back = returned(grants[0], 3, bought=10, per=(1, 1))
        bought = await ledger.event(book, 1, grants[0].key)
        assert bought
        assert (await ledger.quote_return(back, bought)).points == 3
        assert (await ledger.return_purchase(back)).points == 3
        await ledger.merge(book, loser=newcomer + 100, survivor=newcomer + 200)
        await ledger.split(book, customer=newcomer + 100, survivor=newcomer + 200)


@pytest.mark.slow
@pytest.mark.own_database("looks at what was read since it was made")
@pytest.mark.parametrize("analyzed", ["never", "while they were empty"])
async def test_no_hot_statement_scans_a_table_whatever_the_planner_knows(
    database: Database, owner: asyncpg.Connection[Any], analyzed: str
) -> None:
    book = await make_book(owner)  # rows are loaded that no log explains: not for the audit

    async def scanned(turn: int) -> list[str]:
        before = await scans(owner)
        pool = await create_pool(database.application_url, APPLICATION_ROLE)
        async with Ledger(pool) as ledger:
            await use(ledger, book, turn)
        await pool.close()
        after = await scans(owner)
        assert all(by_index for _, by_index in after.values())
        return [table for table in TABLES if after[table][0] != before[table][0]]

    assert await scanned(0) == [], "empty, never analyzed"
    if analyzed != "never":
        await owner.execute("ANALYZE")
    for statement in LOAD:
        await owner.execute(statement, book.book_id, CUSTOMERS)
    assert await scanned(1) == [], f"full, analyzed {analyzed}"
    await owner.execute("ANALYZE")
    assert await scanned(2) == [], "full, analyzed"


async def rows_read(owner: asyncpg.Connection[Any], book: Book, customer: int, caps: tuple[CapUse, ...]) -> dict[str, int]:
    """How many rows of each table one grant reads. It is taken back."""
    another = order(book, customer=customer, message_id="another", caps=caps, unlimited=True)
    async with counting_rows(owner) as rows:
        (paid,) = await post_grants(owner, [another])
    assert paid.outcome is GrantOutcome.GRANTED
    return rows


@pytest.mark.slow
@pytest.mark.own_database("leaves statistics")
async def test_caps_cost_the_same_for_a_customer_with_many_grants(owner: asyncpg.Connection[Any]) -> None:
    book = await make_book(owner)  # rows are loaded that no log explains: not for the audit
    caps = (
        CapUse(0, None, max_grants=100),
        CapUse(1, NOON.date(), max_grants=100),
        CapUse(2, date(2000, 1, 1), max_points=10**9),
        CapUse(3, NOON.date(), max_grants=100, shared=True),
    )
    for customer in (11, 12):
        await post_grants(owner, [order(book, customer=customer, caps=caps, unlimited=True)])
    before = await rows_read(owner, book, 11, caps)
    for statement in (
        """
        INSERT INTO ledger.transfer (
            book_id, seq, posted_at, occurred_at, amount, customer, transaction_id, campaign_no, verb, debit, credit, event_key
        )
        SELECT
            book_id, 1000000 + n, posted_at, occurred_at, 5, 11, 1000000 + n, 1, 2, debit, credit, decode(md5(n::text), 'hex')
        FROM ledger.transfer, generate_series(1, $1::integer) AS n
        WHERE transfer.customer = 11
        """,
        """
        INSERT INTO ledger.event (
            book_id, campaign_no, key, customer, seq, points, window_at, decided_at, campaign_version, principal, outcome, rule,
            grade, action, channel, message_id, qualifier, source
        )
        SELECT
            book_id, 1, decode(md5(n::text), 'hex'), 11, 1000000 + n, 5, window_at - interval '9 days', decided_at, 1, 1, 1, 0,
            'B', 'click', 'sms', 'loaded ' || n, '', 'api'
        FROM ledger.event, generate_series(1, $1::integer) AS n
        WHERE event.customer = 11
        """,
    ):
        await owner.execute(statement, 5 * CUSTOMERS)
    await owner.execute("ANALYZE")
    after = await rows_read(owner, book, 11, caps)
    # Attempts that were taken back leave a few versions of rows to look at.
    assert after["cap_use"] > 0
    assert sum(after.values()) < sum(before.values()) + 20 < 100


@pytest.mark.usefixtures("never_analyzed")
@pytest.mark.own_database("of tables that were analyzed before anything was in them, or never")
@pytest.mark.parametrize("analyzed", ["never", "while they were empty"])
async def test_a_batch_reads_a_few_rows_a_grant_though_the_tables_were_empty_when_it_began(
    owner: asyncpg.Connection[Any], analyzed: str
) -> None:
    """A session keeps the plans of its beginning. To read an index whole and keep it costs no more than look-ups then."""
    book = await make_book(owner)
    if analyzed != "never":
        await owner.execute("ANALYZE")
    caps = (CapUse(0, date(2030, 1, 15), max_grants=100), CapUse(1, None, max_grants=100))

    async def grant_everybody(turn: int) -> None:
        for first in range(1, 1_000, 50):
            orders = [
                order(book, customer=customer, message_id=f"message {turn}", points=5, unlimited=True, caps=caps)
                for customer in range(first, first + 50)
            ]
            answers = await post_grants(owner, orders)
            assert {answer.outcome for answer in answers} == {GrantOutcome.GRANTED}

    await grant_everybody(1)
    async with counting_rows(owner) as rows:
        await grant_everybody(2)
    assert 0 < max(rows.values()) < 5 * 1_000


@pytest.mark.usefixtures("never_analyzed")
@pytest.mark.own_database("of tables that were never analyzed")
async def test_a_pos_reads_a_few_rows_though_the_tables_were_empty_when_it_began(owner: asyncpg.Connection[Any]) -> None:
    """While a table is young several of its indexes look as good as one another; only one finds the row."""
    book = await make_book(owner)
    customers = range(1, 101)
    await post_grants(owner, [order(book, customer=customer, points=50, unlimited=True) for customer in customers])

    async def authorized() -> list[int]:
        answers = await post_redemptions(owner, [authorize(book, customer, 1) for customer in customers])
        return [answer.redemption.redemption for answer in answers if answer.redemption]

    for _ in range(5):
        await post_redemptions(owner, [capture(book, number) for number in await authorized()])
    (number, *_) = await authorized()
    async with counting_rows(owner) as rows:
        await post_redemptions(owner, [capture(book, number)])
    assert rows["redemption"] < 20  # hers and, while nobody has tidied up, those of before
    assert sum(rows.values()) < 80


@pytest.mark.parametrize("plan", PLANS)
async def test_a_page_of_a_store_s_redemptions_reads_that_page(owner: asyncpg.Connection[Any], plan: str) -> None:
    book = await make_book(owner)
    await post_grants(owner, [order(book, customer=customer, points=50, unlimited=True) for customer in range(1, 101)])
    for store in ("a", "b", "a"):
        steps = [authorize(book, customer, 1, store_id=store, terminal_id="1") for customer in range(1, 101)]
        await post_redemptions(owner, steps)
    await owner.execute(f"ANALYZE ledger.redemption; SET plan_cache_mode = {plan}")
    pool: Any = OneConnection(owner)
    for store, *between in (("b", 0, 2**62), ("a", 0, 2**62), ("a", 150, 250)):
        wanted = RedemptionFilter(store_id=store, between=(between[0], between[1]))
        async with counting_rows(owner) as rows:
            found, more = await redemptions.find_redemptions(pool, book, wanted, limit=10)
        assert (len(found), more is None) == (10, False)
        # They are found, with one more, and then each is read for its status.
        assert rows["redemption"] <= 12 + 10 * 4, (store, between)


@pytest.mark.usefixtures("never_analyzed")
@pytest.mark.own_database("of tables that were never analyzed")
async def test_who_has_a_hold_is_read_by_that_hold_though_the_tables_were_empty_when_it_began(
    owner: asyncpg.Connection[Any],
) -> None:
    """Her balance, what she can spend, and what is due of hers: of a hundred open holds only hers is looked at."""
    book = await make_book(owner)
    customers = range(1, 101)
    await post_grants(owner, [order(book, customer=customer, points=50, unlimited=True) for customer in customers])
    await post_redemptions(owner, [authorize(book, customer, 1) for customer in customers])
    await owner.execute("UPDATE ledger.redemption SET deadline = deadline - interval '1 year'")
    await owner.execute("UPDATE ledger.customer_state SET hold_until = hold_until - interval '1 year'")
    for read in (
        "SELECT * FROM ledger.balances_v1($1, $2, ARRAY[50])",
        "SELECT * FROM ledger.spendable_now_v1($1, $2, ARRAY[50])",
        "SELECT ledger.post_due_v1(head, 50) FROM ledger.head WHERE head.book_id = $1 AND head.brand_id = $2",
    ):
        async with counting_rows(owner) as rows:
            await owner.fetch(read, book.book_id, book.brand_id)
        assert 0 < rows["redemption"] < 10, read


@pytest.mark.usefixtures("never_analyzed")
@pytest.mark.own_database("of tables that were never analyzed")
async def test_whose_points_are_held_back_is_read_by_those_though_the_tables_were_empty_when_it_began(
    owner: asyncpg.Connection[Any],
) -> None:
    """Their balance, and what is due of theirs: of what is held back for a hundred only theirs is looked at."""
    book = await make_book(owner)
    held_back: dict[str, Any] = {"held_back": True, "unlimited": True, "due_at": NOON + timedelta(microseconds=1)}
    await post_grants(owner, [order(book, customer=customer, points=50, **held_back) for customer in range(1, 101)])
    await set_clock(owner, book, NOON + timedelta(days=1))
    for read in (
        "SELECT * FROM ledger.balances_v1($1, $2, ARRAY[50])",
        "SELECT ledger.refresh_customer_state_v1($1, 50) FROM ledger.head WHERE head.book_id = $1 AND head.brand_id = $2",
        "SELECT ledger.post_due_v1(head, 50) FROM ledger.head WHERE head.book_id = $1 AND head.brand_id = $2",
    ):
        async with counting_rows(owner) as rows:
            await owner.fetch(read, book.book_id, book.brand_id)
        assert 0 < rows["pending"] < 10, read
    async with counting_rows(owner) as rows:
        (held,) = await event_log.held_back(owner, book, [50])  # pyright: ignore[reportArgumentType]
    assert held.customer == 50
    assert 0 < rows["pending"] < 10


@pytest.mark.usefixtures("never_analyzed")
@pytest.mark.own_database("of tables that were never analyzed")
async def test_a_rejection_frees_its_caps_by_their_keys_though_the_tables_were_empty_when_it_began(
    owner: asyncpg.Connection[Any],
) -> None:
    book = await make_book(owner)
    caps = (CapUse(0, date(2030, 1, 15), max_grants=100), CapUse(1, None, max_grants=100))
    held_back: dict[str, Any] = {"held_back": True, "unlimited": True, "due_at": NOON + timedelta(days=1), "caps": caps}

    async def rejected(turn: int) -> dict[str, int]:
        orders = [order(book, customer=each, message_id=f"message {turn}", **held_back) for each in range(1, 501)]
        await post_grants(owner, orders)
        async with counting_rows(owner) as rows:
            settled = "SELECT * FROM ledger.settle_pending_v1($1, $2, now(), 1, $3, false, NULL)"
            await owner.fetch(settled, book.brand_id, book.book_id, orders[250].key)
        return rows

    await rejected(1)
    assert 0 < (await rejected(2))["cap_use"] < 10


@pytest.mark.usefixtures("never_analyzed")
@pytest.mark.own_database("of tables that were analyzed before anything was in them, or never")
@pytest.mark.parametrize("analyzed", ["never", "while they were empty", "full"])
async def test_which_grant_was_spent_is_read_from_what_the_customer_did(
    database: Database, owner: asyncpg.Connection[Any], analyzed: str
) -> None:
    """A redemption's sources and a grant's uses, before and after the log was read on: of a thousand customers, one's."""
    book = await make_book(owner)
    if analyzed == "while they were empty":
        await owner.execute("ANALYZE")
    customers = range(1, 1_001)
    orders = [order(book, customer=customer, points=50, unlimited=True) for customer in customers]
    await post_grants(owner, orders)
    answers = await post_redemptions(owner, [authorize(book, customer, 1) for customer in customers])
    numbers = [answer.redemption.redemption for answer in answers if answer.redemption]
    if analyzed == "full":
        await owner.execute("ANALYZE")

    async def rows_read() -> int:
        before = await _rows(owner)
        pool = await create_pool(database.application_url, APPLICATION_ROLE)
        async with Ledger(pool) as ledger:
            for number, granted in zip(numbers[500:510], orders[500:510], strict=True):
                found = await ledger.redemption_sources(book, number)
                uses = await ledger.grant_uses(book, 1, granted.key)
                assert found
                assert uses
                assert (len(found.sources), len(uses.uses)) == (1, 1)
        await pool.close()
        return await _rows(owner) - before

    assert await rows_read() < 10 * 50
    before = await _rows(owner)
    await _follow(database, book)
    # It reads past each transfer twice, and looks at each that is not a grant and at the grant that it took, a few times.
    assert await _rows(owner) - before < 12 * len(customers)
    assert await rows_read() < 10 * 50


@pytest.mark.usefixtures("never_analyzed")
@pytest.mark.own_database("of tables that were analyzed before anything was in them, or never")
@pytest.mark.parametrize("analyzed", ["never", "while they were empty", "full"])
async def test_days_are_added_up_and_read_whatever_the_log_and_other_books_have(
    database: Database, owner: asyncpg.Connection[Any], analyzed: str
) -> None:
    """After 3,000 transfers 15 more are added up by day, then all days are read, which another book has more of."""
    book = await make_book(owner)
    if analyzed == "while they were empty":
        await owner.execute("ANALYZE")
    await post_grants(owner, [order(book, customer=customer, points=50, unlimited=True) for customer in range(1, 1_001)])
    await post_redemptions(owner, [authorize(book, customer, 1, capture=True) for customer in range(1, 1_001)])
    await _follow(database, book)
    await owner.execute(
        """
        INSERT INTO ledger.daily_movement
        SELECT 2, date '2030-01-01' + n % 100, '2030-01-01', n, 2, 80, 16, 'email', 'click', 'B', 1, 1, 1, 1
        FROM generate_series(1, 20000) AS n
        """
    )
    if analyzed == "full":
        await owner.execute("ANALYZE")
    more = [order(book, customer=customer, message_id="b", points=5, unlimited=True) for customer in range(1, 6)]
    await post_grants(owner, more)
    await post_redemptions(owner, [authorize(book, customer, 1, capture=True) for customer in range(6, 11)])

    before = await _rows(owner)
    await _follow(database, book)
    assert await _rows(owner) - before < 20 * 10

    before = await _rows(owner)
    pool = await create_pool(database.application_url, READER_ROLE)
    ledger = Ledger(pool)  # reads need no queues
    by = MovementsBy(campaign=True, channel=True, act=True, month_of_issue=True)
    days = await ledger.daily_movements(book, starts=[NOON.date()], by=by)
    used = await ledger.uses_of_issued(book, after=500, until=520, used_until=days.seq)
    await pool.close()
    assert (days.seq, sum(movement.transfers for movement in days.movements)) == (3_015, 2_010)
    assert sum(movement.transfers for movement in used) == 2 * 20
    assert await _rows(owner) - before < 10 * 20


async def _follow(database: Database, book: Book) -> None:
    worker = await create_pool(database.application_url, WORKER_ROLE)
    while await track_layers(worker, book):
        pass
    await worker.close()


async def _rows(owner: asyncpg.Connection[Any]) -> int:
    """How many rows of the log and of what is derived from it all other connections have read by now."""
    await scans(owner)
    return await owner.fetchval(
        """
        SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::bigint FROM pg_stat_user_tables
        WHERE schemaname = 'ledger'
            AND relname IN ('transfer', 'event', 'transfer_layer', 'lot_layers', 'daily_movement', 'redemption', 'spell')
        """
    )


GROUPS = 300


@pytest.mark.usefixtures("never_analyzed")
@pytest.mark.own_database("of tables that were analyzed before anything was in them, or never")
@pytest.mark.parametrize("analyzed", ["never", "while they were empty"])
async def test_whoever_is_merged_is_read_by_whom_they_are_merged_into_though_the_tables_were_empty_when_it_began(
    owner: asyncpg.Connection[Any], analyzed: str
) -> None:
    """Merging, splitting, a redemption of two who are one, and which decision counts: of hundreds of pairs one is looked at."""
    book = await make_book(owner)
    if analyzed != "never":
        await owner.execute("ANALYZE")

    async def grant(customers: Iterable[int], message_id: str, **terms: Any) -> None:
        await post_grants(
            owner,
            [order(book, customer=each, message_id=message_id, points=50, unlimited=True, **terms) for each in customers],
        )

    async def hold(customers: Iterable[int]) -> list[int]:
        # As many deadlines, or their index would be smaller than the others and look better.
        answers = await post_redemptions(owner, [authorize(book, each, 1, hold_s=600 + each) for each in customers])
        return [answer.redemption.redemption for answer in answers if answer.redemption]

    async def live(first: int) -> None:
        """Two are one, who redeem; a third joins them, and leaves again."""
        one, two, three = range(first, first + 3)
        (number, *_) = await hold((one, two, three))
        await post_groupings(owner, [Merge(book, one, two)])
        await post_redemptions(owner, [capture(book, number)])
        await owner.fetch("SELECT * FROM ledger.redemptions_now_v1($1, $2, $3)", book.book_id, book.brand_id, [number])
        again = order(book, customer=two, message_id="first", points=50, unlimited=True, former=(one,), past=(three,))
        (answer,) = await post_grants(owner, [again])
        assert answer.outcome is GrantOutcome.GRANTED
        assert answer.replayed
        await decision(owner, book, 1, [again.key])  # pyright: ignore[reportArgumentType]
        await past_events(owner, book, 1, two, [(three, again.key)])  # pyright: ignore[reportArgumentType]
        await post_groupings(owner, [Merge(book, two, three), Split(book, one, three), Merge(book, one, three)])

    held_back: dict[str, Any] = {"held_back": True, "due_at": NOON + timedelta(days=9)}
    early = range(1, 3 * 8 + 1)
    await grant(early, "first")
    await grant(early, "second", **held_back)
    for first in range(1, 3 * 8, 3):  # more often than a plan is made anew
        await live(first)
    late = range(101, 101 + 3 * GROUPS)
    await grant(late, "first")
    await grant(late, "second", **held_back)
    await hold(late)
    for first in range(101, 101 + 3 * (GROUPS - 1), 3):
        await post_groupings(owner, [Merge(book, first, first + 1)])
    async with counting_rows(owner) as rows:
        await live(late[-3])
    assert max(rows.values()) < 100, rows


@pytest.mark.slow
@pytest.mark.own_database("leaves statistics")
@pytest.mark.parametrize("analyzed", ["never", "while empty", "full"])
async def test_a_page_of_customers_costs_what_is_read_of_them(owner: asyncpg.Connection[Any], analyzed: str) -> None:
    book = await make_book(owner)  # rows are loaded that no log explains: not for the audit
    if analyzed == "while empty":
        await owner.execute("ANALYZE")

    reader: Any = OneConnection(owner)

    async def read(wanted: list[int], until: int) -> int:
        page = await customers.survivors(reader, book, after=wanted[0] - 1, limit=3)
        days = [date(2030, 1, 1)]
        await customers.customer_movements(reader, book, wanted, until=until, to=date.max, starts=days)
        await customers.customer_messages(reader, book, wanted, after=0, until=until)
        await history.wallet_movements(reader, book, wanted, until=until, starts=days)
        await history.wallet_accounts(reader, book, wanted)
        await history.history(reader, book, wanted, before=None, limit=3)
        return len(page)

    # The plan of a session is from when there was nothing.
    for _ in range(7):
        await read([1, 2, 3], 1)
    for statement in LOAD:
        await owner.execute(statement, book.book_id, CUSTOMERS)
    if analyzed == "full":
        await owner.execute("ANALYZE")
    async with counting_rows(owner) as rows:
        assert await read([50, 51, 52], 2**62) == 3
    assert 0 < rows["transfer"] <= 40
    assert max(rows[table] for table in ("event", "customer_state", "head", "account", "redemption")) <= 40


@pytest.mark.slow
@pytest.mark.own_database("leaves statistics")
@pytest.mark.parametrize("analyzed", ["never", "while empty", "full"])
async def test_a_page_of_wallets_walks_no_further_than_it_says(owner: asyncpg.Connection[Any], analyzed: str) -> None:
    book = await make_book(owner)  # rows are loaded that no log explains: not for the audit
    if analyzed == "while empty":
        await owner.execute("ANALYZE")
    for statement in LOAD:
        await owner.execute(statement, book.book_id, CUSTOMERS)
    if analyzed == "full":
        await owner.execute("ANALYZE")
    reader: Any = OneConnection(owner)
    async with counting_rows(owner) as rows:
        found, more = await wallets.wallets(reader, book, after=50, limit=3)
    assert ([customer for customer, _ in found], more) == ([51, 52, 53], 53)
    assert rows["customer_state"] <= wallets.WALLETS_MAX + 50
    assert rows["account"] <= 50
