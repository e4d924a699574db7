"""Taking a grant back. Who asked for it is in the audit trail, written before the book is."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from ledger import ClawBack, ClawBackOutcome, ClawBackResult, Event
from service.approvals.kinds import Approved, Kind, Tools, Wanted
from service.auth.audit_trail import record
from service.auth.principal import Principal
from service.corrections.schemas import ClawbackRequest, ClawbackResponse
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


async def wanted_claw_back(
    services: Services, principal: Principal, grant_id: str, wanted: ClawbackRequest, key: str
) -> Wanted[ClawbackRequest]:
    """What is asked for, of a grant that is there."""
    event = await find_grant(services, principal, grant_id)
    if (await customers.by_number(services, principal.brand, event.customer)).erased:
        raise customer_erased()
    return Wanted(
        kind=CLAW_BACK,
        subject=grant_id,
        body=wanted,
        amount=event.points if wanted.points is None else wanted.points,
        customer=event.customer,
        key=key,
    )


async def find_grant(tools: Services | Tools, principal: Principal, grant_id: str) -> Event:
    """The event of a grant of the principal's brand. Raises a problem if there is none."""
    read = parse_grant_id(grant_id)
    event = None if read is None else await tools.ledger.event(principal.brand.book, *read)
    if event is None:
        raise not_found("grant")
    return event


async def claw_back(
    tools: Services | Tools, principal: Principal, grant_id: str, wanted: ClawbackRequest, key: str
) -> tuple[ClawbackResponse, bool]:
    """Take back points of a grant of the principal's brand; the flag says that it had been done before."""
    book, event = principal.brand.book, await find_grant(tools, principal, grant_id)
    request = request_fingerprint(f"clawback {grant_id}", wanted)
    entry = hashlib.sha256(b"clawback " + key.encode() + request).digest()
    async with tools.engine.begin() as connection:
        # Not the reference: erasing the customer removes it, and nothing is ever removed from the trail.
        told = msgspec.structs.replace(wanted, reference=None)
        await record(connection, principal, "grant.clawback", grant_id, after=told, request=entry)
    asked = ClawBack(
        book=book,
        campaign_no=event.campaign_no,
        event_key=event.key,
        key=key,
        request_hash=request,
        reason=wanted.reason,
        points=wanted.points,
        reference=wanted.reference,
        principal=principal.api_key_id,
    )
    result = _decided(await tools.ledger.claw_back(asked))
    return ClawbackResponse.of(grant_id, wanted, result, book.book_id), result.replayed


def _decided(result: ClawBackResult) -> ClawBackResult:
    refused = refusal(result.outcome, left=result.left, replayed=result.replayed)
    if refused is not None:
        raise refused
    return result


def refusal(outcome: ClawBackOutcome, *, left: int, replayed: bool = False) -> Problem | None:
    """The problem of a claw-back that takes nothing back; ``left`` is what could be asked for."""
    if outcome is ClawBackOutcome.NOT_FOUND:
        return not_found("grant")
    if outcome not in _REFUSALS:
        return None
    code, detail = _REFUSALS[outcome]
    return Problem(code, detail.format(left=left), headers={REPLAYED: "true"} if replayed else {})


async def _execute(tools: Tools, maker: Principal, approved: Approved[ClawbackRequest]) -> ClawbackResponse:
    shown, _ = await claw_back(tools, maker, approved.subject, approved.body, approved.key)
    return shown


CLAW_BACK: Kind[ClawbackRequest] = Kind(name="grant.clawback", request=ClawbackRequest, execute=_execute)
