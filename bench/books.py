"""Fills a book at the speed of the disk: customers with their lots, and every grant that made them, all of it consistent.

The rows are those that grants through the API would have left behind in a year of posting, one month after the other: log,
events, accounts, customers' sums, head, and the customers' names. Each campaign has its share of the year, one after the other,
and points granted in a month are in lots of one last day. ``rewards audit`` finds nothing wrong with them
(``tests/bench/test_books.py``). What is left out: the counters of caps of days that are over, which nothing reads again.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import asyncpg
import msgspec

from ledger import Book, Fund, FundOutcome, Ledger, month_end
from ledger.chart import Kind, OwnerTag, account_id, budget, owner
from service.customers.identities import FORM, HASHED_AS, MAC_BYTES, IdentityKind
from service.settings import IdentityKey
from service.storage.database import APPLICATION_ROLE

LOTS = 12
POINTS = 10
BUDGET = 5 * 10**10
_YEAR = timedelta(days=360)
_ONE_DAY = timedelta(days=1)
_SALT_BYTES = 15
"""As in `ledger/details.py`, which a tree that this one is measured against may not have."""


class Population(msgspec.Struct, frozen=True):
    """Customers 1 to ``customers``, each with ``grants`` grants over ``LOTS`` lots, the first ``dead`` of them past.

    Only the first ``events_of`` of them have events, if not all do: as much is written for an event as for its transfer.
    """

    customers: int
    grants: int = LOTS
    dead: int = 0
    events_of: int | None = None

    @property
    def transfers(self) -> int:
        """How many grants that makes."""
        return self.customers * self.grants


def customer_id(number: int) -> str:
    """What the brand calls a customer."""
    return f"00000000-0000-4000-8000-{number:012}"


def email(number: int) -> str:
    """A customer's address."""
    return f"customer-{number}@shop.example"


async def fill(
    url: str,
    book: Book,
    population: Population,
    *,
    campaigns: Sequence[int],
    principal: int,
    identity_key: IdentityKey | None = None,
) -> None:
    """Fill an empty book, as the owner behind ``url``; with an ``identity_key`` its customers can be named over HTTP.

    ``campaigns`` are funded, and have granted in this order: the first began a year ago, the last is the one of now.

    Indexes are dropped and built again, and two connections share the work, so nobody else should be using the database.
    """
    if population.grants % LOTS:
        raise ValueError(f"{population.grants} grants do not spread evenly over {LOTS} lots")
    if population.transfers % len(campaigns):
        raise ValueError(f"{population.transfers} grants do not spread evenly over {len(campaigns)} campaigns")
    began = datetime.now(UTC) - _YEAR
    await _fund(url, book, campaigns, began)
    rows = _Rows(book, population, campaigns, principal, began)
    names = [] if identity_key is None else [("rewards.customer", rows.customers()), *_identities(rows, identity_key)]
    async with asyncio.TaskGroup() as both:
        both.create_task(_write(url, [("ledger.transfer", rows.transfers()), ("ledger.account", rows.lots())]))
        both.create_task(_write(url, [("ledger.event", rows.events()), ("ledger.customer_state", rows.states()), *names]))
    connection = await asyncpg.connect(url)
    try:
        for statement in rows.settle():
            await connection.execute(statement)
        # A tree that this one is measured against may be from before there was any.
        if await connection.fetchval("SELECT to_regclass('ledger.daily_movement') IS NOT NULL"):
            for statement in rows.add_up():
                await connection.execute(statement)
        if names:
            await connection.execute(
                "SELECT setval(pg_get_serial_sequence('rewards.customer', 'customer'), max(customer)) FROM rewards.customer"
            )
        async with asyncio.TaskGroup() as both:
            both.create_task(_vacuum(url, "ledger.transfer"))
            both.create_task(_vacuum(url, "ledger.event, ledger.account"))
        await connection.execute("VACUUM (ANALYZE)")
    finally:
        await connection.close()


async def _vacuum(url: str, tables: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"VACUUM (ANALYZE) {tables}")
    finally:
        await connection.close()


