"""What would be decided on grants if they came now: one statement for a batch, which writes nothing and keeps nobody waiting.

It weighs what ``post_grants_v1`` weighs, in the same order. ``tests/model`` asks for a quote before each single grant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec

from ledger.errors import BookRefused
from ledger.instants import microseconds
from ledger.types import CapRoom, CapUse, GrantOrder, GrantOutcome, GrantQuote

_QUOTE = "SELECT outcome, points, replayed, counted, budget_left, balance, seq FROM ledger.quote_grants_v1($1, $2, $3)"

_encode = msgspec.json.Encoder().encode
_decode_counted = msgspec.json.Decoder(list[tuple[int, int, bool]]).decode


async def quotes(pool: asyncpg.Pool[Any], orders: Sequence[GrantOrder]) -> list[GrantQuote]:
    """What would be decided on each of ``orders``, all of one book, in order and each by itself. Raises ``BookRefused``."""
    if not orders:
        return []
    book = orders[0].book
    if any(order.book != book for order in orders):
        raise ValueError("the orders are of several books")
    items = _encode([_item(order) for order in orders]).decode()
    rows = await pool.fetch(_QUOTE, book.book_id, book.brand_id, items)
    if not rows:
        raise BookRefused.of(book)
    return [
        GrantQuote(
            outcome=GrantOutcome(outcome),
            points=points,
            replayed=replayed,
            caps=tuple([_room(cap, *used) for cap, used in zip(order.terms.caps, _decode_counted(counted), strict=True)]),
            budget_left=budget_left,
            balance=balance,
            seq=seq,
        )
        for order, (outcome, points, replayed, counted, budget_left, balance, seq) in zip(orders, rows, strict=True)
    ]


def _item(order: GrantOrder) -> dict[str, Any]:
    """An order as ``quote_grants_v1`` has it."""
    proof_keys = order.corroboration.proof_keys if order.terms.waits and order.corroboration is not None else ()
    return {
        "campaign": order.terms.campaign_no,
        "customer": order.customer,
        "generation": order.generation,
        "keys": [
            *((key.hex(), 0) for key in (order.key, *order.former_keys)),
            *((key.hex(), other) for other, key in order.past_keys),
        ],
        "at": microseconds(order.window_at),
        "waits": order.terms.waits,
        "again": order.terms.again,
        "proofs": [key.hex() for key in proof_keys],
        "needs": None if order.corroboration is None else order.corroboration.needs,
        "points": order.terms.points,
        "unlimited": order.terms.unlimited,
        "held": order.terms.held_back,
        "caps": [cap.terms for cap in order.terms.caps],
    }


def _room(cap: CapUse, grants: int, points: int, is_known: bool) -> CapRoom:
    """What a cap leaves that has counted so much; nothing where it is not known any more what it has counted."""
    return CapRoom(_left(cap.max_grants, grants, is_known=is_known), _left(cap.max_points, points, is_known=is_known))


def _left(limit: int | None, used: int, *, is_known: bool) -> int | None:
    if limit is None:
        return None
    return max(limit - used, 0) if is_known else 0
