"""Spending points the way a payment is made: authorize, capture, void, refund."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from ledger import POINTS_MAX, Operation, Redeem, RedemptionOutcome, RedemptionResult
from service.brands.brand import Brand
from service.brands.queries import brand_now
from service.customers import actions as customers
from service.customers.tombstones import customer_erased
from service.http.idempotency import REPLAYED, request_fingerprint
from service.http.identifiers import parse_redemption_id
from service.http.problems import Problem, invalid_field, not_found
from service.redemptions.schemas import CaptureRequest, QuoteRequest, QuoteResponse, RedemptionRequest, RefundRequest

if TYPE_CHECKING:
    from service.services import Services

_ATTEMPTS = 4
_NO_CUSTOMER = 0
"""The number that no customer has."""

# How a refusal of the ledger is told; ``{balance}`` is what the customer can spend, ``{at}`` the hold's deadline,
# ``{late}`` why a late capture is refused.
_REFUSALS: dict[RedemptionOutcome, tuple[str, str]] = {
    RedemptionOutcome.IDEMPOTENCY_KEY_REUSED: (
        "idempotency_key_reused",
        "This Idempotency-Key was used before with another request.",
    ),
    RedemptionOutcome.AUTHORIZATION_EXPIRED: ("authorization_expired", "The hold timed out{at}; its points went back.{late}"),
    RedemptionOutcome.POINTS_GONE: ("released_points_gone", "The hold timed out{at}; its points went back.{late}"),
    RedemptionOutcome.ALREADY_VOIDED: ("already_voided", "The redemption was voided."),
    RedemptionOutcome.FULLY_CAPTURED: ("fully_captured", "Nothing is held any more: it was captured."),
    RedemptionOutcome.CAPTURE_EXCEEDS_AUTHORIZED: ("capture_exceeds_authorized", "Less is held than was to be captured."),
    RedemptionOutcome.REFUND_EXCEEDS_CAPTURED: (
        "refund_exceeds_captured",
        "Less was captured, and not yet refunded, than was to be refunded.",
    ),
    RedemptionOutcome.INSUFFICIENT_BALANCE: ("insufficient_balance", "The customer can spend {balance} points, which is less."),
}


async def authorize(services: Services, brand: Brand, wanted: RedemptionRequest, key: str) -> RedemptionResult:
    """Set points aside, or spend them at once. The customer must be active: known by the brand's own id, or a verified name."""
    ledger = services.ledger
    request = request_fingerprint("authorize", wanted)
    try:
        brand, points = await _points_now(services, brand, wanted)
    except Problem:
        # What the points were worth when the same request was decided counts.
        asked = Redeem(brand.book, Operation.AUTHORIZE, key, request)
        kept = await ledger.kept_redemption(asked)
        if kept is None:
            raise
        return _decided(kept, asked)
    known, is_active = await customers.find_active(services, brand, wanted.customer)
    step = Redeem(
        book=brand.book,
        operation=Operation.AUTHORIZE,
        key=key,
        request_hash=request,
        points=points or 0,
        maximum=points is None,
        value=wanted.value,
        point_value=brand.point_value,
        # Whom nobody has reported yet has no points, as nobody's number has; that too is decided, and kept under the key.
        customer=_NO_CUSTOMER if known is None else known.customer,
        generation=0 if known is None else known.generation,
        capture=wanted.capture,
        hold_s=wanted.expires_in_s,
        order_ref=wanted.order_ref,
        store_id=wanted.store_id,
        terminal_id=wanted.terminal_id,
        occurred_at=wanted.occurred_at,
    )
    if known is not None and not is_active:
        # A request decided while the customer was active keeps its answer.
        kept = await ledger.kept_redemption(step)
        if kept is None:
            raise _not_confirmed()
        return _decided(kept, step)
    for _ in range(_ATTEMPTS):
        result = await ledger.redeem(step)
        if result.outcome is not RedemptionOutcome.STALE_CUSTOMER or known is None:
            return _decided(result, step)
        await customers.settle(services, brand, known.named)
        known, is_active = await customers.find_active(services, brand, wanted.customer)
        if known is None or not is_active:
            raise _not_confirmed()
        step = msgspec.structs.replace(step, customer=known.customer, generation=known.generation)
    raise Problem("overloaded", "The customer is being merged or split; nothing was recorded.", headers={"Retry-After": "1"})


async def quote(services: Services, brand: Brand, wanted: QuoteRequest) -> QuoteResponse:
    """Say what a redemption would take and pay now. Nothing is set aside."""
    brand, points = await _points_now(services, brand, wanted)
    known, is_active = await customers.find_active(services, brand, wanted.customer)
    if known is not None and not is_active:
        raise _not_confirmed()
    ledger = services.ledger
    balance = (
        await ledger.balance(brand.book, _NO_CUSTOMER) if known is None else (await customers.look(services, brand, known))[1]
    )
    taken = min(balance.spendable, POINTS_MAX) if points is None else points
    worth = brand.point_value
    value = wanted.value if wanted.value is not None or worth is None else worth.worth(taken)
    return QuoteResponse(
        points=taken,
        value=value,
        spendable=0 < taken <= balance.spendable and value != 0,
        least_points=1 if worth is None else worth.least,
        balance=balance.spendable,
        balance_value=None if worth is None else worth.worth(balance.spendable),
        currency=brand.currency,
        balance_seq=balance.seq,
    )