async def _fund(url: str, book: Book, campaigns: Sequence[int], at: datetime) -> None:
    """Fund the campaigns through the ledger, and say that it was done a year ago."""
    async with (
        asyncpg.create_pool(url, min_size=1, max_size=1, server_settings={"role": APPLICATION_ROLE}) as pool,
        Ledger(pool) as ledger,
    ):
        for campaign_no in campaigns:
            funded = await ledger.fund(Fund(book, campaign_no, BUDGET, f"fill {campaign_no}", bytes(32)))
            if funded.outcome is not FundOutcome.FUNDED:
                raise ValueError(f"{book} cannot be funded: {funded.outcome.name}")
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "UPDATE ledger.transfer SET posted_at = $2, occurred_at = $2 WHERE book_id = $1", book.book_id, at
        )
    finally:
        await connection.close()


class _Rows:
    """The statements that write the rows. All values are our own numbers, so they stand in the text."""

    def __init__(self, book: Book, population: Population, campaigns: Sequence[int], principal: int, began: datetime) -> None:
        self.book = book
        self.population = population
        self._campaigns = campaigns
        self._principal = principal
        self._began = began
        today = datetime.now(UTC).date()
        # Not this month's: on its last day it depends on the brand's zone whether they are past.
        months = [*range(-population.dead, 0), *range(1, LOTS - population.dead + 1)]
        self._last_days = [month_end(today, month) for month in months]
        # A month's customers in an order that is none, so that neighbours in the log are not neighbours in the wallets.
        strides = itertools.count(round(population.customers * 0.618) | 1)
        self._apart_us = _YEAR // timedelta(microseconds=1) // (population.transfers + 1)
        self._stride = next(stride for stride in strides if math.gcd(stride, population.customers) == 1)

    def _grants(self) -> str:
        """Each message goes to all customers, who act on it once."""
        population, book_id = self.population, self.book.book_id
        return f"""(
            SELECT
                {len(self._campaigns)} + n AS seq,
                1 + (n * {self._stride}) % {population.customers} AS customer,
                1 + (n - 1) / {population.transfers // LOTS} AS month,
                1 + (n - 1) / {population.transfers // len(self._campaigns)} AS campaign,
                timestamptz '{self._began.isoformat()}' + n * {self._apart_us} * interval '1 microsecond' AS at,
                int8send(hashint8extended(n, {book_id})) || int8send(hashint8extended(n, -{book_id})) AS key,
                message.message_id, message.salt, message.details_hash
            FROM (VALUES {", ".join(map(self._message, range(population.grants)))}) AS message (
                place, message_id, salt, details_hash
            )
            CROSS JOIN LATERAL (
                SELECT message.place * {population.customers} + generate_series(1::bigint, {population.customers}) AS n
            ) AS number
            OFFSET 0  -- so that each expression is computed once
        ) AS granted"""

    def _message(self, place: int) -> str:
        """A message, and what its acts have in common: their salt too, so that nothing is hashed for each of them."""
        message_id = f"00000000-0000-4000-9000-{place:012}".encode()
        salt = sha256(message_id).digest()[:_SALT_BYTES]
        # See ledger/details.py.
        rest = f'[2,"click","email","B","api",{self._principal},1,0]'.encode()
        details_hash = sha256(rest + sha256(salt + b"\0" + message_id + b"\0\xff").digest()).digest()
        return f"({place}, '{message_id.decode()}', {_bytea(salt)}, {_bytea(details_hash)})"

    def transfers(self) -> str:
        return f"""
            INSERT INTO ledger.transfer (
                book_id, seq, posted_at, occurred_at, amount, customer, campaign_no, verb, debit, credit,
                event_key, details_hash
            )
            SELECT
                {self.book.book_id}, granted.seq, granted.at, granted.at, {POINTS}, granted.customer,
                ({self._campaign_nos()})[granted.campaign], 2, ({self._budgets()})[granted.campaign],
                {_owner_of("granted.customer")} || ({self._suffixes()})[granted.month],
                granted.key, granted.details_hash
            FROM {self._grants()}
        """

    def events(self) -> str:
        return f"""
            INSERT INTO ledger.event (
                book_id, campaign_no, key, customer, seq, points, window_at, campaign_version, principal, outcome, rule,
                grade, action, channel, message_id, source, salt
            )
            SELECT
                {self.book.book_id}, ({self._campaign_nos()})[granted.campaign], granted.key,
                granted.customer, granted.seq, {POINTS}, granted.at, 1, {self._principal}, 1, 0, 'B', 'click', 'email',
                granted.message_id, 'api', granted.salt
            FROM {self._grants()}
            WHERE granted.customer <= {self.population.events_of or self.population.customers}
        """

    def lots(self) -> str:
        """Month after month, as time would have written them."""
        days = ", ".join(f"'{day}'" for day in self._last_days)
        customers = self.population.customers
        return f"""
            INSERT INTO ledger.account (book_id, id, kind, expires_on, credits)
            SELECT {self.book.book_id}, {_owner_of(f"(1 + n % {customers})")} || ({self._suffixes()})[1 + n / {customers}],
                {Kind.LOT:d}, (ARRAY[{days}]::date[])[1 + n / {customers}], {POINTS * self.population.grants // LOTS}
            FROM (SELECT generate_series(0::bigint, {LOTS * customers - 1}) AS n) AS number
        """

    def states(self) -> str:
        return f"""
            INSERT INTO ledger.customer_state (book_id, customer, points, lot_until)
            SELECT {self.book.book_id}, customer, {POINTS * self.population.grants}, '{min(self._last_days)}'
            FROM (SELECT generate_series(1::bigint, {self.population.customers}) AS customer) AS number
        """

    def customers(self) -> str:
        return f"""
            INSERT INTO rewards.customer (customer, brand_id, book_id, confirmed)
            OVERRIDING SYSTEM VALUE
            SELECT customer, {self.book.brand_id}, {self.book.book_id}, true
            FROM (SELECT generate_series(1::bigint, {self.population.customers}) AS customer) AS number
        """

    def settle(self) -> Sequence[str]:
        """What the budgets have left, and where the book stands."""
        microseconds = self._apart_us * self.population.transfers
        return (
            f"""
            UPDATE ledger.account SET debits = debits + {POINTS * self.population.transfers // len(self._campaigns)}
            WHERE book_id = {self.book.book_id} AND id = ANY ({self._budgets()})
            """,
            f"""
            UPDATE ledger.head SET seq = {len(self._campaigns) + self.population.transfers},
                posted_at = timestamptz '{self._began.isoformat()}' + {microseconds} * interval '1 microsecond'
            WHERE book_id = {self.book.book_id} AND seq = {len(self._campaigns)}
            """,
        )

    def add_up(self) -> Sequence[str]:
        """What changed what is owed, by day, as the layer tracker adds it up: what fell on a day follows from its bounds."""
        funded, each = len(self._campaigns), self.population.transfers // len(self._campaigns)
        return (
            f"""
            INSERT INTO ledger.layer_reader (book_id, seq, daily_seq, clearing)
            SELECT book_id, seq, seq, false FROM ledger.head WHERE book_id = {self.book.book_id}
            """,
            f"""
            INSERT INTO ledger.daily_movement (
                book_id, day, issued_in, campaign_no, verb, debit, credit, channel, action, grade, transfers, points, first_seq,
                last_seq
            )
            SELECT
                {self.book.book_id}, part.day, date_trunc('month', part.day)::date, part.campaign_no, 2,
                {Kind.BUDGET << 4}, {Kind.LOT << 4}, 'email', 'click', 'B', part.last - part.first + 1,
                (part.last - part.first + 1) * {POINTS}, {funded} + part.first, {funded} + part.last
            FROM (
                SELECT
                    day.day, campaign.campaign_no,
                    greatest(({self._first_since("day.day")}), (campaign.place - 1) * {each} + 1) AS first,
                    least(({self._first_since("day.day + 1")}) - 1, campaign.place * {each}) AS last
                FROM (SELECT date '{self._began.date() - _ONE_DAY}' + generate_series(0, {_YEAR.days + 2}) AS day) AS day
                JOIN ledger.head ON head.book_id = {self.book.book_id}
                CROSS JOIN unnest({self._campaign_nos()}) WITH ORDINALITY AS campaign (campaign_no, place)
            ) AS part
            WHERE part.first <= part.last
            """,
        )

    def _first_since(self, day: str) -> str:
        """SQL for the number of the first grant on a day or after it."""
        began = f"timestamptz '{self._began.isoformat()}'"
        midnight = f"({day})::timestamp AT TIME ZONE head.time_zone"
        return f"ceil(extract(epoch FROM {midnight} - {began}) * 1000000 / {self._apart_us})::bigint"

    def _campaign_nos(self) -> str:
        return f"ARRAY[{', '.join(map(str, self._campaigns))}]"

    def _budgets(self) -> str:
        return f"ARRAY[{', '.join(_bytea(budget(number)) for number in self._campaigns)}]"

    def _suffixes(self) -> str:
        """The end of a lot's id, by month: all but whose it is."""
        ends = [account_id(OwnerTag.CUSTOMER, 0, Kind.LOT, expires_on=day)[-5:] for day in self._last_days]
        return f"ARRAY[{', '.join(_bytea(end) for end in ends)}]"


