"""Nobody but the posting functions writes to the books: each role tries to forge them, and fails."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from ledger import Book, BookRefused, GrantOutcome, Ledger, RedemptionOutcome, sweep
from ledger.testing import authorize, fund, order
from service.storage.database import APPLICATION_ROLE, READER_ROLE, WORKER_ROLE, connect
from tests.conftest import Database
from tests.ledger.conftest import make_book, written
from tests.ledger.test_catalog import BOOK_TABLES

ROLES = [APPLICATION_ROLE, WORKER_ROLE, READER_ROLE]

FORGERIES = {
    "set a balance": "UPDATE ledger.account SET credits = credits + 1000000",
    "give a customer a lot": """
        INSERT INTO ledger.account (book_id, id, kind, credits)
        VALUES (1, '\\x0100000000000000000008' || '\\x10ffffffff'::bytea, 1, 1000000)
    """,
    "set a customer's sum": "UPDATE ledger.customer_state SET points = 1000000",
    "insert a transfer": """
        INSERT INTO ledger.transfer (book_id, seq, posted_at, occurred_at, amount, transaction_id, verb, debit, credit)
        VALUES (1, 100, now(), now(), 5, 100, 2, '\\x00', '\\x01')
    """,
    "change an amount": "UPDATE ledger.transfer SET amount = 1",
    "move the head": "UPDATE ledger.head SET seq = 0",
    "turn the clock": "UPDATE ledger.head SET clock_offset = interval '1 year'",
    "raise the issue limit": "UPDATE ledger.head SET issue_limit = 1000000000000000000",
    "take over a book": "UPDATE ledger.head SET brand_id = 2",
    "pay an event again": "DELETE FROM ledger.event",
    "forget a cap": "UPDATE ledger.cap_use SET grants = 0",
    "forget a refund": "DELETE FROM ledger.idempotency_key",
    "copy into the log": "COPY ledger.transfer FROM '/etc/hostname'",
    "lock the books": "DO $$ BEGIN LOCK TABLE ledger.head IN ACCESS EXCLUSIVE MODE; END $$",
    "lock a head": "SELECT * FROM ledger.head FOR UPDATE",
    "import balances": """
        SELECT ledger.import_balances_v1(
            1, 1, now(), sha256('\\x00'), 1, 5, ARRAY[7::bigint], ARRAY[5::bigint], ARRAY[0::smallint], ARRAY['infinity'::date])
    """,
    "set the issue limit": "SELECT ledger.set_issue_limit_v1(1, 1, now(), 1000000000000000000)",
    "open a book": "SELECT ledger.open_book_v1(1, 'points', 'UTC', 1000, 30)",
    "write transfers": """
        SELECT ledger.write_transfers_v1(
            head, now(), 8, NULL, NULL, NULL, NULL,
            ARRAY[2::smallint], ARRAY['\\x00'::bytea], ARRAY['\\x01'::bytea], ARRAY[5::bigint])
        FROM ledger.head
    """,
    "lock the head by function": "SELECT ledger.lock_head_v1(1, 1, now())",
    "post what is due": "SELECT ledger.post_due_v1(head, 7) FROM ledger.head",
    "release a hold": "SELECT ledger.release_hold_v1(head, 7, 3, current_date, NULL) FROM ledger.head",
    "refresh a customer's sums": "SELECT ledger.refresh_customer_state_v1(1, 7)",
    "become the owner": "SET ROLE ledger_owner",
    "become the superuser": "SET ROLE postgres",
    "act as the owner": "SET SESSION AUTHORIZATION ledger_owner",
    "own a table": f"ALTER TABLE ledger.account OWNER TO {APPLICATION_ROLE}",
    "drop a check": "ALTER TABLE ledger.account DROP CONSTRAINT account_stays_above_its_floor",
    "switch checks off": "SET session_replication_role = replica",
    "add a trigger": """
        CREATE TRIGGER forged BEFORE UPDATE ON ledger.account EXECUTE FUNCTION suppress_redundant_updates_trigger()
    """,
    "add a rule": "CREATE RULE forged AS ON INSERT TO ledger.transfer DO INSTEAD NOTHING",
    "replace a function": """
        CREATE OR REPLACE FUNCTION ledger.account_kind_v1(p_id bytea) RETURNS smallint LANGUAGE sql RETURN 1::smallint
    """,
    "make a table": "CREATE TABLE ledger.forged (id integer)",
    "make a function": "CREATE FUNCTION ledger.forged() RETURNS integer LANGUAGE sql RETURN 1",
    "make a public table": "CREATE TABLE public.forged (id integer)",
    "drop a table": "DROP TABLE ledger.cut",
    "drop the books": "DROP SCHEMA ledger CASCADE",
    "make a schema": "CREATE SCHEMA forged",
}

SWEEP = "SELECT ledger.sweep_v1(1, 1, now(), 10)"
CUT = "SELECT ledger.take_cut_v1(1, 1, now(), 'forged')"
CLOCK = "SELECT * FROM ledger.advance_clock_v1(1, 1, now(), 60, NULL)"
FUND = "SELECT ledger.fund_v1(1, 1, now(), 1, 1000, '\\x00', '\\x00')"
MERGE = "SELECT * FROM ledger.merge_customers_v1(1, 1, now(), 7, 8)"
READ_KEYS = "SELECT * FROM ledger.idempotency_key"

BEYOND = [  # what one role may do and another may not
    (APPLICATION_ROLE, SWEEP),
    (READER_ROLE, SWEEP),
    (READER_ROLE, CUT),
    (READER_ROLE, FUND),
    (READER_ROLE, CLOCK),
    (READER_ROLE, MERGE),
    (READER_ROLE, READ_KEYS),
]


@pytest.fixture
async def used_book(ledger: Ledger, book: Book) -> Book:
    """A book with a customer, a hold and a cut, so that there is something to forge."""
    await ledger.fund(fund(book, 1000))
    await ledger.grant(order(book, points=100))
    await ledger.redeem(authorize(book, 7, 40))
    await ledger.take_cut(book, "first")
    return book


@pytest.fixture
async def roles(database: Database) -> Any:
    """A connection in each role, as the service's login opens it."""
    connections = {role: await connect(database.application_url, role) for role in ROLES}
    yield connections
    for connection in connections.values():
        await connection.close()


