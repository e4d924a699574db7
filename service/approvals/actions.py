"""Asking for approval, deciding it, and carrying out what was approved.

    ask             whether a request may be carried out now, or the approval that it waits for
    decide          another person's approval or refusal; what is approved is carried out at once
    carry_out       once for each approval, whoever comes to it: the API, or after a crash the worker
    claim           for kinds that write to the service's tables: whether it is still to be done

Limits are counted before the request is carried out, in a transaction of their own: a process that dies in between has counted
too much, and never too little.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import BigInteger, Boolean, LargeBinary, Text, bindparam, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.approvals.counting import count
from service.approvals.kinds import AnyKind, Approved, Tools, Wanted, digest_of
from service.approvals.limits import Policy
from service.approvals.queries import Approval, find_approval, find_by_request, read_policy
from service.approvals.tables import approval as approvals
from service.auth.actions import no_longer_valid
from service.auth.audit_trail import record
from service.auth.principal import Principal
from service.auth.queries import find_principal_of_key
from service.http.identifiers import approval_id
from service.http.problems import CODES, Problem, invalid_field, not_found

if TYPE_CHECKING:
    from service.services import Services

_LOCK = 1634759794  # "appr"
"""The first half of an advisory lock; the second is the brand. Limits are counted one request after the other."""
_CAME_TO_NOTHING = frozenset(("declined", "expired", "failed"))


async def ask(services: Services, principal: Principal, wanted: Wanted[Any]) -> Approval | None:
    """The approval that a request waits for, new or asked for before; ``None`` if it may be carried out now.

    The same request again gets the same answer. Raises a problem if its Idempotency-Key was used with another request.
    """
    if not wanted.amount and not wanted.kind.always:
        return None
    brand = principal.brand
    today = brand.calendar.day(await services.clocks.now(brand))
    async with services.engine.begin() as connection:
        policy = await read_policy(connection, brand.brand_id)
        limits = {kind: limit for kind in wanted.kinds if (limit := policy.of(kind)) is not None}
        if not limits and not wanted.kind.always:
            return None
        await connection.execute(select(func.pg_advisory_xact_lock(_LOCK, brand.brand_id)))
        request_key, earlier = await _find_earlier(connection, brand.brand_id, wanted)
        if earlier is not None:
            return _same(earlier, wanted)
        exceeds = await count(connection, principal, wanted, limits, request_key, today)
        if exceeds is None:
            return None
        if wanted.must_not_wait is not None:
            raise wanted.must_not_wait
        await _insert(connection, principal, wanted, policy, request_key, exceeds)
        made = await find_by_request(connection, brand.brand_id, request_key)
        assert made is not None
        after = {"kind": made.kind, "subject": made.subject, "amount": made.amount, "exceeds": exceeds}
        await record(connection, principal, "approval.ask", approval_id(made.approval_no), after=after)
        return made


async def _find_earlier(connection: AsyncConnection, brand_id: int, wanted: Wanted[Any]) -> tuple[bytes, Approval | None]:
    """The key of a request, and its approval if it was asked for before.

    A request that is its own name can be made again once nothing came of it.
    """
    request_key = _request_key(wanted)
    while (earlier := await find_by_request(connection, brand_id, request_key)) is not None:
        if wanted.key or earlier.state not in _CAME_TO_NOTHING:
            break
        request_key = hashlib.sha256(request_key + f"{earlier.approval_no}".encode()).digest()
    return request_key, earlier


def _request_key(wanted: Wanted[Any]) -> bytes:
    named = wanted.key.encode() if wanted.key else wanted.digest
    return hashlib.sha256(f"{wanted.kind.name}\0{wanted.subject if wanted.key else ''}\0".encode() + named).digest()


def _same(earlier: Approval, wanted: Wanted[Any]) -> Approval:
    if earlier.digest != wanted.digest:
        raise wanted.reused or Problem(
            "idempotency_key_reused", "This Idempotency-Key was used before with a different request."
        )
    return earlier


async def _insert(
    connection: AsyncConnection, principal: Principal, wanted: Wanted[Any], policy: Policy, request_key: bytes, exceeds: str
) -> None:
    await connection.execute(
        insert(approvals)
        .values(
            brand_id=principal.brand.brand_id,
            kind=wanted.kind.name,
            subject=wanted.subject,
            body=msgspec.to_builtins(wanted.body),
            digest=wanted.digest,
            amount=wanted.amount,
            customer=wanted.customer,
            key=wanted.key,
            request_key=request_key,
            exceeds=exceeds,
            asked_by=principal.api_key_id,
            expires_at=func.now() + timedelta(days=policy.expires_after_days),
        )
        .inline()
    )


_REFUSALS: Mapping[str, str] = {
    "decided_before": "approval_decided",
    "expired": "approval_expired",
    "needs_a_person": "needs_a_person",
    "own_request": "own_request",
    "enrolled_later": "enrolled_later",
    "maker_revoked": "maker_revoked",
}
"""What the database says of a decision that it refuses, and the problem's code."""


