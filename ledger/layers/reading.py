"""Where the points of a redemption came from, and where those of a grant went and are, up to the book's head.

What has not been read of the log yet is folded for the customers concerned, and not kept: so an answer is never behind. What is
due and not posted yet (holds that timed out, dead lots) is counted as if it were, as all reads do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import msgspec

from ledger.chart import OWNER_BYTES, Kind, describe_account, number_of
from ledger.layers import loading
from ledger.layers.folding import LAYERED, Move, Part, kind_of
from ledger.layers.loading import Database, Place, redemption_of
from ledger.read_models import GrantUses, RedemptionSources, Source, Use
from ledger.types import Book, Verb

MOVES_MAX = 5_000
"""How many transfers that have not been read yet one answer takes apart. If there are more, it is as of the last of these."""

_MOVES_OF_ONE_MAX = 100_000
"""The same for who has to know where all points are."""
_LEGS_MAX = 4_000
_NEVER = date.max

_MOVES_OF_CUSTOMERS = loading.statement("moves_of_customers")
_CUSTOMERS_OF_TRANSACTIONS = loading.statement("customers_of_transactions")
_PIECES = loading.statement("redemption_pieces")
_MOVES_OF_LAYER = loading.statement("moves_of_layer")
_LAYERS_ISSUED = loading.statement("layers_issued")
_LAYER_OF_EVENT = loading.statement("layer_of_event")
_RELATED = loading.statement("related_customers")
_DUE = "SELECT layer, lot, points FROM ledger.due_claw_backs_v1($1, $2, $3, $4, $5)"
_HAS_IT = """SELECT coalesce(state.moved_to, event.customer) FROM ledger.event
LEFT JOIN ledger.customer_state AS state ON state.book_id = $1 AND state.customer = event.customer
WHERE event.book_id = $1 AND event.campaign_no = $2 AND event.key = $3"""
_REDEMPTIONS = "SELECT id, customer, deadline FROM ledger.redemption WHERE book_id = $1 AND id = ANY ($2)"
_POSTED = "SELECT seq, verb, posted_at FROM ledger.transfer WHERE book_id = $1 AND seq = ANY ($2)"
_CLOCK = """SELECT greatest(posted_at, clock_timestamp() + clock_offset) AS now, time_zone, grace_days
FROM ledger.head WHERE book_id = $1"""


class _Clock(msgspec.Struct, frozen=True):
    """What time it is in the book, and what its zone and its grace make of it."""

    now: datetime
    time_zone: str
    grace_days: int

    def day(self, at: datetime) -> date:
        return at.astimezone(ZoneInfo(self.time_zone)).date()


class _Flow(msgspec.Struct):
    """What of a layer a redemption took, and what became of it. What it ``captured_late`` it took from a lot."""

    seq: int
    authorized: int = 0
    captured: int = 0
    captured_late: int = 0
    released: int = 0
    refunded: int = 0

    @property
    def held(self) -> int:
        return self.authorized - self.captured - self.released

    @property
    def taken(self) -> int:
        return self.authorized + self.captured_late

    @property
    def spent(self) -> int:
        return self.captured + self.captured_late

    def add(self, part: Part) -> None:
        self.seq = min(self.seq, part.seq)
        if kind_of(part.credit) == Kind.HELD:
            self.authorized += part.amount
        elif kind_of(part.credit) == Kind.SPENT:
            if kind_of(part.debit) == Kind.LOT:
                self.captured_late += part.amount
            else:
                self.captured += part.amount
        elif kind_of(part.debit) == Kind.HELD:
            self.released += part.amount
        else:
            self.refunded += part.amount


@asynccontextmanager
async def _one_instant(pool: asyncpg.Pool[Any]) -> AsyncGenerator[Database]:
    """A few short statements that see the same: what is kept, how far it goes, and the log."""
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        yield connection  # pyright: ignore[reportReturnType]  a pool's connection is one


async def redemption_sources(pool: asyncpg.Pool[Any], book: Book, redemption: int) -> RedemptionSources | None:
    """Which layers a redemption took; ``None`` if there is no such redemption."""
    async with _one_instant(pool) as database:
        place = await loading.place_of(database, book)
        begun = await database.fetchrow(_REDEMPTIONS, book.book_id, [redemption])
        if place is None or begun is None:
            return None
        members = await _with_related(database, book, {begun["customer"]}, [redemption])
        read, as_of = await _unread(database, book, place, members)
        kept = [
            Part(redemption, row["layer"], row["amount"], row["debit"], row["credit"])
            for row in await _kept(database, place, _PIECES, book.book_id, [redemption])
        ]
        flows = _flows([part for part in (*kept, *read) if redemption in _redemptions(part)])
        clock = await _clock(database, book)
        issued = await database.fetch(_LAYERS_ISSUED, book.book_id, list({layer for layer, _ in flows}))
    due = begun["deadline"] <= clock.now
    by_layer = {row["seq"]: row for row in issued}
    sources = [_source(by_layer[layer], lot, flow, due=due) for (layer, lot), flow in flows.items()]
    return RedemptionSources(as_of, tuple(sorted(sources, key=lambda source: (source.expires_on or _NEVER, source.seq))))


async def _kept(database: Database, place: Place, statement: str, *arguments: Any) -> list[asyncpg.Record]:
    """What is kept; nothing while all is being built again."""
    return await database.fetch(statement, *arguments) if place.read else []


def _redemptions(part: Part) -> set[int | None]:
    return {redemption_of(part.debit), redemption_of(part.credit)}


def _flows(parts: Sequence[Part]) -> dict[tuple[int, bytes], _Flow]:
    """What a redemption took by layer, and by class and last day: the last nibbles of its accounts."""
    flows: dict[tuple[int, bytes], _Flow] = {}
    for part in parts:
        account = part.debit if redemption_of(part.debit) is not None else part.credit
        lot = bytes((account[OWNER_BYTES] & 15,)) + account[OWNER_BYTES + 1 :]
        flows.setdefault((part.layer, lot), _Flow(part.seq)).add(part)
    return flows


def _source(issue: asyncpg.Record, lot: bytes, flow: _Flow, *, due: bool) -> Source:
    name = describe_account(issue["credit"][:OWNER_BYTES] + bytes((Kind.LOT << 4 | lot[0],)) + lot[1:])
    return Source(
        seq=issue["seq"],
        verb=Verb(issue["verb"]),
        issued_at=issue["posted_at"],
        campaign_no=issue["campaign_no"],
        event_key=issue["event_key"],
        action=issue["action"],
        channel=issue["channel"],
        account_class=name.account_class,
        expires_on=name.expires_on,
        authorized=flow.taken,
        held=0 if due else flow.held,
        captured=flow.spent,
        refunded=flow.refunded,
    )


async def grant_uses(pool: asyncpg.Pool[Any], book: Book, campaign_no: int, key: bytes) -> GrantUses | None:
    """Where the points of a grant went; ``None`` if no points were granted under this key."""
    async with _one_instant(pool) as database:
        place = await loading.place_of(database, book)
        layer: int | None = await database.fetchval(_LAYER_OF_EVENT, book.book_id, campaign_no, key)
        if place is None or layer is None:
            return None
        issue = await database.fetchrow(_LAYERS_ISSUED, book.book_id, [layer])
        assert issue is not None
        kept = [
            Part(row["seq"], layer, row["amount"], row["debit"], row["credit"])
            for row in await _kept(database, place, _MOVES_OF_LAYER, book.book_id, layer)
        ]
        whose = await _whose(database, book, {issue["credit"]: issue["amount"]}, kept)
        read, as_of = await _unread(database, book, place, whose)
        parts = [*kept, *(part for part in read if part.layer == layer)]
        used = _used(parts)
        begun = await database.fetch(_REDEMPTIONS, book.book_id, [number for number in used if number > 0])
        posted = await database.fetch(_POSTED, book.book_id, [flow.seq for flow in used.values()])
        clock = await _clock(database, book)
        due = await _due_claw_backs(database, book, layer, {row["customer"] for row in begun}, clock)
    return _uses(issue, as_of, parts, {row["id"]: row["deadline"] for row in begun}, posted, clock, due)


async def _due_claw_backs(
    database: Database, book: Book, layer: int, customers: Collection[int], clock: _Clock
) -> dict[date, int]:
    """What is taken back of a layer once these customers' holds that have timed out are released, by last day."""
    due: defaultdict[date, int] = defaultdict(int)
    for customer in customers:
        for row in await database.fetch(_DUE, book.book_id, customer, clock.now, clock.time_zone, clock.grace_days):
            if row["layer"] == layer:
                due[describe_account(row["lot"]).expires_on or _NEVER] += row["points"]
    return due


