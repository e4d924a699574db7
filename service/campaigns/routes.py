"""Campaigns over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestar import Response, get, post
from litestar.params import FromPath, JSONBody
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED
from sqlalchemy.ext.asyncio import AsyncEngine

from service.api_reference.document import problems
from service.approvals.kinds import Wanted
from service.approvals.waiting import WAITS, within_limits
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.campaigns import actions, approvals, queries, store_budgets
from service.campaigns.rules import Standing
from service.campaigns.schemas import (
    CampaignRequest,
    CampaignResponse,
    FundRequest,
    FundResponse,
    VersionRequest,
    VersionResponse,
)
from service.http.idempotency import decided
from service.http.injection import Injected
from service.http.pagination import LIMIT_DEFAULT, AfterNumber, Limit, Page, page
from service.http.problems import not_found

if TYPE_CHECKING:
    from service.services import Services


@post(
    "/v1/campaigns",
    guards=[requires(Scope.CAMPAIGNS_WRITE)],
    tags=["campaigns"],
    responses=problems("campaign_exists", "issue_limit_reached") | WAITS,
)
async def create_campaign(
    data: JSONBody[CampaignRequest],
    services: Injected[Services],
    principal: Injected[Principal],
) -> Response[CampaignResponse]:
    """Create a campaign, and fund it if `budget` is given. Sending the same campaign again answers 200."""

    async def create() -> Response[CampaignResponse]:
        standing, new = await actions.create_campaign(services.engine, services.ledger, principal, data)
        shown = await _shown(services, principal, standing)
        return Response(shown, status_code=HTTP_201_CREATED if new else HTTP_200_OK)

    actions.check_campaign(principal, data)
    wanted = Wanted(kind=approvals.CREATE, subject=data.id, body=data, amount=data.budget or 0)
    return await within_limits(services, principal, wanted, create)


@get("/v1/campaigns", guards=[requires(Scope.CAMPAIGNS_READ)], tags=["campaigns"])
async def list_campaigns(
    services: Injected[Services],
    principal: Injected[Principal],
    after: AfterNumber = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[CampaignResponse]:
    """List the brand's campaigns, oldest first."""
    found = await queries.list_campaigns(services.engine, principal.brand.brand_id, after=after or 0, limit=limit + 1)
    listed = page(found, limit=limit, cursor=lambda standing: standing.current.campaign_no)
    budgets = await services.ledger.budgets(principal.brand.book, [each.current.campaign_no for each in listed.items])
    shown = [CampaignResponse.of(each, budget) for each, budget in zip(listed.items, budgets, strict=True)]
    return Page(items=shown, next=listed.next)


@get("/v1/campaigns/{campaign_id:str}", guards=[requires(Scope.CAMPAIGNS_READ)], tags=["campaigns"])
async def get_campaign(
    campaign_id: FromPath[str],
    services: Injected[Services],
    principal: Injected[Principal],
) -> CampaignResponse:
    """Get a campaign and its remaining budget."""
    return await _shown(services, principal, await _of_the_brand(services.engine, principal, campaign_id))


@post(
    "/v1/campaigns/{campaign_id:str}/versions",
    guards=[requires(Scope.CAMPAIGNS_WRITE)],
    tags=["campaigns"],
    responses=problems("version_exists"),
)
async def create_version(
    campaign_id: FromPath[str],
    data: JSONBody[VersionRequest],
    services: Injected[Services],
    principal: Injected[Principal],
) -> Response[CampaignResponse]:
    """Change a campaign's terms from now on. Sending the terms already in force answers 200.

    The answering process applies them at once, every other within one second. A link keeps the terms it was minted under. A
    late report is judged by the version in force when the event happened. A cap keeps its counts as long as only its limits
    change.
    """
    standing, new = await actions.create_version(services, principal, campaign_id, data)
    shown = await _shown(services, principal, standing)
    return Response(shown, status_code=HTTP_201_CREATED if new else HTTP_200_OK)


