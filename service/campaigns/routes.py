"""Campaigns over HTTP."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Fund, Ledger
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.campaigns import actions, queries
from service.campaigns.rules import Campaign
from service.campaigns.schemas import CampaignRequest, CampaignResponse, FundRequest, FundResponse
from service.idempotency import decided, request_fingerprint
from service.openapi import problems
from service.pagination import LIMIT_DEFAULT, AfterNumber, Limit, Page, page
from service.problems import not_found


@post(
    "/v1/campaigns",
    guards=[requires(Scope.CAMPAIGNS_WRITE)],
    tags=["campaigns"],
    responses=problems("campaign_exists", "issue_limit_reached"),
)
async def create_campaign(
    data: JSONBody[CampaignRequest],
    engine: NamedDependency[AsyncEngine],
    ledger: NamedDependency[Ledger],
    principal: NamedDependency[Principal],
) -> Response[CampaignResponse]:
    """Create a campaign, and fund it if it has a budget. The same campaign again answers 200."""
    campaign, new = await actions.create_campaign(engine, ledger, principal, data)
    shown = CampaignResponse.of(campaign, await ledger.budget(principal.brand.book, campaign.campaign_no))
    return Response(shown, status_code=HTTP_201_CREATED if new else HTTP_200_OK)


@get("/v1/campaigns", guards=[requires(Scope.CAMPAIGNS_READ)], tags=["campaigns"])
async def list_campaigns(
    engine: NamedDependency[AsyncEngine],
    ledger: NamedDependency[Ledger],
    principal: NamedDependency[Principal],
    after: AfterNumber = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[CampaignResponse]:
    """The brand's campaigns, oldest first."""
    brand = principal.brand
    found = await queries.list_campaigns(engine, brand.brand_id, after=after or 0, limit=limit + 1)
    listed = page(found, limit=limit, cursor=lambda campaign: campaign.campaign_no)
    return Page(
        items=[CampaignResponse.of(each, await ledger.budget(brand.book, each.campaign_no)) for each in listed.items],
        next=listed.next,
    )


@get("/v1/campaigns/{campaign_id:str}", guards=[requires(Scope.CAMPAIGNS_READ)], tags=["campaigns"])
async def get_campaign(
    campaign_id: FromPath[str],
    engine: NamedDependency[AsyncEngine],
    ledger: NamedDependency[Ledger],
    principal: NamedDependency[Principal],
) -> CampaignResponse:
    """One campaign, and what its budget has left."""
    campaign = await _of_the_brand(engine, principal, campaign_id)
    return CampaignResponse.of(campaign, await ledger.budget(principal.brand.book, campaign.campaign_no))


@post(
    "/v1/campaigns/{campaign_id:str}/fund",
    guards=[requires(Scope.FUNDS_WRITE)],
    tags=["campaigns"],
    responses=problems("issue_limit_reached", "idempotency_key_reused"),
)
async def fund_campaign(
    campaign_id: FromPath[str],
    data: JSONBody[FundRequest],
    engine: NamedDependency[AsyncEngine],
    ledger: NamedDependency[Ledger],
    principal: NamedDependency[Principal],
    idempotency_key: NamedDependency[str],
) -> Response[FundResponse]:
    """Give a campaign points to grant, from what the brand is authorized to issue."""
    campaign = await _of_the_brand(engine, principal, campaign_id)
    request = request_fingerprint(f"fund {campaign.campaign_no}", data)
    fund = Fund(principal.brand.book, campaign.campaign_no, data.points, f"key {idempotency_key}", request)
    result = await actions.fund_campaign(ledger, fund)
    shown = FundResponse(campaign=campaign.id, funded=data.points, budget_left=result.budget, issued=result.issued)
    return decided(shown, replayed=result.replayed)


async def _of_the_brand(engine: AsyncEngine, principal: Principal, campaign_id: str) -> Campaign:
    campaign = await queries.find_campaign(engine, principal.brand.brand_id, campaign_id)
    if campaign is None:
        raise not_found("campaign")
    return campaign


route_handlers: list[Any] = [create_campaign, list_campaigns, get_campaign, fund_campaign]