class Holdings(msgspec.Struct, frozen=True):
    """Where the points of a grant are as of ``seen``.

    ``lots`` have so many of its ``layer``, ``None`` if it has none. Of each redemption that has some, ``pieces`` has all
    layers, by account. Only transfers of ``members`` can move any of these.
    """

    seen: int
    members: list[int]
    layer: int | None = None
    lots: dict[bytes, int] = {}
    pieces: dict[tuple[bytes, int], int] = {}


async def holdings(pool: asyncpg.Pool[Any], book: Book, campaign_no: int, key: bytes) -> Holdings:
    """Where the points of a grant are; nowhere, if none were granted under this key."""
    async with _one_instant(pool) as database:
        place = await loading.place_of(database, book)
        customer = await database.fetchval(_HAS_IT, book.book_id, campaign_no, key)
        layer: int | None = await database.fetchval(_LAYER_OF_EVENT, book.book_id, campaign_no, key)
        if place is None or layer is None:
            return Holdings(0 if place is None else place.head, [] if customer is None else [customer])
        issue = await database.fetchrow(_LAYERS_ISSUED, book.book_id, [layer])
        assert issue is not None
        issued = {issue["credit"]: issue["amount"]}
        kept = [
            Part(row["seq"], layer, row["amount"], row["debit"], row["credit"])
            for row in await _kept(database, place, _MOVES_OF_LAYER, book.book_id, layer)
        ]
        whose = await _whose(database, book, issued, kept)
        members = await _with_related(database, book, whose | {customer}, [])
        read, seen = await _unread(database, book, place, members, moves_max=_MOVES_OF_ONE_MAX)
        there = _balances(issued, [*kept, *(part for part in read if part.layer == layer)])
        redemptions = {number for account in there if (number := redemption_of(account)) is not None}
        pieces = await _pieces_of(database, book, place, redemptions, read)
        members |= {row["customer"] for row in await database.fetch(_REDEMPTIONS, book.book_id, list(redemptions))}
    members |= {number_of(account) for account in there if kind_of(account) == Kind.LOT}
    lots = {account: points for account, points in there.items() if kind_of(account) == Kind.LOT}
    return Holdings(seen, sorted(members), layer, lots, pieces)