async def test_every_forgery_fails_in_every_role(
    roles: dict[str, asyncpg.Connection[Any]], owner: asyncpg.Connection[Any], used_book: Book
) -> None:
    before = await written(owner)
    overwrites = {
        f"{verb} {table}": statement.format(table=table)
        for table in BOOK_TABLES
        for verb, statement in {
            "update": "UPDATE ledger.{table} SET book_id = book_id",
            "delete": "DELETE FROM ledger.{table}",
            "truncate": "TRUNCATE ledger.{table}",
            "insert": "INSERT INTO ledger.{table} SELECT * FROM ledger.{table}",
        }.items()
    }
    succeeded = [
        f"{role}: {forgery}"
        for role, connection in roles.items()
        for forgery, statement in (FORGERIES | overwrites).items()
        if not await fails_for_lack_of_rights(connection, statement)
    ]
    assert succeeded == []
    assert await written(owner) == before


@pytest.mark.parametrize(("role", "statement"), BEYOND)
async def test_a_role_may_only_do_its_own_work(
    roles: dict[str, asyncpg.Connection[Any]], used_book: Book, role: str, statement: str
) -> None:
    assert await fails_for_lack_of_rights(roles[role], statement)


async def fails_for_lack_of_rights(connection: asyncpg.Connection[Any], statement: str) -> bool:
    """Whether the database forbids this statement."""
    try:
        await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError:
        return True
    return False


async def test_public_may_execute_nothing_and_sees_no_table(owner: asyncpg.Connection[Any]) -> None:
    executable = await owner.fetch(
        """
        SELECT proc.proname FROM pg_proc AS proc
        CROSS JOIN LATERAL aclexplode(coalesce(proc.proacl, acldefault('f', proc.proowner))) AS entry
        WHERE proc.pronamespace = 'ledger'::regnamespace AND entry.grantee = 0
        """
    )
    assert executable == []
    readable = await owner.fetch(
        """
        SELECT class.relname, entry.privilege_type FROM pg_class AS class
        CROSS JOIN LATERAL aclexplode(class.relacl) AS entry
        WHERE class.relnamespace = 'ledger'::regnamespace AND entry.grantee = 0
        """
    )
    assert readable == []


async def test_a_role_holds_no_right_on_a_table_but_select(owner: asyncpg.Connection[Any]) -> None:
    held = await owner.fetch(
        """
        SELECT DISTINCT entry.grantee::regrole::text AS role, entry.privilege_type AS privilege
        FROM pg_class AS class CROSS JOIN LATERAL aclexplode(class.relacl) AS entry
        WHERE class.relnamespace = 'ledger'::regnamespace AND entry.grantee::regrole::text <> 'ledger_owner'
        """
    )
    assert {(row["role"], row["privilege"]) for row in held} == {(role, "SELECT") for role in ROLES}


