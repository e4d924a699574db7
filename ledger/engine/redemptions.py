"""Redemptions: points set aside for a purchase that may still fall through, then spent, given back, refunded.

    authorize  points leave the lots, soonest to expire first
    capture    points are spent, soonest to expire first; the rest goes back unless the capture is not final. After a time-out,
               within its grace, they are taken from the lots
    void       points go back to the lots they came from; also what a deadline does
    refund     spent points go back, latest to expire first

A batch costs one round trip for each book in it. What was decided is kept under the idempotency key and answered again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import msgspec

from ledger import details
from ledger.engine.call import Argument, Call
from ledger.types import (
    Book,
    Fund,
    FundOutcome,
    FundResult,
    Operation,
    Redeem,
    Redemption,
    RedemptionOutcome,
    RedemptionResult,
)

_ALL_THERE_IS = -1
_SQL = Path(__file__).with_name("sql")
_FUND = "SELECT outcome, replayed, budget, issued FROM ledger.fund_v1($1, $2, $3, $4, $5, $6, $7)"
_KEPT = (_SQL / "kept_answer.sql").read_text()
_decode = msgspec.json.Decoder(Redemption).decode


def idempotency_hash(operation: int, key: str) -> bytes:
    """The 16 bytes under which a key's answer is kept."""
    return blake2b(operation.to_bytes(2, "big") + key.encode(), digest_size=16).digest()


def _step_hash(salt: bytes, step: Redeem) -> bytes | None:
    said = (step.ref, step.store_id, step.terminal_id)
    says = step.operation in {Operation.CAPTURE, Operation.REFUND} and any(each is not None for each in said)
    return details.step_hash(salt, None, *said) if says else None


_BEFORE_VALUE = details.rest().removesuffix(b"]") + b","


def _after_value(salt: bytes, step: Redeem) -> bytes:
    described = details.encode((step.store_id, step.terminal_id))
    return b"," + described.removeprefix(b"[") + details.personal_hash(salt, step.order_ref)


class _RedeemBatch(NamedTuple):
    """Steps of one book, and the salt of what the log says about each."""

    book: Book
    steps: Sequence[Redeem]
    salts: Sequence[bytes]


def _argument(name: str, type_: str, collect: Callable[[_RedeemBatch], Any]) -> Argument[_RedeemBatch]:
    return Argument(name, type_, collect)


def _of_steps(name: str, type_: str, value: Callable[[Redeem], Any]) -> Argument[_RedeemBatch]:
    return _argument(name, type_, lambda batch: [*map(value, batch.steps)])


def _of_some(name: str, type_: str, value: Callable[[Redeem], Any]) -> Argument[_RedeemBatch]:
    """What few steps have: nothing, if none has it."""

    def collect(batch: _RedeemBatch) -> list[Any] | None:
        values = [*map(value, batch.steps)]
        return values if any(values) else None

    return _argument(name, type_, collect)


def _of_salted_steps(name: str, value: Callable[[bytes, Redeem], bytes | None]) -> Argument[_RedeemBatch]:
    return _argument(name, "bytea[]", lambda batch: [*map(value, batch.salts, batch.steps)])