async def _pieces_of(
    database: Database, book: Book, place: Place, redemptions: Collection[int], read: Sequence[Part]
) -> dict[tuple[bytes, int], int]:
    """What redemptions have of every layer, by account."""
    kept = await _kept(database, place, _PIECES, book.book_id, list(redemptions))
    moved = [(row["debit"], row["credit"], row["layer"], row["amount"]) for row in kept]
    moved += [(part.debit, part.credit, part.layer, part.amount) for part in read]
    pieces: defaultdict[tuple[bytes, int], int] = defaultdict(int)
    for debit, credit, layer, amount in moved:
        pieces[debit, layer] -= amount
        pieces[credit, layer] += amount
    return {
        (account, layer): amount
        for (account, layer), amount in pieces.items()
        if amount and redemption_of(account) in redemptions
    }


async def _whose(database: Database, book: Book, issued: dict[bytes, int], parts: Sequence[Part]) -> set[int]:
    """Who may move points of a layer: who has some in a lot, and whose redemptions hold or have spent some."""
    balances = _balances(issued, parts)
    redemptions = {number for account in balances if (number := redemption_of(account)) is not None}
    rows = await database.fetch(_REDEMPTIONS, book.book_id, list(redemptions)) if redemptions else []
    owners = {number_of(account) for account in balances if kind_of(account) == Kind.LOT} | {row["customer"] for row in rows}
    return await _with_related(database, book, owners, redemptions)


async def _with_related(database: Database, book: Book, customers: set[int], redemptions: Collection[int]) -> set[int]:
    """The same, and everybody with whom they may have been one while points moved: a merge of empty wallets is no transfer."""
    rows = await database.fetch(_RELATED, book.book_id, list(customers), list(redemptions))
    found = customers | {row["customer"] for row in rows}
    return found if found == customers else await _with_related(database, book, found, redemptions)


def _balances(issued: dict[bytes, int], parts: Sequence[Part]) -> dict[bytes, int]:
    """The accounts that have points of a layer, and how many."""
    balances = defaultdict[bytes, int](int, issued)
    for part in parts:
        balances[part.debit] -= part.amount
        balances[part.credit] += part.amount
    return {account: points for account, points in balances.items() if points and kind_of(account) in LAYERED}


