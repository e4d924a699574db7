"""Redemptions: points set aside for a purchase that may still fall through, then spent, given back, refunded.

    authorize  points leave the lots, soonest to expire first
    capture    points are spent, soonest to expire first; the rest goes back unless the capture is not final
    void       points go back to the lots they came from; also what a deadline does
    refund     spent points go back, latest to expire first

A batch costs one round trip for each book in it. What was decided is kept under the idempotency key and answered again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

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

_SALT_BYTES = 16
_SQL = Path(__file__).with_name("sql")
_REDEEM = f"""
SELECT outcome, replayed, answer::text
FROM ledger.redeem_v1({", ".join(f"${n}" for n in range(1, 25))})
"""
_FUND = "SELECT outcome, replayed, budget, issued FROM ledger.fund_v1($1, $2, $3, $4, $5, $6, $7)"
_KEPT = (_SQL / "kept_answer.sql").read_text()
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Redemption).decode


def idempotency_hash(operation: int, key: str) -> bytes:
    """The 16 bytes under which a key's answer is kept."""
    return blake2b(operation.to_bytes(2, "big") + key.encode(), digest_size=16).digest()


def details_hash(salt: bytes, order_ref: str, value: int | None, store_id: str | None, terminal_id: str | None) -> bytes:
    """What the log holds of a redemption's details: SHA-256 of the salt and a JSON array of the fields in order."""
    return sha256(salt + msgspec.json.encode((order_ref, value, store_id, terminal_id))).digest()


def step_hash(salt: bytes, ref: str | None, store_id: str | None, terminal_id: str | None) -> bytes:
    """What the log holds of what was said about a capture or refund: the same, over a JSON array of these."""
    return sha256(salt + msgspec.json.encode((ref, store_id, terminal_id))).digest()


def _step_hash(salt: bytes, step: Redeem) -> bytes | None:
    said = (step.ref, step.store_id, step.terminal_id)
    says = step.operation in {Operation.CAPTURE, Operation.REFUND} and any(each is not None for each in said)
    return step_hash(salt, *said) if says else None


async def post_redemptions(connection: asyncpg.Connection[Any], steps: Sequence[Redeem]) -> list[RedemptionResult]:
    """Post a batch, book by book; each book's steps are one commit. One result per step, in order."""
    of_book: dict[Book, list[int]] = {}
    for index, step in enumerate(steps):
        of_book.setdefault(step.book, []).append(index)
    results: dict[int, RedemptionResult] = {}
    for book, indexes in of_book.items():
        rows = await connection.fetch(_REDEEM, *_arguments(book, [steps[index] for index in indexes]))
        for index, row in zip(indexes, rows, strict=True):
            results[index] = _result(*row)
    return [results[index] for index in range(len(steps))]


def _arguments(book: Book, steps: Sequence[Redeem]) -> tuple[Any, ...]:
    salts = [os.urandom(_SALT_BYTES) for _ in steps]
    return (
        book.brand_id,
        book.book_id,
        datetime.now(UTC),
        [step.operation for step in steps],
        [None if step.key is None else idempotency_hash(step.operation, step.key) for step in steps],
        [step.request_hash for step in steps],
        [step.customer for step in steps],
        [step.generation for step in steps],
        [step.redemption for step in steps],
        [-1 if step.maximum else step.points for step in steps],
        [step.final for step in steps],
        [step.capture for step in steps],
        [step.hold_s for step in steps],
        [step.order_ref for step in steps],
        [step.value for step in steps],
        [None if step.point_value is None else step.point_value.points for step in steps],
        [None if step.point_value is None else step.point_value.minor_units for step in steps],
        [step.store_id for step in steps],
        [step.terminal_id for step in steps],
        salts,
        # The log holds SHA-256 of the salt and a JSON array: order, value, store, terminal. The value is known in the database.
        [salt + b"[" + _encode(step.order_ref) + b"," for salt, step in zip(salts, steps, strict=True)],
        [b"," + _encode(step.store_id) + b"," + _encode(step.terminal_id) + b"]" for step in steps],
        [step.ref for step in steps],
        [_step_hash(salt, step) for salt, step in zip(salts, steps, strict=True)],
    )


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
