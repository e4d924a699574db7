"""Redeciding grants that were refused for a cap or the budget, on an operator's request."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from ledger import Grade, GrantOrder, GrantOutcome, GrantResult, Ledger, Refusal
from service.auth.audit_trail import record
from service.auth.principal import Principal
from service.brands.brand import Brand
from service.campaigns.queries import campaign_version, find_campaign
from service.campaigns.rules import Campaign
from service.customers import actions as customers
from service.customers.opt_outs import has_refused
from service.customers.queries import Customer
from service.grants.acts import SOURCE_LINK, Act
from service.grants.deciding import decide, with_offers
from service.grants.kinds import stores
from service.grants.kinds.purchases import points_of
from service.grants.orders import cap_uses, order_of
from service.grants.schemas import RedecideRequest, RedecideResponse
from service.grants.windows import last_day
from service.http.problems import Problem, not_found

if TYPE_CHECKING:
    from service.services import Services

_OUTCOMES = {
    "cap_reached": GrantOutcome.CAP_REACHED,
    "store_budget_exhausted": GrantOutcome.GROUP_CAP_REACHED,
    "budget_exhausted": GrantOutcome.BUDGET_EXHAUSTED,
}

_PAID = (GrantOutcome.GRANTED, GrantOutcome.HELD_BACK)


async def redecide(services: Services, principal: Principal, campaign_id: str, asked: RedecideRequest) -> RedecideResponse:
    """Redecide a page of refusals, oldest first. The audit trail is written first, so no redecision lacks its entry."""
    decisions_in_flight = services.decisions_in_flight
    with decisions_in_flight.now:
        return await _redecide(services, principal, campaign_id, asked)


async def _redecide(services: Services, principal: Principal, campaign_id: str, asked: RedecideRequest) -> RedecideResponse:
    brand, ledger = principal.brand, services.ledger
    standing = await find_campaign(services.engine, brand.brand_id, campaign_id)
    if standing is None:
        raise not_found("campaign")
    if standing.paused_at is not None:
        raise Problem("campaign_paused", "The campaign is paused; resume it first.")
    async with services.engine.begin() as connection:
        await record(connection, principal, "campaign.redecide", campaign_id, after=asked)
    campaign_no = standing.current.campaign_no
    refused, following, until = await _page(ledger, brand, campaign_no, asked)
    now = await services.clocks.now(brand)
    wanted: list[tuple[Act, Customer]] = []
    for refusal in refused:
        campaign = await campaign_version(services, campaign_no, refusal.campaign_version)
        # Without the erased details the event's key cannot be computed.
        if campaign is not None and refusal.message_id is not None:
            act = _act(refusal, refusal.message_id, campaign, now)
            known = await customers.by_number(services, brand, refusal.customer)
            # A link's promise was checked when it was claimed. For anything else, a refusal may have been recorded since.
            if refusal.source == SOURCE_LINK or not has_refused(known.refused, act.channel, act.occurred_at):
                wanted.append((act, known))

    def order(act: Act, brand: Brand, known: Customer) -> GrantOrder:
        return _order(act, brand, known, standing.current)

    decisions: list[GrantResult] = []
    for decision in await decide(services, brand, await with_offers(services, brand, wanted), order):
        if isinstance(decision, GrantResult):
            decisions.append(decision)
        elif decision.spec.retryable:
            # A repeated call for this page skips what was decided.
            raise decision
    granted = [each for each in decisions if each.outcome in _PAID and not each.replayed]
    return RedecideResponse(
        decided=len(decisions),
        granted=len(granted),
        points=sum(each.points for each in granted),
        next=None if following is None else f"{following}-{until}",
    )


async def _page(
    ledger: Ledger, brand: Brand, campaign_no: int, asked: RedecideRequest
) -> tuple[list[Refusal], int | None, int]:
    after, until = (0, None) if asked.after is None else map(int, asked.after.split("-"))
    outcomes = [_OUTCOMES[reason] for reason in asked.reasons]
    return await ledger.refusals(brand.book, campaign_no, outcomes, after=after, until=until, limit=asked.limit)


def _act(refusal: Refusal, message_id: str, campaign: Campaign, now: datetime) -> Act:
    return Act(
        campaign=campaign,
        rule=refusal.rule,
        message_id=message_id,
        action=refusal.action,
        channel=refusal.channel,
        qualifier=refusal.qualifier,
        grade=Grade(refusal.grade),
        # A refusal does not keep when the act happened; nearly always that is when it counts.
        occurred_at=refusal.window_at,
        window_at=refusal.window_at,
        received_at=now,
        source=refusal.source,
        principal=refusal.principal,
        metadata=refusal.metadata,
        may_wait={},
        points=points_of(campaign.rules[refusal.rule], refusal.metadata),
        store=stores.store_of(refusal.metadata) if campaign.has_store_budgets else None,
    )


def _order(act: Act, brand: Brand, known: Customer, current: Campaign) -> GrantOrder:
    """The order under the act's own version, with today's limits. A cap that the current version lacks keeps its own."""
    limits = dict(zip(current.cap_numbers, current.caps, strict=True))
    # It was refused for the amount, so its evidence was strong enough, or proved.
    order = msgspec.structs.replace(order_of(act, brand, known), corroboration=None)
    return order.on(
        again=True,
        waits=False,
        expires_on=last_day(brand.calendar.day(act.received_at), act.campaign.expires_after_months),
        caps=cap_uses(
            act,
            [limits.get(number, cap) for number, cap in zip(act.campaign.cap_numbers, act.campaign.caps, strict=True)],
            brand.calendar.day(act.window_at),
        ),
    )