def _used(parts: Sequence[Part]) -> dict[int, _Flow]:
    """What went to each redemption, by its number, and what went out of lots otherwise, by minus the transfer's."""
    used: dict[int, _Flow] = {}
    for part in parts:
        redemption = redemption_of(part.debit) or redemption_of(part.credit)
        if redemption is not None:
            used.setdefault(redemption, _Flow(part.seq)).add(part)
        elif kind_of(part.credit) not in LAYERED:
            used[-part.seq] = _Flow(part.seq, authorized=part.amount)
    return used


def _uses(
    issue: asyncpg.Record,
    as_of: int,
    parts: Sequence[Part],
    deadlines: dict[int, datetime],
    posted: Sequence[asyncpg.Record],
    clock: _Clock,
    due: dict[date, int],
) -> GrantUses:
    """The uses in the order of the log, and what is left once all that is due is done; ``due`` is then taken back at once."""
    by_seq = {row["seq"]: row for row in posted}
    overdue = {number: deadline for number, deadline in deadlines.items() if deadline <= clock.now}
    uses = [
        _use(number, flow, by_seq[flow.seq], due=number in overdue)
        for number, flow in sorted(_used(parts).items(), key=lambda item: item[1].seq)
    ]
    lots = _lots_when_settled(_balances({issue["credit"]: issue["amount"]}, parts), overdue, clock)
    for last_day, points in due.items():
        lots[last_day] -= points
    if due:
        uses.append(Use(None, Verb.CLAWBACK, None, None, sum(due.values()), 0, 0, 0))
    today = clock.day(clock.now)
    dead = sum(points for last_day, points in lots.items() if last_day < today)
    if dead:
        uses.append(Use(None, Verb.EXPIRE, None, None, dead, 0, 0, 0))
    return GrantUses(as_of, issue["amount"], sum(lots.values()) - dead, tuple(uses))


def _lots_when_settled(balances: dict[bytes, int], overdue: dict[int, datetime], clock: _Clock) -> dict[date, int]:
    """What is in lots by last day, holds that timed out given back as of their deadline."""
    lots: defaultdict[date, int] = defaultdict(int)
    for account, points in balances.items():
        last_day = describe_account(account).expires_on or _NEVER
        if kind_of(account) == Kind.LOT:
            lots[last_day] += points
        elif kind_of(account) == Kind.HELD and (deadline := overdue.get(number_of(account))) is not None:
            day = clock.day(deadline)
            lots[last_day if last_day >= day else day + timedelta(days=clock.grace_days)] += points
    return lots


def _use(number: int, flow: _Flow, posted: asyncpg.Record, *, due: bool) -> Use:
    return Use(
        redemption=number if number > 0 else None,
        verb=Verb(posted["verb"]),
        seq=flow.seq,
        posted_at=posted["posted_at"],
        points=flow.taken,
        held=0 if due or number < 0 else flow.held,
        captured=flow.spent,
        refunded=flow.refunded,
    )


async def _clock(database: Database, book: Book) -> _Clock:
    row = await database.fetchrow(_CLOCK, book.book_id)
    assert row is not None
    return _Clock(*row)


async def _unread(
    database: Database, book: Book, place: Place, customers: Collection[int], *, moves_max: int | None = None
) -> tuple[list[Part], int]:
    """The parts of what these customers did that has not been read yet, and up to which seq."""
    moves, until = await _unread_moves(database, book, place, set(customers), moves_max or MOVES_MAX)
    folded = await loading.fold_stretch(database, book.book_id, place.read, moves)
    return folded.parts, until


async def _unread_moves(
    database: Database, book: Book, place: Place, members: set[int], moves_max: int
) -> tuple[Sequence[Move], int]:
    """Their moves, and those of everybody whom they were merged with or split from since."""
    rows = await database.fetch(_MOVES_OF_CUSTOMERS, book.book_id, place.read, place.head, moves_max, list(members))
    moves = [loading.move_of(row) for row in rows]
    groupings = {move.transaction for move in moves if Kind.TRANSIT in (kind_of(move.debit), kind_of(move.credit))}
    if groupings:
        found = await database.fetch(_CUSTOMERS_OF_TRANSACTIONS, book.book_id, list(groupings), _LEGS_MAX)
        others = {row["customer"] for row in found}
        if others - members:
            return await _unread_moves(database, book, place, members | others, moves_max)
    return loading.without_last_transaction(moves) if len(moves) == moves_max else (moves, place.head)
