"""Corrections. A claw-back takes a grant's points back, because it should not have been:

    what is left of it       goes back to the campaign's budget
    what is set aside        is not taken. It stays a shortfall of the grant: a void, a time-out or a refund that returns these
    or spent                 points pays it first, in the same transaction
    what is held back        is rejected
    what has expired         is gone already

A return of a purchase takes back what as much of it has earned as is returned, in the same way. An adjustment gives a customer
points out of a budget, or takes some that they can spend, all or none.

Which points are a grant's is a matter of layers, which posting does not know. So they are read first, without a lock, and the
function that posts takes nothing if anybody who could have moved some of them has done anything since. Of most grants nothing
has ever moved: where their points are is read for many at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import msgspec

from ledger import details
from ledger.engine.redemptions import idempotency_hash
from ledger.errors import Overloaded
from ledger.layers.reading import Holdings, grant_uses, holdings
from ledger.point_value import PointValue
from ledger.read_models import Event
from ledger.types import (
    Adjust,
    AdjustResult,
    Book,
    ClawBack,
    ClawBackOutcome,
    ClawBackQuote,
    ClawBackResult,
    GrantOutcome,
    Operation,
    PurchaseReturn,
    ReturnOutcome,
    ReturnQuote,
    ReturnResult,
    Verb,
)

ATTEMPTS = 20
"""How often points are looked up again that moved meanwhile: their customers are busy."""

_GRANTS = (Path(__file__).with_name("sql") / "grants_to_claw_back.sql").read_text()
_OUTSTANDING = """SELECT coalesce(sum(points), 0)::bigint FROM ledger.shortfall
WHERE book_id = $1 AND campaign_no = $2 AND event_key = $3"""


def _call(function: str, arguments: int, returns: str = "outcome, replayed, answer::text") -> str:
    parameters = ", ".join(f"${number}" for number in range(1, arguments + 1))
    return f"SELECT {returns} FROM ledger.{function}({parameters})"


_CLAW_BACK = _call("claw_back_v1", 21)
_RETURN = _call("return_purchase_v1", 26)
_TERMS = _call("return_terms_v1", 12, "*")
_ADJUST = _call("adjust_v1", 16)

_Result = TypeVar("_Result", ClawBackResult, ReturnResult, AdjustResult)

_QUOTED = {
    GrantOutcome.GRANTED: ClawBackOutcome.CLAWED_BACK,
    GrantOutcome.HELD_BACK: ClawBackOutcome.REJECTED,
}


async def claw_back(pool: asyncpg.Pool[Any], asked: ClawBack) -> ClawBackResult:
    """Take points of one grant back."""
    for _ in range(ATTEMPTS):
        found = await holdings(pool, asked.book, asked.campaign_no, asked.event_key)
        result = await _post(pool, asked, found)
        if result.outcome is not ClawBackOutcome.CHANGED:
            return result
    raise Overloaded(retry_after_s=1)


async def claw_backs(pool: asyncpg.Pool[Any], book: Book, asked: Sequence[ClawBack]) -> list[ClawBackResult]:
    """Take points of many grants back, one after the other: each is a posting of its own, so nobody waits for all of them."""
    rows = {row["place"] - 1: row for row in await _read(pool, book, [(each.campaign_no, each.event_key) for each in asked])}
    results: list[ClawBackResult] = []
    moved: set[int] = set()
    for place, each in enumerate(asked):
        row = rows.get(place)
        if row is not None and row["customer"] in moved:
            # Their points have moved by what was taken a moment ago, and this grant's have not.
            row = next(iter(await _read(pool, book, [(each.campaign_no, each.event_key)])), None)
        results.append(await _claw_back_whole(pool, each, row))
        if row is not None:
            moved.add(row["customer"])
    return results


async def _read(pool: asyncpg.Pool[Any], book: Book, grants: Sequence[tuple[int, bytes]]) -> list[asyncpg.Record]:
    return await pool.fetch(
        _GRANTS, book.book_id, book.brand_id, [campaign_no for campaign_no, _ in grants], [key for _, key in grants]
    )


async def _claw_back_whole(pool: asyncpg.Pool[Any], asked: ClawBack, row: asyncpg.Record | None) -> ClawBackResult:
    """Take points back of a grant that was whole when it was read; of any other as always."""
    if row is not None and row["lot"] is not None:
        found = Holdings(row["seen"], [row["customer"]], row["layer"], {row["lot"]: row["points"]})
        result = await _post(pool, asked, found)
        if result.outcome is not ClawBackOutcome.CHANGED:
            return result
    return await claw_back(pool, asked)


async def claw_back_quotes(
    pool: asyncpg.Pool[Any], book: Book, grants: Sequence[tuple[int, bytes]]
) -> list[ClawBackQuote | None]:
    """What could be taken back of grants, in order; ``None`` where there is none. Writes nothing and waits for nobody."""
    quotes: list[ClawBackQuote | None] = [None] * len(grants)
    for row in await _read(pool, book, grants):
        place: int = row["place"] - 1
        quotes[place] = await _quote(pool, book, grants[place], row)
    return quotes


async def _quote(pool: asyncpg.Pool[Any], book: Book, grant: tuple[int, bytes], row: asyncpg.Record) -> ClawBackQuote:
    left = spendable = 0
    outcome = _QUOTED.get(row["outcome"], ClawBackOutcome.NOT_GRANTED)
    if row["lot"] is not None or outcome is ClawBackOutcome.REJECTED:
        left = spendable = row["points"]
    elif outcome is ClawBackOutcome.CLAWED_BACK and (uses := await grant_uses(pool, book, *grant)) is not None:
        spendable = uses.left
        returned = sum(use.points for use in uses.uses if use.verb is Verb.CLAWBACK and use.seq is None)
        in_redemptions = sum(use.held + use.captured - use.refunded for use in uses.uses if use.redemption is not None)
        left = max(spendable + in_redemptions - (row["owed"] - returned) - row["paid"], 0)
        spendable = min(spendable, left)
    return ClawBackQuote(outcome, row["customer"], row["points"], left, spendable, row["asked"])


async def _post(pool: asyncpg.Pool[Any], asked: ClawBack, found: Holdings) -> ClawBackResult:
    return await _decided(
        pool,
        ClawBackResult,
        _CLAW_BACK,
        asked.book.brand_id,
        asked.book.book_id,
        datetime.now(UTC),
        asked.campaign_no,
        asked.event_key,
        idempotency_hash(Operation.CLAW_BACK, asked.key),
        asked.request_hash,
        asked.points,
        asked.reason,
        asked.reference,
        asked.principal,
        *_proof(asked.reason, asked.reference),
        *_whereabouts(found),
    )


async def _decided(pool: asyncpg.Pool[Any], result: type[_Result], statement: str, *arguments: Any) -> _Result:
    """Call a function. What it answers is named as the fields of its result are."""
    row = await pool.fetchrow(statement, *arguments)
    assert row is not None
    outcome, replayed, answer = row
    answered: dict[str, Any] = {} if answer is None else msgspec.json.decode(answer)
    return msgspec.convert(answered | {"outcome": outcome, "replayed": replayed}, result)


def _proof(reason: str, reference: str | None, note: str | None = None) -> tuple[bytes, bytes | None]:
    """A salt, and the hash of what is told under it."""
    (salt,) = details.new_salts(1)
    return salt, details.correction_hash(salt, None, reason, reference, note)


def _whereabouts(found: Holdings) -> tuple[Any, ...]:
    """Where the points are, as both functions are told."""
    return (
        found.seen,
        found.layer,
        found.members,
        list(found.lots),
        list(found.lots.values()),
        [account for account, _ in found.pieces],
        [layer for _, layer in found.pieces],
        list(found.pieces.values()),
    )


async def return_purchase(pool: asyncpg.Pool[Any], asked: PurchaseReturn) -> ReturnResult:
    """Take back what a part of a purchase earned, once for each reference."""
    for _ in range(ATTEMPTS):
        found = await holdings(pool, asked.book, asked.campaign_no, asked.event_key)
        result = await _post_return(pool, asked, found)
        if result.outcome is not ReturnOutcome.CHANGED:
            return result
    raise Overloaded(retry_after_s=1)


async def _post_return(pool: asyncpg.Pool[Any], asked: PurchaseReturn, found: Holdings) -> ReturnResult:
    return await _decided(
        pool,
        ReturnResult,
        _RETURN,
        asked.book.brand_id,
        asked.book.book_id,
        datetime.now(UTC),
        asked.campaign_no,
        asked.event_key,
        blake2b(asked.reference.encode(), digest_size=16).digest(),
        asked.request_hash,
        asked.bought,
        asked.amount,
        asked.per_points,
        asked.per_minor_units,
        *_value(asked.value),
        asked.reason,
        asked.reference,
        asked.principal,
        *_proof(asked.reason, asked.reference),
        *_whereabouts(found),
    )


def _value(value: PointValue | None) -> tuple[int | None, int | None]:
    return (None, None) if value is None else (value.points, value.minor_units)


async def quote_return(pool: asyncpg.Pool[Any], asked: PurchaseReturn, event: Event) -> ReturnQuote:
    """What a return would do now, all that is due being done; ``event`` is the purchase's."""
    uses = await grant_uses(pool, asked.book, asked.campaign_no, asked.event_key)
    outstanding = await pool.fetchval(_OUTSTANDING, asked.book.book_id, asked.campaign_no, asked.event_key)
    moves = () if uses is None else uses.uses
    away = sum(use.held + use.captured - use.refunded for use in moves)
    # What is not in the log yet is taken back as soon as a hold is released that has timed out.
    owed = outstanding - sum(use.points for use in moves if use.verb is Verb.CLAWBACK and use.seq is None)
    terms = await pool.fetchrow(
        _TERMS,
        asked.book.book_id,
        asked.campaign_no,
        asked.event_key,
        event.points,
        asked.bought,
        asked.amount,
        asked.per_points,
        asked.per_minor_units,
        *_value(asked.value),
        0 if uses is None else uses.left,
        away - owed,
    )
    assert terms is not None
    returned, points, taken, shortfall, withheld_points, withheld_minor = terms
    left = asked.bought - returned
    outcome = _outcome_of_quote(event.outcome, asked.amount, left)
    if outcome is ReturnOutcome.REJECTED:
        taken = points = event.points
    return ReturnQuote(outcome, returned, points, taken, shortfall, withheld_points, withheld_minor)


def _outcome_of_quote(granted: GrantOutcome, amount: int, left: int) -> ReturnOutcome:
    if granted not in {GrantOutcome.GRANTED, GrantOutcome.HELD_BACK}:
        return ReturnOutcome.NOT_GRANTED
    if amount > left:
        return ReturnOutcome.MORE_THAN_WAS_BOUGHT
    if granted is GrantOutcome.GRANTED:
        return ReturnOutcome.RETURNED
    return ReturnOutcome.REJECTED if amount == left else ReturnOutcome.HELD_BACK_WHOLE


async def adjust(pool: asyncpg.Pool[Any], asked: Adjust) -> AdjustResult:
    """Give or take points."""
    return await _decided(
        pool,
        AdjustResult,
        _ADJUST,
        asked.book.brand_id,
        asked.book.book_id,
        datetime.now(UTC),
        asked.customer,
        asked.points,
        asked.campaign_no,
        asked.account_class,
        asked.expires_on,
        idempotency_hash(Operation.ADJUST, asked.key),
        asked.request_hash,
        asked.reason,
        asked.reference,
        asked.note,
        asked.principal,
        *_proof(asked.reason, asked.reference, asked.note),
    )
