"""Creating campaigns and giving them points.

A campaign's id is its natural key: creating the same campaign again finishes what a crash may have left undone and answers the
same; another campaign of that id is refused.
"""

from __future__ import annotations

import hashlib

import msgspec
from sqlalchemy import insert
from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import AccountClass, Fund, FundOutcome, FundResult, Ledger
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.campaigns.queries import Terms, find_campaign
from service.campaigns.rules import Campaign
from service.campaigns.schemas import CampaignRequest
from service.campaigns.tables import campaign as campaigns
from service.campaigns.tables import campaign_version as versions
from service.problems import Problem, invalid_field

# What tells two campaigns apart; the numbers we give them do not.
_COMPARED = ("name", "starts_at", "ends_at", "account_class", "expires_after_months", "rules", "caps")


async def create_campaign(
    engine: AsyncEngine, ledger: Ledger, principal: Principal, wanted: CampaignRequest
) -> tuple[Campaign, bool]:
    """Create and fund a campaign; the flag says whether it is new."""
    _check(wanted, principal)
    new = await _insert(engine, principal, wanted)
    campaign = await find_campaign(engine, principal.brand.brand_id, wanted.id)
    assert campaign is not None
    if not new and _differs(campaign, wanted):
        raise Problem("campaign_exists", f"The brand has another campaign {wanted.id!r} already.")
    if wanted.budget:
        request = hashlib.sha256(f"budget {campaign.campaign_no} {wanted.budget}".encode()).digest()
        result = await ledger.fund(
            Fund(principal.brand.book, campaign.campaign_no, wanted.budget, f"campaign {campaign.campaign_no}", request)
        )
        if result.outcome is FundOutcome.IDEMPOTENCY_KEY_REUSED:
            raise Problem("campaign_exists", f"The brand has a campaign {wanted.id!r} with another budget already.")
        _check_funded(result)
    return campaign, new


async def fund_campaign(ledger: Ledger, fund: Fund) -> FundResult:
    """Give a campaign more points."""
    result = await ledger.fund(fund)
    if result.outcome is FundOutcome.IDEMPOTENCY_KEY_REUSED:
        raise Problem("idempotency_key_reused", "This Idempotency-Key was used before with another request.")
    _check_funded(result)
    return result


def _check_funded(result: FundResult) -> None:
    """Raise the problem of a refused funding."""
    if result.outcome is FundOutcome.ISSUE_LIMIT_REACHED:
        raise Problem(
            "issue_limit_reached",
            f"The brand has issued {result.issued} points; this would pass what it is authorized to issue.",
            headers={"Idempotency-Replayed": "true"} if result.replayed else {},
        )


def _check(wanted: CampaignRequest, principal: Principal) -> None:
    if wanted.ends_at <= wanted.starts_at:
        raise invalid_field("/ends_at", "must be after starts_at")
    seen: set[tuple[str, str | None]] = set()
    for n, rule in enumerate(wanted.rules):
        if (rule.action, rule.channel) in seen:
            raise invalid_field(f"/rules/{n}", "another rule is for the same action and channel")
        seen.add((rule.action, rule.channel))
    for n, cap in enumerate(wanted.caps):
        if cap.max_grants is None and cap.max_points is None:
            raise invalid_field(f"/caps/{n}", "needs max_grants or max_points")
    if wanted.budget and Scope.FUNDS_WRITE not in principal.scopes:
        raise Problem("missing_scope", "A campaign with a budget also needs the scope funds:write.")


async def _insert(engine: AsyncEngine, principal: Principal, wanted: CampaignRequest) -> bool:
    async with engine.begin() as connection:
        inserted = await connection.execute(
            insert_or(campaigns)
            .values(brand_id=principal.brand.brand_id, id=wanted.id)
            .on_conflict_do_nothing(index_elements=["brand_id", "id"])
            .returning(campaigns.c.campaign_no)
        )
        campaign_no = inserted.scalar_one_or_none()
        if campaign_no is None:
            return False
        await connection.execute(
            insert(versions).values(
                campaign_no=campaign_no,
                version=1,
                name=wanted.name,
                starts_at=wanted.starts_at,
                ends_at=wanted.ends_at,
                account_class=AccountClass[wanted.account_class.upper()],
                expires_after_months=wanted.expires_after_months,
                terms=msgspec.to_builtins(Terms(rules=wanted.pays(), caps=wanted.limits())),
                created_by=principal.api_key_id,
            )
        )
    return True


def _differs(campaign: Campaign, wanted: CampaignRequest) -> bool:
    asked = (
        wanted.name,
        wanted.starts_at,
        wanted.ends_at,
        AccountClass[wanted.account_class.upper()],
        wanted.expires_after_months,
        wanted.pays(),
        wanted.limits(),
    )
    return asked != tuple(getattr(campaign, field) for field in _COMPARED)
