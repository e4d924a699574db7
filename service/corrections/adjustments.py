"""Giving a customer points out of a care budget, or taking some, for a reason that the brand has declared."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Adjust, AdjustOutcome, AdjustResult
from service.approvals.kinds import Approved, Kind, Tools, Wanted
from service.auth.audit_trail import record
from service.auth.principal import Principal
from service.brands.brand import Brand
from service.campaigns.queries import find_campaign
from service.campaigns.rules import Campaign
from service.corrections.reasons import Reason, list_reasons
from service.corrections.schemas import AdjustedResponse, AdjustmentRequest
from service.customers import actions as customers
from service.customers.tombstones import customer_erased
from service.grants.windows import last_day
from service.http.idempotency import REPLAYED, request_fingerprint
from service.http.identifiers import customer_id, parse_customer_id
from service.http.problems import Problem, invalid_field, not_found

if TYPE_CHECKING:
    from service.services import Services

# How a refusal of the ledger is told.
_REFUSALS: dict[AdjustOutcome, tuple[str, str]] = {
    AdjustOutcome.IDEMPOTENCY_KEY_REUSED: (
        "idempotency_key_reused",
        "This Idempotency-Key was used before with another request.",
    ),
    AdjustOutcome.BUDGET_EXHAUSTED: ("budget_exhausted", "The budget has {budget_left} points, which is less."),
    AdjustOutcome.INSUFFICIENT_BALANCE: ("insufficient_balance", "The customer can spend {balance} points, which is less."),
}


async def wanted_adjustment(
    services: Services, principal: Principal, wanted: AdjustmentRequest, key: str
) -> Wanted[AdjustmentRequest]:
    """What is asked for, of a customer who is there. Raises the problem of a request that says what cannot be."""
    if wanted.points == 0:
        raise invalid_field("/points", "must not be 0")
    if wanted.expires_on is not None and wanted.points < 0:
        raise invalid_field("/expires_on", "must be left out: points are taken")
    known = await customers.find(services, principal.brand, wanted.customer, at="/customer")
    if known is None:
        raise not_found("customer")
    subject = customer_id(known.customer)
    return Wanted(kind=ADJUST, subject=subject, body=wanted, amount=abs(wanted.points), customer=known.customer, key=key)


async def adjust(
    tools: Services | Tools, principal: Principal, subject: str, wanted: AdjustmentRequest, key: str
) -> tuple[AdjustedResponse, bool]:
    """Make an adjustment, once for each key; the flag says that it had been made before."""
    customer = parse_customer_id(subject)
    assert customer is not None
    reason = await find_reason(tools.engine, principal.brand.brand_id, wanted.reason)
    campaign = await _campaign(tools, principal, reason, wanted)
    request = request_fingerprint(f"adjustment {subject}", wanted)
    entry = hashlib.sha256(b"adjustment " + key.encode() + request).digest()
    async with tools.engine.begin() as connection:
        after = {"points": wanted.points, "reason": wanted.reason}
        await record(connection, principal, "adjustment.make", subject, after=after, request=entry)
    asked = Adjust(
        book=principal.brand.book,
        customer=customer,
        points=wanted.points,
        key=key,
        request_hash=request,
        reason=reason.code,
        reference=wanted.reference,
        note=wanted.note,
        principal=principal.api_key_id,
    )
    if campaign is not None:
        asked = await out_of_budget(tools, principal.brand, asked, campaign, wanted.expires_on)
    result = _decided(await tools.ledger.adjust(asked))
    return AdjustedResponse.of(result, wanted, reason.campaign, principal), result.replayed


async def find_reason(engine: AsyncEngine, brand_id: int, code: str, *, at: str = "/reason") -> Reason:
    """A reason that the brand has declared. Raises the problem of one that it has not, or has withdrawn."""
    declared = {each.code: each for each in await list_reasons(engine, brand_id) if not each.withdrawn}
    reason = declared.get(code)
    if reason is None:
        raise invalid_field(at, f"is not declared; there are: {', '.join(declared) or 'none'}")
    return reason


async def _campaign(
    tools: Services | Tools, principal: Principal, reason: Reason, wanted: AdjustmentRequest
) -> Campaign | None:
    """The campaign whose budget pays; ``None`` if points are taken."""
    if wanted.points < 0:
        return None
    if reason.campaign is None:
        raise invalid_field("/points", f"must be below 0: no budget pays for the reason {reason.code}")
    return await paying_campaign(tools.engine, principal.brand.brand_id, reason.campaign)


async def paying_campaign(engine: AsyncEngine, brand_id: int, campaign_id: str) -> Campaign:
    """The campaign whose budget pays. Raises a problem while it is paused."""
    standing = await find_campaign(engine, brand_id, campaign_id)
    assert standing is not None
    if standing.paused_at is not None:
        raise Problem("campaign_paused", f"The campaign {campaign_id}, whose budget pays, is paused.")
    return standing.current


async def out_of_budget(
    tools: Services | Tools, brand: Brand, asked: Adjust, campaign: Campaign, expires_on: date | None = None
) -> Adjust:
    """The same, paid by a campaign's budget, in its class and with its expiry unless ``expires_on`` says otherwise."""
    today = brand.calendar.day((await tools.ledger.clock(brand.book)).at(datetime.now(UTC)))
    if expires_on is not None and expires_on < today:
        raise invalid_field("/expires_on", f"must not be before today, {today}")
    return msgspec.structs.replace(
        asked,
        campaign_no=campaign.campaign_no,
        account_class=campaign.account_class,
        expires_on=expires_on or last_day(today, campaign.expires_after_months),
    )


def _decided(result: AdjustResult) -> AdjustResult:
    refused = refusal(result)
    if refused is not None:
        raise refused
    return result


def refusal(result: AdjustResult) -> Problem | None:
    """The problem of an adjustment that was not made."""
    if result.outcome is AdjustOutcome.CUSTOMER_ERASED:
        return customer_erased()
    if result.outcome not in _REFUSALS:
        return None
    code, detail = _REFUSALS[result.outcome]
    headers = {REPLAYED: "true"} if result.replayed else {}
    return Problem(code, detail.format(balance=result.balance, budget_left=result.budget_left), headers=headers)


async def _execute(tools: Tools, maker: Principal, approved: Approved[AdjustmentRequest]) -> AdjustedResponse:
    shown, _ = await adjust(tools, maker, approved.subject, approved.body, approved.key)
    return shown


ADJUST: Kind[AdjustmentRequest] = Kind(name="adjustment", request=AdjustmentRequest, execute=_execute)