async def test_functions_that_run_as_the_owner_check_the_brand(
    ledger: Ledger, worker_pool: asyncpg.Pool[Any], owner: asyncpg.Connection[Any], used_book: Book
) -> None:
    foreign = Book(brand_id=2, book_id=used_book.book_id)
    before = await written(owner)
    for posting in (
        ledger.grant(order(foreign, message_id="forged", unlimited=True)),
        ledger.redeem(authorize(foreign, 7, 5)),
        ledger.fund(fund(foreign, 5)),
        ledger.merge(foreign, loser=7, survivor=8),
        ledger.balance(foreign, 7),
        ledger.head(foreign),
    ):
        with pytest.raises(BookRefused):
            await posting
    for posting in (ledger.take_cut(foreign, "forged"), sweep(worker_pool, foreign)):
        with pytest.raises(asyncpg.PostgresError) as refused:
            await posting
        assert refused.value.sqlstate == "RW001"
    assert await written(owner) == before


async def test_another_brand_reads_nothing_of_a_book(ledger: Ledger, used_book: Book) -> None:
    foreign = Book(brand_id=2, book_id=used_book.book_id)
    head = await ledger.head(used_book)
    assert await ledger.statement(foreign, 7) == []
    assert await ledger.transfers(foreign, after=0, cut=head.seq) == []
    assert await ledger.account_balances(foreign, head) == []
    assert (await ledger.trial_balance(foreign, head)).lines == ()
    assert await ledger.cut_named(foreign, "first") is None


SHADOWS = [  # what a caller might put in the way of the names that a function uses
    "CREATE TEMP TABLE head AS SELECT * FROM ledger.head",
    "CREATE TEMP TABLE account AS SELECT * FROM ledger.account",
    "CREATE FUNCTION pg_temp.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT 'infinity'::timestamptz $$",
    "CREATE FUNCTION pg_temp.greatest_of(timestamptz) RETURNS timestamptz LANGUAGE sql AS $$ SELECT 'infinity'::timestamptz $$",
    "CREATE FUNCTION pg_temp.cheat(bigint, bigint) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$",
    "CREATE OPERATOR pg_temp.>= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = pg_temp.cheat)",
    "CREATE OPERATOR pg_temp.< (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = pg_temp.cheat)",
    "CREATE OPERATOR pg_temp.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = pg_temp.cheat)",
    "CREATE FUNCTION pg_temp.set_byte(bytea, integer, integer) RETURNS bytea LANGUAGE sql AS $$ SELECT ''::bytea $$",
    "CREATE FUNCTION pg_temp.cardinality(anyarray) RETURNS integer LANGUAGE sql AS $$ SELECT 0 $$",
    "SET search_path = pg_temp, ledger, pg_catalog",
]


async def test_objects_that_a_caller_puts_in_the_way_are_not_used(
    database: Database, owner: asyncpg.Connection[Any], used_book: Book
) -> None:
    async def init(connection: asyncpg.Connection[Any]) -> None:
        for shadow in SHADOWS:
            await connection.execute(shadow)

    async def leave_as_is(connection: asyncpg.Connection[Any]) -> None:
        pass

    pool = await asyncpg.create_pool(
        database.application_url,
        min_size=0,
        max_size=3,
        server_settings={"role": APPLICATION_ROLE},
        init=init,
        reset=leave_as_is,
    )
    async with Ledger(pool) as ledger:
        rich = await ledger.grant(order(used_book, message_id="too dear", points=901))
        assert rich.outcome is GrantOutcome.BUDGET_EXHAUSTED
        assert (await ledger.grant(order(used_book, message_id="fits", points=5))).outcome is GrantOutcome.GRANTED
        over = await ledger.redeem(authorize(used_book, 7, 66))
        assert over.outcome is RedemptionOutcome.INSUFFICIENT_BALANCE
        assert (await ledger.redeem(authorize(used_book, 7, 65, capture=True))).outcome is RedemptionOutcome.DONE
    pool.terminate()
    assert await owner.fetchval("SELECT max(posted_at) < 'infinity' FROM ledger.transfer")


async def test_the_service_cannot_make_itself_a_book(ledger: Ledger, owner: asyncpg.Connection[Any]) -> None:
    assert (await make_book(owner)).book_id == 1
    assert (await make_book(owner)).book_id == 2