def _identities(rows: _Rows, key: IdentityKey) -> list[tuple[str, str]]:
    """The customers' names, keyed and hashed as the service does it: HMAC-SHA-256 (RFC 2104)."""
    padded = key.key.ljust(64, b"\0")
    inner, outer = (bytes(byte ^ pad for byte in padded) for pad in (0x36, 0x5C))
    customers = rows.population.customers
    statements: list[tuple[str, str]] = []
    names = {
        IdentityKind.ID: "'00000000-0000-4000-8000-' || lpad(customer::text, 12, '0')",
        IdentityKind.EMAIL: "'customer-' || customer || '@shop.example'",
    }
    for kind, name in names.items():
        message = f"{_bytea(bytes((HASHED_AS, kind)) + rows.book.brand_id.to_bytes(4, 'big'))} || convert_to({name}, 'UTF8')"
        mac = f"substring(sha256({_bytea(outer)} || sha256({_bytea(inner)} || {message})) FOR {MAC_BYTES})"
        statements.append(
            (
                "rewards.identity",
                f"""
                INSERT INTO rewards.identity (mac, brand_id, kind, key_no, form, customer)
                SELECT {mac}, {rows.book.brand_id}, {kind:d}, {key.key_no}, {FORM}, customer
                FROM (SELECT generate_series(1::bigint, {customers}) AS customer) AS number
                """,
            )
        )
    return statements