@get("/v1/campaigns/{campaign_id:str}/versions", guards=[requires(Scope.CAMPAIGNS_READ)], tags=["campaigns"])
async def list_versions(
    campaign_id: FromPath[str],
    services: Injected[Services],
    principal: Injected[Principal],
    after: AfterNumber = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[VersionResponse]:
    """List all versions of a campaign's terms, oldest first. A version never changes."""
    standing = await _of_the_brand(services.engine, principal, campaign_id)
    found = await queries.list_versions(services.engine, standing.current.campaign_no, after=after or 0, limit=limit + 1)
    return page([VersionResponse.of(each) for each in found], limit=limit, cursor=lambda version: version.version)


@post(
    "/v1/campaigns/{campaign_id:str}/pause",
    guards=[requires(Scope.CAMPAIGNS_WRITE)],
    status_code=HTTP_200_OK,
    tags=["campaigns"],
)
async def pause_campaign(
    campaign_id: FromPath[str],
    services: Injected[Services],
    principal: Injected[Principal],
) -> CampaignResponse:
    """Pause a campaign. Reports and links stop earning; every process follows within one second.

    While paused, reports are answered `ignored` with reason `campaign_paused`, and nothing is recorded. Send them again
    after the campaign is resumed and they are paid like any late report. Pausing a paused campaign changes nothing.
    """
    return await _shown(services, principal, await actions.pause_campaign(services, principal, campaign_id))


@post(
    "/v1/campaigns/{campaign_id:str}/resume",
    guards=[requires(Scope.CAMPAIGNS_WRITE)],
    status_code=HTTP_200_OK,
    tags=["campaigns"],
)
async def resume_campaign(
    campaign_id: FromPath[str],
    services: Injected[Services],
    principal: Injected[Principal],
) -> CampaignResponse:
    """Resume a paused campaign at once. Resuming an active campaign changes nothing."""
    return await _shown(services, principal, await actions.resume_campaign(services, principal, campaign_id))


@post(
    "/v1/campaigns/{campaign_id:str}/fund",
    guards=[requires(Scope.FUNDS_WRITE)],
    tags=["campaigns"],
    responses=problems("issue_limit_reached", "idempotency_key_reused") | WAITS,
)
async def fund_campaign(
    campaign_id: FromPath[str],
    data: JSONBody[FundRequest],
    services: Injected[Services],
    principal: Injected[Principal],
    idempotency_key: Injected[str],
) -> Response[FundResponse]:
    """Add points to a campaign's budget, out of what the brand may issue."""
    campaign = (await _of_the_brand(services.engine, principal, campaign_id)).current

    async def fund() -> Response[FundResponse]:
        funded, replayed = await actions.fund_campaign(
            services.engine, services.ledger, principal, campaign, data, idempotency_key
        )
        return decided(funded, replayed=replayed)

    wanted = Wanted(kind=approvals.FUND, subject=campaign.id, body=data, amount=data.points, key=idempotency_key)
    return await within_limits(services, principal, wanted, fund)


async def _of_the_brand(engine: AsyncEngine, principal: Principal, campaign_id: str) -> Standing:
    standing = await queries.find_campaign(engine, principal.brand.brand_id, campaign_id)
    if standing is None:
        raise not_found("campaign")
    return standing


async def _shown(services: Services, principal: Principal, standing: Standing) -> CampaignResponse:
    brand, campaign = principal.brand, standing.current
    budget = await services.ledger.budget(brand.book, campaign.campaign_no)
    if not campaign.has_store_budgets:
        return CampaignResponse.of(standing, budget, [])
    today = brand.calendar.day(await services.clocks.now(brand))
    return CampaignResponse.of(standing, budget, await store_budgets.of_day(services.ledger, brand.book, campaign, today))


route_handlers: list[Any] = [
    create_campaign,
    list_campaigns,
    get_campaign,
    create_version,
    list_versions,
    pause_campaign,
    resume_campaign,
    fund_campaign,
]
