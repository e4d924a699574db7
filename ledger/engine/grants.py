"""The engine: a batch of grants in, one outcome per grant out, in one call and one commit.

    what                                          cost of 1,000 on one connection, about
    arrays from orders (`prepare`)                 5 ms, while the database works on the batch before
    arrays onto the wire (the driver)            0.3 ms, as they are written already (`ledger.engine.arrays`)
    the function (see its header)                 30 ms
    the commit                                     2 ms
    answers into results (`post_prepared`)         1 ms

The batch may hold several books. Order of arrival is order of decision. Sending the same batch again is safe: every grant has a
key, and what is decided is answered again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

import asyncpg
import msgspec

from ledger import chart
from ledger.engine.arrays import BIGINTS, BOOLEANS, BYTEAS, CHARS, DATES, INTEGERS, MOMENTS, SMALLINTS, TEXTS, Array, teach
from ledger.types import EventDetails, Grade, GrantOrder, GrantOutcome, GrantResult, GrantTerms

SALT_BYTES = 16
_UNLIMITED = 2**62
_ALL = 0
_NONE = -1
_STRONG = (Grade.A, Grade.B)
# What post_grants_v1 takes, but for the first, which is the caller's clock.
_ARRAYS: tuple[Array, ...] = (
    *(INTEGERS, INTEGERS),  # books
    *(INTEGERS, BYTEAS),  # budgets
    *(INTEGERS, BIGINTS, BIGINTS),  # wallets
    *(INTEGERS, BYTEAS, DATES),  # lots
    *(INTEGERS, DATES, SMALLINTS, BIGINTS, BIGINTS),  # limits
    *(INTEGERS, INTEGERS, INTEGERS, INTEGERS),  # uses, charges
    *(INTEGERS, INTEGERS, INTEGERS, INTEGERS, SMALLINTS, CHARS, INTEGERS, TEXTS, TEXTS, TEXTS, BOOLEANS, BOOLEANS),  # kinds
    *(BYTEAS, INTEGERS, INTEGERS, INTEGERS, INTEGERS, INTEGERS, BIGINTS, BOOLEANS, BIGINTS, BIGINTS, MOMENTS),  # items
    *(TEXTS, TEXTS, TEXTS, BYTEAS, BYTEAS, TEXTS),
    *(INTEGERS, BYTEAS, BIGINTS),  # keys under ids that were merged away
    *(INTEGERS, INTEGERS, SMALLINTS),  # caps of the last day
    *(INTEGERS, INTEGERS, BIGINTS, BIGINTS),  # tallies
    *(INTEGERS, BYTEAS, CHARS),  # proofs
    *(INTEGERS, INTEGERS, BYTEAS, BIGINTS),  # events that may wait
)
_POST = "SELECT * FROM ledger.post_grants_v1($1, {})".format(
    ", ".join([f"${n}::ledger.{array.domain}" for n, array in enumerate(_ARRAYS, 2)])
)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_GRADES = {grade: grade.encode() for grade in Grade}
_OUTCOMES = {outcome.value: outcome for outcome in GrantOutcome}
_encode_details = msgspec.json.Encoder().encode


def details_hash(salt: bytes, details: EventDetails) -> bytes:
    """What the log holds of an event's details: SHA-256 of the salt and a JSON array of the fields in order."""
    return sha256(salt + _encode_details(msgspec.structs.astuple(details))).digest()


class Prepared(NamedTuple):
    """A batch made ready for the database: the function's arguments, and where each item's answer is found."""

    arguments: list[bytes]
    wallets: list[int]
    books: list[int]
    keys: list[bytes]


async def post_grants(connection: asyncpg.Connection[Any], orders: Sequence[GrantOrder]) -> list[GrantResult]:
    """Post a batch and commit it; one result per order, in order.

    Raises what asyncpg raises. SQLSTATE RW001 is a book of another brand, RW002 clocks that differ: nothing is posted then.
    """
    await teach(connection)
    return await post_prepared(connection, prepare(orders))


async def post_prepared(connection: asyncpg.Connection[Any], batch: Prepared) -> list[GrantResult]:
    """The same for a batch that was made ready before, on a connection that was taught arrays. It may be sent again."""
    row = await connection.fetchrow(_POST, datetime.now(UTC), *batch.arguments)
    assert row is not None
    outcomes, points, seqs, replayed, keys, balances, balance_seqs = row
    recorded_under = batch.keys if keys is None else [key or asked for key, asked in zip(keys, batch.keys, strict=True)]
    return [
        GrantResult(_OUTCOMES[outcome], paid, seq, replay, balances[wallet - 1], balance_seqs[book - 1], key)
        for outcome, paid, seq, replay, wallet, book, key in zip(
            outcomes, points, seqs, replayed, batch.wallets, batch.books, recorded_under, strict=True
        )
    ]