async def _write(url: str, inserts: Sequence[tuple[str, str]]) -> None:
    """Run each table's statements, without indexes, in a transaction that has emptied the table: that needs no log.

    What was in the table before is put back first.
    """
    connection = await asyncpg.connect(url, server_settings={"synchronize_seqscans": "off"})
    try:
        for table in dict.fromkeys(table for table, _ in inserts):
            async with connection.transaction():
                await connection.execute(f"CREATE TEMPORARY TABLE kept ON COMMIT DROP AS TABLE {table}")
                rebuild = await _drop_indexes(connection, table)
                await connection.execute(f"TRUNCATE {table}")
                columns = await connection.fetchval(
                    """
                    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
                    WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
                    """,
                    table,
                )
                await connection.execute(f"INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM kept")
                for statement in (insert for into, insert in inserts if into == table):
                    await connection.execute(statement)
                for statement in rebuild:
                    await connection.execute(statement)
    finally:
        await connection.close()


async def _drop_indexes(connection: asyncpg.Connection[Any], table: str) -> list[str]:
    """Drop all indexes of a table; return the statements that make them again."""
    constraints = await connection.fetch(
        """
        SELECT
            quote_ident(made.conname) AS name,
            pg_get_constraintdef(made.oid)
                || coalesce(' WITH (' || array_to_string(index.reloptions, ', ') || ')', '') AS definition
        FROM pg_constraint AS made
        JOIN pg_class AS index ON index.oid = made.conindid
        WHERE made.conrelid = $1::text::regclass AND made.contype IN ('p', 'u')
        ORDER BY made.contype, made.conname
        """,
        table,
    )
    indexes = await connection.fetch(
        """
        SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition
        FROM pg_index WHERE indrelid = $1::text::regclass
            AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
        ORDER BY 1
        """,
        table,
    )
    for row in indexes:
        await connection.execute(f"DROP INDEX {row['name']}")
    for row in constraints:
        await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {row['name']}")
    return [
        *(f"ALTER TABLE {table} ADD CONSTRAINT {row['name']} {row['definition']}" for row in constraints),
        *(row["definition"] for row in indexes),
    ]


def _owner_of(customer: str) -> str:
    """SQL for the eleven bytes with which a customer's accounts begin."""
    return f"{_bytea(owner(OwnerTag.CUSTOMER, 0)[:3])} || int8send({customer})"


def _bytea(value: bytes) -> str:
    return f"'\\x{value.hex()}'::bytea"
