"""Taking a grant back. Who asked for it is in the audit trail, written before the book is."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from ledger import ClawBack, ClawBackOutcome, ClawBackResult
from service.auth.audit_trail import record
from service.auth.principal import Principal
from service.corrections.schemas import ClawbackRequest
from service.customers import actions as customers
from service.customers.tombstones import customer_erased
from service.http.idempotency import REPLAYED, request_fingerprint
from service.http.identifiers import parse_grant_id
from service.http.problems import Problem, not_found

if TYPE_CHECKING:
    from service.services import Services

# How a refusal of the ledger is told; ``{left}`` is what could be taken back.
_REFUSALS: dict[ClawBackOutcome, tuple[str, str]] = {
    ClawBackOutcome.IDEMPOTENCY_KEY_REUSED: (
        "idempotency_key_reused",
        "This Idempotency-Key was used before with another request.",
    ),
    ClawBackOutcome.NOT_GRANTED: ("not_granted", "The event was not paid, so there is nothing to take back."),
    ClawBackOutcome.HELD_BACK_WHOLE: (
        "held_back",
        "The points are held back, and can only be rejected as a whole: leave out points.",
    ),
    ClawBackOutcome.MORE_THAN_IS_LEFT: (
        "clawback_exceeds_grant",
        "{left} points of this grant can be taken back: the others were before, are to be once they return, or have expired.",
    ),
}


async def claw_back(
    services: Services, principal: Principal, grant_id: str, wanted: ClawbackRequest, key: str
) -> ClawBackResult:
    """Take back points of a grant of the principal's brand."""
    book, read = principal.brand.book, parse_grant_id(grant_id)
    event = None if read is None else await services.ledger.event(book, *read)
    if read is None or event is None:
        raise not_found("grant")
    if (await customers.by_number(services, principal.brand, event.customer)).erased:
        raise customer_erased()
    request = request_fingerprint(f"clawback {grant_id}", wanted)
    entry = hashlib.sha256(b"clawback " + key.encode() + request).digest()
    async with services.engine.begin() as connection:
        # Not the reference: erasing the customer removes it, and nothing is ever removed from the trail.
        told = msgspec.structs.replace(wanted, reference=None)
        await record(connection, principal, "grant.clawback", grant_id, after=told, request=entry)
    asked = ClawBack(
        book=book,
        campaign_no=read[0],
        event_key=read[1],
        key=key,
        request_hash=request,
        reason=wanted.reason,
        points=wanted.points,
        reference=wanted.reference,
        principal=principal.api_key_id,
    )
    return _decided(await services.ledger.claw_back(asked))


def _decided(result: ClawBackResult) -> ClawBackResult:
    if result.outcome in _REFUSALS:
        code, detail = _REFUSALS[result.outcome]
        headers = {REPLAYED: "true"} if result.replayed else {}
        raise Problem(code, detail.format(left=result.left), headers=headers)
    return result