REDEEM = Call(
    "redeem_v2",
    _argument("p_brand_id", "integer", lambda batch: batch.book.brand_id),
    _argument("p_book_id", "integer", lambda batch: batch.book.book_id),
    _argument("p_now", "timestamptz", lambda _: datetime.now(UTC)),
    _of_steps("p_operations", "smallint[]", attrgetter("operation")),
    _of_steps("p_keys", "bytea[]", lambda step: None if step.key is None else idempotency_hash(step.operation, step.key)),
    _of_steps("p_requests", "bytea[]", attrgetter("request_hash")),
    _of_steps("p_customers", "bigint[]", attrgetter("customer")),
    _of_steps("p_generations", "bigint[]", attrgetter("generation")),
    _of_steps("p_redemptions", "bigint[]", attrgetter("redemption")),
    _of_steps("p_points", "bigint[]", lambda step: _ALL_THERE_IS if step.maximum else step.points),
    _of_steps("p_finals", "boolean[]", attrgetter("final")),
    _of_steps("p_captures", "boolean[]", attrgetter("capture")),
    _of_steps("p_hold_s", "integer[]", attrgetter("hold_s")),
    _of_steps("p_order_refs", "text[]", attrgetter("order_ref")),
    _of_steps("p_values", "bigint[]", attrgetter("value")),
    _of_steps("p_value_points", "bigint[]", lambda step: None if step.point_value is None else step.point_value.points),
    _of_steps("p_value_units", "bigint[]", lambda step: None if step.point_value is None else step.point_value.minor_units),
    _of_steps("p_stores", "text[]", attrgetter("store_id")),
    _of_steps("p_terminals", "text[]", attrgetter("terminal_id")),
    _argument("p_salts", "bytea[]", lambda batch: batch.salts),
    # The value is known in the database, which hashes what comes before it, the value, and what comes after.
    _of_steps("p_befores", "bytea[]", lambda _: _BEFORE_VALUE),
    _of_salted_steps("p_afters", _after_value),
    _of_steps("p_refs", "text[]", attrgetter("ref")),
    _of_salted_steps("p_step_hashes", _step_hash),
    _of_some("p_graces_s", "integer[]", attrgetter("grace_s")),
    _of_some("p_occurred", "timestamp with time zone[]", attrgetter("occurred_at")),
    returns="(answer).outcome, (answer).replayed, (answer).answer::text",
)


async def post_redemptions(connection: asyncpg.Connection[Any], steps: Sequence[Redeem]) -> list[RedemptionResult]:
    """Post a batch, book by book; each book's steps are one commit. One result per step, in order."""
    of_book: dict[Book, list[int]] = {}
    for index, step in enumerate(steps):
        of_book.setdefault(step.book, []).append(index)
    results: dict[int, RedemptionResult] = {}
    for book, indexes in of_book.items():
        batch = _RedeemBatch(book, [steps[index] for index in indexes], details.new_salts(len(indexes)))
        rows = await connection.fetch(REDEEM.sql, *REDEEM.collect(batch))
        for index, row in zip(indexes, rows, strict=True):
            results[index] = _result(*row)
    return [results[index] for index in range(len(steps))]


def _result(outcome: int, replayed: bool, answer: str | None) -> RedemptionResult:
    if answer is None:
        return RedemptionResult(RedemptionOutcome(outcome), replayed)
    if '"redemption"' not in answer:
        refused = msgspec.json.decode(answer)
        return RedemptionResult(RedemptionOutcome(outcome), replayed, balance=refused["balance"], least=refused.get("least", 0))
    redemption = _decode(answer)
    return RedemptionResult(RedemptionOutcome(outcome), replayed, redemption.balance, redemption)


async def kept_redemption(pool: asyncpg.Pool[Any], step: Redeem) -> RedemptionResult | None:
    """What was decided on a step before, as its replay answers it; ``None`` if nothing was. Posts nothing."""
    key = None if step.key is None else idempotency_hash(step.operation, step.key)
    kept = await pool.fetchrow(_KEPT, step.book.book_id, step.book.brand_id, step.operation, key)
    if kept is None:
        return None
    outcome, request_hash, answer = kept
    if request_hash != step.request_hash:
        return RedemptionResult(RedemptionOutcome.IDEMPOTENCY_KEY_REUSED, replayed=False)
    return _result(outcome, True, answer)


async def post_funds(connection: asyncpg.Connection[Any], funds: Sequence[Fund]) -> list[FundResult]:
    """Fund campaigns, one commit each; the brand's issue limit holds."""
    results: list[FundResult] = []
    for fund in funds:
        row = await connection.fetchrow(
            _FUND,
            fund.book.brand_id,
            fund.book.book_id,
            datetime.now(UTC),
            fund.campaign_no,
            fund.points,
            idempotency_hash(5, fund.key),
            fund.request_hash,
        )
        assert row is not None
        results.append(FundResult(FundOutcome(row["outcome"]), row["replayed"], row["budget"] or 0, row["issued"] or 0))
    return results
