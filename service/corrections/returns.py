"""Returns of purchases: what comes back of an order takes back what it earned.

The version of the campaign under which the purchase was paid says how many points that is: those of what was bought less those
of what is left of it, so that parts add up to the whole. Its reference makes a return happen once.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from ledger import Event, PointValue, PurchaseReturn, ReturnOutcome
from service.approvals.kinds import Approved, Kind, Tools, Wanted
from service.auth import looks
from service.auth.audit_trail import record
from service.auth.principal import Principal
from service.campaigns.queries import find_version
from service.campaigns.rules import PointsPer
from service.corrections.actions import CLAW_BACK, find_grant
from service.corrections.schemas import (
    ReturnedAmount,
    ReturnQuoteRequest,
    ReturnQuoteResponse,
    ReturnRequest,
    ReturnResponse,
)
from service.customers import actions as customers
from service.customers.tombstones import customer_erased
from service.grants.kinds import purchases
from service.grants.schemas import PurchaseResponse
from service.http.idempotency import request_fingerprint
from service.http.problems import Problem, invalid_field

if TYPE_CHECKING:
    from service.services import Services

REASON = "returned"
"""Why, if the caller does not say."""

# How a refusal of the ledger is told; ``{left}`` is what was not returned yet.
_REFUSALS: dict[ReturnOutcome, tuple[str, str]] = {
    ReturnOutcome.RETURN_EXISTS: (
        "return_exists",
        "This purchase has another return with the same reference. A new return needs a reference of its own.",
    ),
    ReturnOutcome.NOT_GRANTED: ("not_granted", "The purchase was not paid, so there is nothing to take back."),
    ReturnOutcome.MORE_THAN_WAS_BOUGHT: ("return_exceeds_purchase", "{left} minor units of the purchase are not returned yet."),
    ReturnOutcome.HELD_BACK_WHOLE: (
        "held_back",
        "The points are held back, and can only be rejected as a whole: approve them first, or return all of the purchase.",
    ),
}


class Purchase(msgspec.Struct, frozen=True):
    """What a grant was paid for, and what its campaign paid for an amount; ``None``: points that are fixed."""

    event: Event
    bought: PurchaseResponse
    per: PointsPer | None

    def earned(self, amount_minor: int) -> int:
        """The points of a part of it."""
        if self.per is None:
            return self.event.points if amount_minor > 0 else 0
        return self.per.earned(amount_minor)


async def _find_purchase(tools: Services | Tools, principal: Principal, grant_id: str, asked: ReturnedAmount) -> Purchase:
    """The purchase of which something is to be returned. Raises a problem."""
    event = await find_grant(tools, principal, grant_id)
    _, bought = purchases.told(event.metadata)
    if bought is None:
        # What an erasure leaves of an event has no message.
        raise (
            customer_erased() if event.message_id is None else Problem("not_a_purchase", "Nothing was bought with this grant.")
        )
    if asked.currency != bought.currency:
        raise invalid_field("/currency", f"must be {bought.currency}, as it was bought")
    version = await find_version(tools.engine, event.campaign_no, event.campaign_version)
    rule = None if version is None else version.rule_for(event.action, event.channel)
    assert rule is not None
    return Purchase(event, bought, rule.points_per)


async def wanted_return(
    services: Services, principal: Principal, grant_id: str, wanted: ReturnRequest
) -> Wanted[ReturnRequest]:
    """What is asked for, of a purchase that is there. Its amount is the same whatever was returned before."""
    purchase = await _find_purchase(services, principal, grant_id, wanted)
    customer, bought = purchase.event.customer, purchase.bought.amount_minor
    if (await customers.by_number(services, principal.brand, customer)).erased:
        raise customer_erased()
    return Wanted(
        kind=RETURN,
        subject=grant_id,
        body=wanted,
        amount=purchase.earned(bought) - purchase.earned(max(bought - wanted.amount_minor, 0)),
        customer=customer,
        key=hashlib.sha256(wanted.reference.encode()).hexdigest(),
        reused=_refused(ReturnOutcome.RETURN_EXISTS, purchase, 0),
    )


async def return_purchase(
    tools: Services | Tools, principal: Principal, grant_id: str, wanted: ReturnRequest
) -> tuple[ReturnResponse, bool]:
    """Take back what a part of a purchase earned; the flag says that it had been done before."""
    purchase = await _find_purchase(tools, principal, grant_id, wanted)
    value = principal.brand.point_value if wanted.withhold else None
    if wanted.withhold and value is None:
        raise invalid_field("/withhold", "must be left out: the brand has set no point value")
    request = request_fingerprint(f"return {grant_id}", wanted)
    async with tools.engine.begin() as connection:
        # Not the reference: erasing the customer removes it, and nothing is ever removed from the trail.
        told = {name: value for name, value in msgspec.structs.asdict(wanted).items() if name != "reference"}
        entry = hashlib.sha256(b"return " + request).digest()
        await record(connection, principal, "purchase.return", grant_id, after=told, request=entry)
    asked = _asked(
        principal, purchase, wanted, value, reference=wanted.reference, reason=wanted.reason or REASON, request_hash=request
    )
    result = await tools.ledger.return_purchase(asked)
    if result.outcome in _REFUSALS:
        raise _refused(result.outcome, purchase, result.returned)
    return ReturnResponse.of(grant_id, asked, purchase.bought.currency, result), result.replayed


def _asked(
    principal: Principal,
    purchase: Purchase,
    wanted: ReturnedAmount,
    value: PointValue | None,
    *,
    reference: str = "",
    reason: str = "",
    request_hash: bytes = b"",
) -> PurchaseReturn:
    """What the ledger is asked; of a quote, nothing is kept."""
    per = purchase.per
    return PurchaseReturn(
        book=principal.brand.book,
        campaign_no=purchase.event.campaign_no,
        event_key=purchase.event.key,
        reference=reference,
        request_hash=request_hash,
        reason=reason,
        bought=purchase.bought.amount_minor,
        amount=wanted.amount_minor,
        per_points=None if per is None else per.points,
        per_minor_units=None if per is None else per.minor_units,
        value=value,
        principal=principal.api_key_id,
    )


def _refused(outcome: ReturnOutcome, purchase: Purchase, returned: int) -> Problem:
    code, detail = _REFUSALS[outcome]
    return Problem(code, detail.format(left=purchase.bought.amount_minor - returned))


async def quote(services: Services, principal: Principal, grant_id: str, wanted: ReturnQuoteRequest) -> ReturnQuoteResponse:
    """What a return would take now, and what to withhold from the refund for what it cannot."""
    purchase = await _find_purchase(services, principal, grant_id, wanted)
    looks.see(purchase.event.customer)
    value = principal.brand.point_value
    found = await services.ledger.quote_return(_asked(principal, purchase, wanted, value), purchase.event)
    if found.outcome in _REFUSALS:
        raise _refused(found.outcome, purchase, found.returned)
    return ReturnQuoteResponse.of(grant_id, purchase.bought, found, has_value=value is not None)


async def _execute(tools: Tools, maker: Principal, approved: Approved[ReturnRequest]) -> ReturnResponse:
    shown, _ = await return_purchase(tools, maker, approved.subject, approved.body)
    return shown


RETURN: Kind[ReturnRequest] = Kind(name="purchase.return", request=ReturnRequest, execute=_execute, counts_as=CLAW_BACK.name)