class _Plan(NamedTuple):
    """What terms come to in a batch: numbers counted from 1, and what all orders on these terms have in common.

    ``charges`` are caps of the calendar: whether all customers share it, what is counted, and its limit. ``tallies`` are those
    of the last day: the cap, so many grants, so many points.
    """

    book: int
    campaign: int
    kind: int
    lot: bytes
    last_day: date
    charges: list[tuple[bool, int, int]]
    tallies: list[tuple[int, int, int]]


class _Plans:
    """Plans by the terms' identity, and what they share: budgets, kinds, what is counted, limits."""

    def __init__(self, terms: Iterable[GrantTerms]) -> None:
        self.budgets: dict[tuple[int, int, bool], int] = {}
        self.kinds: list[tuple[int, int, int, int, int, bytes, int, str, str, str, bool, bool]] = []
        self.limits: dict[tuple[int, date, int, int, int], int] = {}
        self._campaigns: dict[tuple[int, int], int] = {}
        self._counted: dict[tuple[int, date, int], int] = {}
        distinct = {id(each): each for each in terms}
        # A book that is asked for under two brands is here twice, and the function refuses the batch.
        self.books = sorted({(each.book.book_id, each.book.brand_id) for each in distinct.values()})
        numbers = {book_id: n for n, (book_id, _) in enumerate(self.books, 1)}
        self.by_identity = {identity: self._plan(each, numbers[each.book.book_id]) for identity, each in distinct.items()}

    def _plan(self, terms: GrantTerms, book: int) -> _Plan:
        campaign_no = terms.campaign_no
        self.kinds.append(
            (
                book,
                self.budgets.setdefault((book, campaign_no, terms.unlimited), len(self.budgets) + 1),
                campaign_no,
                terms.campaign_version,
                terms.rule,
                _GRADES[terms.grade],
                terms.principal,
                terms.action,
                terms.channel,
                terms.source,
                terms.held_back,
                terms.again,
            )
        )
        charges: list[tuple[bool, int, int]] = []
        tallies: list[tuple[int, int, int]] = []
        for cap in terms.caps:
            max_grants = _UNLIMITED if cap.max_grants is None else cap.max_grants
            max_points = _UNLIMITED if cap.max_points is None else cap.max_points
            if cap.period is None:
                tallies.append((cap.cap, max_grants, max_points))
                continue
            limit = self.limits.setdefault((campaign_no, cap.period, cap.cap, max_grants, max_points), len(self.limits) + 1)
            counted = self._counted.setdefault((campaign_no, cap.period, cap.cap), len(self._counted) + 1)
            charges.append((cap.shared, counted, limit))
        # What is held back does not expire.
        kind, expires_on = (chart.Kind.PENDING, None) if terms.held_back else (chart.Kind.LOT, terms.expires_on)
        return _Plan(
            book,
            self._campaigns.setdefault((book, campaign_no), len(self._campaigns) + 1),
            len(self.kinds),
            chart.tail(kind, terms.account_class, expires_on),
            expires_on or date.max,
            charges,
            tallies,
        )


