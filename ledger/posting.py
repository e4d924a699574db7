"""The engine: a batch of grants in, one outcome per grant out, in one call and one commit.

    what                                          cost of 1,000 on one connection, about
    arrays from orders (`prepare`)                 6 ms, while the database works on the batch before
    arrays onto the wire (the driver)            0.3 ms, as they are written already (`ledger.arrays`)
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
from ledger.arrays import BIGINTS, BOOLEANS, BYTEAS, CHARS, DATES, INTEGERS, MOMENTS, SMALLINTS, TEXTS, Array, teach
from ledger.types import EventDetails, Grade, GrantOrder, GrantOutcome, GrantResult

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
    return sha256(
        salt
        + _encode_details(
            (
                details.action,
                details.channel,
                details.message_id,
                details.qualifier,
                details.source,
                details.principal,
                details.campaign_version,
                details.rule,
                details.metadata,
            )
        )
    ).digest()


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


def prepare(orders: Sequence[GrantOrder]) -> Prepared:
    """The function's parallel arrays. What several grants share is listed once and named by index, counted from 1."""
    # A book that is asked for under two brands is here twice, and the function refuses the batch.
    books = sorted({(order.book.book_id, order.book.brand_id) for order in orders})
    book_index = {book_id: n for n, (book_id, _) in enumerate(books, 1)}
    book_ix = [book_index[order.book.book_id] for order in orders]

    # In the order of their keys, so that neighbours are found on the same pages. All customers of a book together are number 0.
    generations: dict[tuple[int, int], int] = {}
    for book, order in zip(book_ix, orders, strict=True):
        # Of those who know different groups of her at least one is behind: then all are told so.
        wallet = (book, order.customer)
        if generations.setdefault(wallet, order.generation) != order.generation:
            generations[wallet] = _NONE
        if any(cap.shared for cap in order.caps):
            generations[book, _ALL] = 0
    wallets = sorted(generations)
    wallet_index = {wallet: n for n, wallet in enumerate(wallets, 1)}
    wallet_ix = [wallet_index[book, order.customer] for book, order in zip(book_ix, orders, strict=True)]
    item_lots = [
        (wallet, order.account_class, date.max if order.held_back else order.expires_on or date.max, order.held_back)
        for wallet, order in zip(wallet_ix, orders, strict=True)
    ]
    lots = sorted(set(item_lots))
    lot_index = {lot: n for n, lot in enumerate(lots, 1)}

    budgets: dict[tuple[int, int, bool], int] = {}
    kinds: dict[tuple[int, int, int, int, int, bytes, int, str, str, str, bool, bool], int] = {}
    limits: dict[tuple[int, date, int, int, int], int] = {}
    uses: dict[tuple[int, int, date, int], tuple[int, int]] = {}
    first_of_key: dict[tuple[int, int, bytes], int] = {}
    first: list[int] = []
    kind_ix: list[int] = []
    charges_before = [0]
    charge_uses: list[int] = []
    charge_limits: list[int] = []
    recents: dict[tuple[int, int, int], int] = {}
    tallies: list[tuple[int, int, int, int]] = []
    formers: list[tuple[int, bytes, int]] = []
    proofs: list[tuple[int, bytes, bytes]] = []
    waits: list[tuple[int, int, bytes, int]] = []
    terms: list[str | None] = []
    hashes: list[bytes] = []
    randomness = os.urandom(SALT_BYTES * len(orders))
    salts = [randomness[at : at + SALT_BYTES] for at in range(0, len(randomness), SALT_BYTES)]

    for item, (order, book, wallet, salt) in enumerate(zip(orders, book_ix, wallet_ix, salts, strict=True), 1):
        campaign_no = order.campaign_no
        details = order.details
        if order.points == 0 and order.bearing is None:
            raise ValueError("an order of no points that proves nothing either")
        first.append(first_of_key.setdefault((book, campaign_no, order.key), item))
        kind = (
            book,
            budgets.setdefault((book, campaign_no, order.unlimited), len(budgets) + 1),
            campaign_no,
            details.campaign_version,
            details.rule,
            _GRADES[order.grade],
            details.principal,
            details.action,
            details.channel,
            details.source,
            order.held_back,
            order.again,
        )
        kind_ix.append(kinds.setdefault(kind, len(kinds) + 1))
        for cap in order.caps:
            max_grants = _UNLIMITED if cap.max_grants is None else cap.max_grants
            max_points = _UNLIMITED if cap.max_points is None else cap.max_points
            if cap.period is None:
                recent = recents.setdefault((wallet, campaign_no, cap.cap), len(recents) + 1)
                tallies.append((item, recent, max_grants, max_points))
                continue
            counted = wallet_index[book, _ALL] if cap.shared else wallet
            limit = limits.setdefault((campaign_no, cap.period, cap.cap, max_grants, max_points), len(limits) + 1)
            use, _ = uses.setdefault((counted, campaign_no, cap.period, cap.cap), (len(uses) + 1, limit))
            charge_uses.append(use)
            charge_limits.append(limit)
        charges_before.append(len(charge_uses))
        hashes.append(details_hash(salt, details))
        terms.append(_terms(order, hashes[-1]) if order.waits or order.held_back else None)
        formers += [(item, key, 0) for key in order.former_keys]
        if order.past_keys:
            formers += [(item, key, other) for other, key in order.past_keys]
        if order.bearing is not None:
            bearing = order.bearing
            is_strong = order.grade in _STRONG
            needs = _GRADES[bearing.needs]
            proofs += [(item, key, needs) for key in (bearing.proof_keys if order.waits else bearing.proof_keys[:1])]
            if is_strong:
                waits += [(item, group, key, 0) for group, keys in enumerate(bearing.may_wait, 1) for key in keys]
                if bearing.past_keys:
                    waits += [
                        (item, group, key, other) for group, keys in enumerate(bearing.past_keys, 1) for other, key in keys
                    ]

    columns = (
        *_columns(books, 2),
        [book for book, _, _ in budgets],
        [chart.budget(campaign_no, unlimited=unlimited) for _, campaign_no, unlimited in budgets],
        *_columns(wallets, 2),
        [generations[wallet] for wallet in wallets],
        [wallet for wallet, _, _, _ in lots],
        [
            chart.pending(wallets[wallet - 1][1], account_class)
            if held_back
            else chart.lot(wallets[wallet - 1][1], account_class, None if last_day == date.max else last_day)
            for wallet, account_class, last_day, held_back in lots
        ],
        [last_day for _, _, last_day, _ in lots],
        *_columns(limits, 5),
        [wallet for wallet, _, _, _ in uses],
        [limit for _, limit in uses.values()],
        charge_uses,
        charge_limits,
        *_columns(kinds, 12),
        [order.key for order in orders],
        first,
        kind_ix,
        wallet_ix,
        [lot_index[lot] for lot in item_lots],
        charges_before,
        [order.points for order in orders],
        [order.waits for order in orders],
        [(order.window_at - _EPOCH) // _MICROSECOND for order in orders],
        [(order.occurred_at - _EPOCH) // _MICROSECOND for order in orders],
        [order.due_at for order in orders],
        [order.details.message_id for order in orders],
        [order.details.qualifier for order in orders],
        [order.details.metadata for order in orders],
        salts,
        hashes,
        terms,
        *_columns(formers, 3),
        *_columns(recents, 3),
        *_columns(tallies, 4),
        *_columns(proofs, 3),
        *_columns(waits, 4),
    )
    arguments = [array.encode(column) for array, column in zip(_ARRAYS, columns, strict=True)]
    return Prepared(arguments, wallet_ix, book_ix, [order.key for order in orders])


def _terms(order: GrantOrder, hashed: bytes) -> str:
    """What an event is worth that is not paid yet: see pay_waiting_v1."""
    return _encode_details(
        {
            "points": order.points,
            "class": order.account_class,
            "expires_on": order.expires_on,
            "unlimited": order.unlimited,
            "held": order.held_back,
            "occurred_at": (order.occurred_at - _EPOCH) // _MICROSECOND,
            "hash": hashed.hex(),
            "caps": [(cap.cap, cap.period, cap.max_grants, cap.max_points, cap.shared) for cap in order.caps],
        }
    ).decode()


def _columns(rows: Iterable[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Rows of ``width`` fields as arrays of one field each, also where there are no rows."""
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]