def _not_confirmed() -> Problem:
    return Problem(
        "customer_not_confirmed",
        "Nothing proves who this customer is. They can redeem once they are named by the brand's own id, or by a verified "
        "email, phone or device (POST /v1/identities/{identity_id}/verify).",
    )


async def _points_now(services: Services, brand: Brand, wanted: RedemptionRequest | QuoteRequest) -> tuple[Brand, int | None]:
    """How many points are asked for, and the brand whose points have the value that this was read by."""
    try:
        return brand, _points(brand, wanted)
    except Problem:
        brand = await brand_now(services.engine, brand)
        return brand, _points(brand, wanted)


def _points(brand: Brand, wanted: RedemptionRequest | QuoteRequest) -> int | None:
    """How many points are asked for; ``None`` for all that there is."""
    if (wanted.points is None) == (wanted.value is None):
        raise invalid_field("/points", "give exactly one of points and value")
    if wanted.value is None:
        return None if wanted.points == "max" else wanted.points
    if brand.point_value is None:
        raise invalid_field("/value", "the brand has set no point value; give points")
    points = brand.point_value.points_for(wanted.value)
    if points > POINTS_MAX:
        raise invalid_field("/value", f"is worth more than {POINTS_MAX} points")
    return points


async def capture(services: Services, brand: Brand, public_id: str, wanted: CaptureRequest, key: str) -> RedemptionResult:
    """Spend what is held, and give back the rest unless the capture is not the last one."""
    return await _redeem(
        services,
        Redeem(
            book=brand.book,
            operation=Operation.CAPTURE,
            key=key,
            request_hash=request_fingerprint(f"capture {public_id}", wanted),
            points=wanted.points or 0,
            redemption=redemption_number(brand, public_id),
            ref=wanted.ref,
            store_id=wanted.store_id,
            terminal_id=wanted.terminal_id,
            final=wanted.final,
            grace_s=brand.late_capture_grace_s,
            occurred_at=wanted.occurred_at,
        ),
    )


async def void(services: Services, brand: Brand, public_id: str) -> RedemptionResult:
    """Give back what is held. Doing it again changes nothing and answers the same."""
    return await _redeem(
        services,
        Redeem(
            book=brand.book,
            operation=Operation.VOID,
            # A redemption is voided once, so it is its own key: again, it is answered to the letter, whatever happened since.
            key=f"redemption {public_id}",
            request_hash=request_fingerprint(f"void {public_id}", None),
            redemption=redemption_number(brand, public_id),
        ),
    )


async def refund(services: Services, brand: Brand, public_id: str, wanted: RefundRequest, key: str) -> RedemptionResult:
    """Give back what was captured."""
    return await _redeem(
        services,
        Redeem(
            book=brand.book,
            operation=Operation.REFUND,
            key=key,
            request_hash=request_fingerprint(f"refund {public_id}", wanted),
            points=wanted.points or 0,
            redemption=redemption_number(brand, public_id),
            ref=wanted.ref,
            store_id=wanted.store_id,
            terminal_id=wanted.terminal_id,
        ),
    )


def redemption_number(brand: Brand, public_id: str) -> int:
    """The redemption's number in the brand's book. Raises ``not_found`` for any other id."""
    parsed = parse_redemption_id(public_id)
    if parsed is None or parsed[0] != brand.book.book_id:
        raise not_found("redemption")
    return parsed[1]


async def _redeem(services: Services, step: Redeem) -> RedemptionResult:
    result = await services.ledger.redeem(step)
    if result.outcome is RedemptionOutcome.STALE_CUSTOMER:
        raise customer_erased()
    return _decided(result, step)


def _decided(result: RedemptionResult, step: Redeem) -> RedemptionResult:
    if result.outcome is RedemptionOutcome.NOT_FOUND:
        raise not_found("redemption")
    if result.outcome is RedemptionOutcome.WORTH_NOTHING:
        raise invalid_field("/points", f"must be at least {result.least}: fewer are worth nothing")
    if result.outcome is RedemptionOutcome.OCCURRED_OUT_OF_RANGE:
        raise _cannot_have_occurred(step)
    if result.outcome in _REFUSALS:
        code, detail = _REFUSALS[result.outcome]
        headers = {REPLAYED: "true"} if result.replayed else {}
        raise Problem(code, detail.format(balance=result.balance, **_lateness(result, step)), headers=headers)
    return result


def _cannot_have_occurred(step: Redeem) -> Problem:
    earliest = "more than 30 days ago" if step.operation is Operation.AUTHORIZE else "before the authorization"
    return invalid_field("/occurred_at", f"must not be {earliest}, nor in the future", code="occurred_at_out_of_range")


def _lateness(result: RedemptionResult, step: Redeem) -> dict[str, str]:
    """When a hold timed out, and what of it a late capture can no longer have."""
    redemption = result.redemption
    if redemption is None:
        return {"at": "", "late": ""}
    late = ""
    if result.outcome is RedemptionOutcome.POINTS_GONE:
        wanted = step.points or redemption.authorized - redemption.captured
        missing = max(wanted - result.balance, 0)
        late = (
            f" Of {wanted} points to capture, {missing} are missing."
            if missing
            else " What it has spent is still to be taken back."
        )
    elif step.grace_s:
        until = redemption.expires_at + timedelta(seconds=step.grace_s)
        late = f" A capture is accepted until {_text(until)}."
    return {"at": f" at {_text(redemption.expires_at)}", "late": late}


def _text(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