def prepare(orders: Sequence[GrantOrder]) -> Prepared:
    """The function's parallel arrays. What several grants share is listed once and named by index, counted from 1."""
    shared = _Plans([order.terms for order in orders])
    plans = [shared.by_identity[id(order.terms)] for order in orders]

    # In the order of their keys, so that neighbours are found on the same pages. All customers of a book together are number 0.
    generations = {(plan.book, _ALL): 0 for plan in shared.by_identity.values() if any(each[0] for each in plan.charges)}
    for plan, order in zip(plans, orders, strict=True):
        # Of those who know different groups of her at least one is behind: then all are told so.
        wallet = (plan.book, order.customer)
        if generations.setdefault(wallet, order.generation) != order.generation:
            generations[wallet] = _NONE
    wallets = sorted(generations)
    wallet_index = {wallet: n for n, wallet in enumerate(wallets, 1)}
    wallet_ix = [wallet_index[plan.book, order.customer] for plan, order in zip(plans, orders, strict=True)]
    item_lots = [(wallet, plan.lot, plan.last_day) for wallet, plan in zip(wallet_ix, plans, strict=True)]
    lots = sorted(set(item_lots))
    lot_index = {lot: n for n, lot in enumerate(lots, 1)}

    uses: dict[tuple[int, int], tuple[int, int]] = {}
    first_of_key: dict[tuple[int, bytes], int] = {}
    first: list[int] = []
    charges_before = [0]
    charge_uses: list[int] = []
    charge_limits: list[int] = []
    recents: dict[tuple[int, int, int], int] = {}
    tallies: list[tuple[int, int, int, int]] = []
    formers: list[tuple[int, bytes, int]] = []
    proofs: list[tuple[int, bytes, bytes]] = []
    waits: list[tuple[int, int, bytes, int]] = []
    due: list[str | None] = []
    hashes: list[bytes] = []
    randomness = os.urandom(SALT_BYTES * len(orders))
    salts = [randomness[at : at + SALT_BYTES] for at in range(0, len(randomness), SALT_BYTES)]

    for item, (order, plan, wallet, salt) in enumerate(zip(orders, plans, wallet_ix, salts, strict=True), 1):
        terms, bearing = order.terms, order.bearing
        if terms.points == 0 and bearing is None:
            raise ValueError("an order of no points that proves nothing either")
        first.append(first_of_key.setdefault((plan.campaign, order.key), item))
        for is_shared, counted, limit in plan.charges:
            whose = wallet_index[plan.book, _ALL] if is_shared else wallet
            use, _ = uses.setdefault((whose, counted), (len(uses) + 1, limit))
            charge_uses.append(use)
            charge_limits.append(limit)
        charges_before.append(len(charge_uses))
        for cap, max_grants, max_points in plan.tallies:
            recent = recents.setdefault((wallet, terms.campaign_no, cap), len(recents) + 1)
            tallies.append((item, recent, max_grants, max_points))
        hashes.append(details_hash(salt, _details(order)))
        due.append(_due(order, hashes[-1]) if terms.waits or terms.held_back else None)
        if order.former_keys:
            formers += [(item, key, 0) for key in order.former_keys]
        if order.past_keys:
            formers += [(item, key, other) for other, key in order.past_keys]
        if bearing is not None:
            needs = _GRADES[bearing.needs]
            proofs += [(item, key, needs) for key in (bearing.proof_keys if terms.waits else bearing.proof_keys[:1])]
            if terms.grade in _STRONG:
                waits += [(item, group, key, 0) for group, keys in enumerate(bearing.may_wait, 1) for key in keys]
                if bearing.past_keys:
                    waits += [
                        (item, group, key, other) for group, keys in enumerate(bearing.past_keys, 1) for other, key in keys
                    ]

    columns = (
        *_columns(shared.books, 2),
        [book for book, _, _ in shared.budgets],
        [chart.budget(campaign_no, unlimited=unlimited) for _, campaign_no, unlimited in shared.budgets],
        *_columns(wallets, 2),
        [generations[wallet] for wallet in wallets],
        [wallet for wallet, _, _ in lots],
        [chart.owner(chart.OwnerTag.CUSTOMER, wallets[wallet - 1][1]) + tail for wallet, tail, _ in lots],
        [last_day for _, _, last_day in lots],
        *_columns(shared.limits, 5),
        [wallet for wallet, _ in uses],
        [limit for _, limit in uses.values()],
        charge_uses,
        charge_limits,
        *_columns(shared.kinds, 12),
        [order.key for order in orders],
        first,
        [plan.kind for plan in plans],
        wallet_ix,
        [lot_index[lot] for lot in item_lots],
        charges_before,
        [order.terms.points for order in orders],
        [order.terms.waits for order in orders],
        [(order.window_at - _EPOCH) // _MICROSECOND for order in orders],
        [(order.occurred_at - _EPOCH) // _MICROSECOND for order in orders],
        [order.due_at for order in orders],
        [order.message_id for order in orders],
        [order.qualifier for order in orders],
        [order.metadata for order in orders],
        salts,
        hashes,
        due,
        *_columns(formers, 3),
        *_columns(recents, 3),
        *_columns(tallies, 4),
        *_columns(proofs, 3),
        *_columns(waits, 4),
    )
    arguments = [array.encode(column) for array, column in zip(_ARRAYS, columns, strict=True)]
    return Prepared(arguments, wallet_ix, [plan.book for plan in plans], [order.key for order in orders])


def _details(order: GrantOrder) -> EventDetails:
    terms = order.terms
    return EventDetails(
        terms.action,
        terms.channel,
        order.message_id,
        order.qualifier,
        terms.source,
        terms.principal,
        terms.campaign_version,
        terms.rule,
        order.metadata,
    )


def _due(order: GrantOrder, hashed: bytes) -> str:
    """What an event is worth that is not paid yet: see pay_waiting_v1."""
    terms = order.terms
    return _encode_details(
        {
            "points": terms.points,
            "class": terms.account_class,
            "expires_on": terms.expires_on,
            "unlimited": terms.unlimited,
            "held": terms.held_back,
            "occurred_at": (order.occurred_at - _EPOCH) // _MICROSECOND,
            "hash": hashed.hex(),
            "caps": [(cap.cap, cap.period, cap.max_grants, cap.max_points, cap.shared) for cap in terms.caps],
        }
    ).decode()


def _columns(rows: Iterable[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Rows of ``width`` fields as arrays of one field each, also where there are no rows."""
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]
