"""What of campaigns can wait for approval: budgets. Both ways of raising one have the limits of ``campaign.fund``."""

from __future__ import annotations

from service.approvals.kinds import Approved, Kind, Tools
from service.auth.principal import Principal
from service.campaigns import actions
from service.campaigns.queries import find_campaign
from service.campaigns.schemas import CampaignRequest, CampaignResponse, FundRequest, FundResponse


async def _fund(tools: Tools, maker: Principal, approved: Approved[FundRequest]) -> FundResponse:
    standing = await find_campaign(tools.engine, maker.brand.brand_id, approved.subject)
    assert standing is not None
    funded, _ = await actions.fund_campaign(tools.engine, tools.ledger, maker, standing.current, approved.body, approved.key)
    return funded


async def _create(tools: Tools, maker: Principal, approved: Approved[CampaignRequest]) -> CampaignResponse:
    standing, _ = await actions.create_campaign(tools.engine, tools.ledger, maker, approved.body)
    return CampaignResponse.of(standing, await tools.ledger.budget(maker.brand.book, standing.current.campaign_no))


FUND = Kind(name="campaign.fund", request=FundRequest, execute=_fund)
CREATE = Kind(name="campaign.create", request=CampaignRequest, execute=_create, counts_as=FUND.name)