async def decide(
    services: Services,
    principal: Principal,
    caller_hash: bytes,
    approval_no: int,
    *,
    digest: str,
    approves: bool,
    note: str | None,
) -> Approval:
    """Approve or decline, and carry out what is approved. The same decision again is harmless. Raises a problem.

    Who may is decided by a function of the database, from the rows of the keys and persons as they are.
    """
    decides = select(
        func.rewards.decide_approval_v1(
            bindparam(None, caller_hash, LargeBinary),
            bindparam(None, approval_no, BigInteger),
            bindparam(None, bytes.fromhex(digest), LargeBinary),
            bindparam(None, approves, Boolean),
            bindparam(None, note, Text),
        )
    )
    async with services.engine.begin() as connection:
        outcome = (await connection.execute(decides)).scalar_one()
    _check(outcome)
    brand_id = principal.brand.brand_id
    decided = await find_approval(services.engine, brand_id, approval_no)
    assert decided is not None
    if decided.is_to_be_carried_out:
        await carry_out(Tools(services.engine, services.ledger, services.settings), services.approval_kinds, decided)
        services.principals.forget()
        services.brands.forget()
        decided = await find_approval(services.engine, brand_id, approval_no) or decided
    return decided


def _check(outcome: str) -> None:
    match outcome:
        case "decided_now" | "decided":
            return
        case "unauthorized":
            raise no_longer_valid()
        case "not_found":
            raise not_found("approval")
        case "digest_differs":
            raise invalid_field("/digest", "is not the digest of this request")
        case _:
            code = _REFUSALS[outcome]
            raise Problem(code, CODES[code].meaning)


async def carry_out(tools: Tools, kinds: Mapping[str, AnyKind], approved: Approval) -> None:
    """Carry out what was approved, in its maker's name, and keep what came of it. Again is harmless.

    What cannot be done now, such as while the database is away, is left for later; what is refused for good has failed.
    """
    kind = kinds[approved.kind]
    body = msgspec.convert(approved.body, kind.request)
    if digest_of(approved.kind, approved.subject, approved.amount, approved.customer, body) != approved.digest:
        await _keep(tools.engine, approved, error={"code": "internal_error", "detail": "The request is not what was approved."})
        return
    maker = await find_principal_of_key(tools.engine, approved.asked_by)
    request = Approved(approved.approval_no, approved.subject, body, approved.key or f"approval {approved.approval_no}")
    try:
        result = await kind.execute(tools, maker, request)
    except Problem as problem:
        if problem.spec.retryable:
            raise
        await _keep(tools.engine, approved, error={"code": problem.code, "detail": problem.detail})
    else:
        await _keep(tools.engine, approved, result=msgspec.to_builtins(result))


async def claim(connection: AsyncConnection, approval_no: int) -> bool:
    """Whether an approved request is still to be carried out: by this transaction, and if it commits by no other."""
    claimed = await connection.execute(
        update(approvals)
        .where(approvals.c.approval_no == approval_no, approvals.c.executed_at.is_(None))
        .values(executed_at=func.clock_timestamp())
        .returning(approvals.c.approval_no)
    )
    return claimed.first() is not None


async def _keep(engine: AsyncEngine, approved: Approval, **outcome: Any) -> None:
    kept = (
        update(approvals)
        .where(approvals.c.approval_no == approved.approval_no, approvals.c.result.is_(None), approvals.c.error.is_(None))
        .values(executed_at=func.coalesce(approvals.c.executed_at, func.clock_timestamp()), **outcome)
    )
    async with engine.begin() as connection:
        await connection.execute(kept)
