"""Creating campaigns, changing, pausing and funding them.

A campaign's id is its natural key: creating the same campaign again finishes what a crash may have left undone and answers the
same; another campaign of that id is refused. So is a version's number, and the terms that are in force already are not made
a version again. Versions of one campaign are made one after the other, under its row's lock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import ColumnElement, func, insert, null, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import AccountClass, Fund, FundOutcome, FundResult, Ledger
from service.auth.audit_trail import record
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.campaigns.queries import Terms, all_versions, find_campaign, find_version
from service.campaigns.rules import LOCATED, OF_NO_MESSAGE, Campaign, Standing, number_caps
from service.campaigns.schemas import (
    CampaignRequest,
    FundRequest,
    FundResponse,
    TermsRequest,
    VersionRequest,
    VersionResponse,
)
from service.campaigns.tables import campaign as campaigns
from service.campaigns.tables import campaign_version as versions
from service.http.idempotency import request_fingerprint
from service.http.problems import Problem, invalid_field, not_found

if TYPE_CHECKING:
    from service.services import Services

CAP_NUMBER_MAX = 2**15 - 1
"""The ledger's counters are keyed by a small integer."""

# The ends of time are infinite to the driver, and have no zone there.
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)

# What tells two versions apart; the numbers we give them do not.
_COMPARED = ("name", "starts_at", "ends_at", "account_class", "expires_after_months", "rules", "caps")


async def create_campaign(
    engine: AsyncEngine, ledger: Ledger, principal: Principal, wanted: CampaignRequest
) -> tuple[Standing, bool]:
    """Create and fund a campaign; the flag says whether it is new."""
    check_campaign(principal, wanted)
    new = await _insert(engine, principal, wanted)
    standing = await find_campaign(engine, principal.brand.brand_id, wanted.id)
    assert standing is not None
    campaign_no = standing.current.campaign_no
    if not new:
        # It may have changed since; what was created is the first version.
        first = await find_version(engine, campaign_no, 1)
        if first is None or _differs(first, wanted) or first.makes_offers is not (wanted.offers is True):
            raise Problem("campaign_exists", f"The brand already has a different campaign {wanted.id!r}.")
    if wanted.budget:
        request = hashlib.sha256(f"budget {campaign_no} {wanted.budget}".encode()).digest()
        await _record_funding(engine, principal, wanted.id, wanted.budget, request)
        result = await ledger.fund(Fund(principal.brand.book, campaign_no, wanted.budget, f"campaign {campaign_no}", request))
        if result.outcome is FundOutcome.IDEMPOTENCY_KEY_REUSED:
            raise Problem("campaign_exists", f"The brand already has a campaign {wanted.id!r} with another budget.")
        _check_funded(result)
    return standing, new


def check_campaign(principal: Principal, wanted: CampaignRequest) -> None:
    """Raise the problem of a campaign that cannot be created, or not by this key."""
    _check(wanted)
    if wanted.budget and Scope.FUNDS_WRITE not in principal.scopes:
        raise Problem("missing_scope", "A campaign with a budget also needs the scope funds:write.")


async def create_version(
    services: Services, principal: Principal, campaign_id: str, wanted: VersionRequest
) -> tuple[Standing, bool]:
    """Give a campaign new terms from now on; the flag says whether they are new."""
    _check(wanted)
    engine = services.engine
    async with engine.begin() as connection:
        locked = await connection.execute(
            select(campaigns.c.campaign_no).where(_is(principal, campaign_id)).with_for_update(key_share=True)
        )
        campaign_no = locked.scalar_one_or_none()
        if campaign_no is None:
            raise not_found("campaign")
        earlier = await all_versions(connection, campaign_no)
        new = _is_new(earlier, wanted)
        if new:
            _check_against(earlier, wanted)
            numbers = number_caps(wanted.limits(), earlier)
            if max(numbers, default=0) > CAP_NUMBER_MAX:
                raise invalid_field("/caps", "this campaign has had too many different caps")
            following = earlier[-1].version + 1
            terms = Terms(wanted.pays(), wanted.limits(), numbers, earlier[-1].makes_offers)
            await _insert_version(connection, principal, campaign_no, following, wanted, terms)
            await connection.execute(
                update(campaigns).where(campaigns.c.campaign_no == campaign_no).values(current_version=following)
            )
            before, after = VersionResponse.of(earlier[-1]), msgspec.structs.replace(wanted, version=following)
            await record(connection, principal, "campaign.change", campaign_id, before, after)
    return await _changed(services, principal, campaign_id), new


async def pause_campaign(services: Services, principal: Principal, campaign_id: str) -> Standing:
    """Let a campaign pay nothing for now; a campaign that is paused stays so since when it was.

    When this returns, this process has decided all that found the campaign paying, and pays nothing more.
    """
    pays = campaigns.c.paused_at.is_(None)
    standing = await _set_paused(services, principal, campaign_id, "campaign.pause", pays, func.now())
    decisions_in_flight = services.decisions_in_flight
    await decisions_in_flight.drained()
    return standing


async def resume_campaign(services: Services, principal: Principal, campaign_id: str) -> Standing:
    """Let a campaign pay again."""
    is_paused = campaigns.c.paused_at.is_not(None)
    return await _set_paused(services, principal, campaign_id, "campaign.resume", is_paused, null())


async def _set_paused(
    services: Services,
    principal: Principal,
    campaign_id: str,
    act: str,
    is_other: ColumnElement[bool],
    paused_at: ColumnElement[Any],
) -> Standing:
    engine = services.engine
    async with engine.begin() as connection:
        changed = await connection.execute(
            update(campaigns)
            .where(_is(principal, campaign_id), is_other)
            .values(paused_at=paused_at)
            .returning(campaigns.c.campaign_no)
        )
        if changed.scalar_one_or_none() is not None:
            await record(connection, principal, act, campaign_id)
    return await _changed(services, principal, campaign_id)


def _is(principal: Principal, campaign_id: str) -> ColumnElement[bool]:
    return (campaigns.c.brand_id == principal.brand.brand_id) & (campaigns.c.id == campaign_id)


async def _changed(services: Services, principal: Principal, campaign_id: str) -> Standing:
    """The campaign as it stands after it was changed, from now on to all of this process."""
    standing = await find_campaign(services.engine, principal.brand.brand_id, campaign_id)
    if standing is None:
        raise not_found("campaign")
    directory = services.campaigns
    directory.forget(standing.current)
    return standing


async def fund_campaign(
    engine: AsyncEngine, ledger: Ledger, principal: Principal, campaign: Campaign, wanted: FundRequest, key: str
) -> tuple[FundResponse, bool]:
    """Give a campaign more points; the flag says whether that was done before, under the same Idempotency-Key."""
    asked = request_fingerprint(f"fund {campaign.campaign_no}", wanted)
    fund = Fund(principal.brand.book, campaign.campaign_no, wanted.points, f"key {key}", asked)
    request = hashlib.sha256(f"{campaign.campaign_no} {fund.key}".encode() + fund.request_hash).digest()
    await _record_funding(engine, principal, campaign.id, fund.points, request)
    result = await ledger.fund(fund)
    if result.outcome is FundOutcome.IDEMPOTENCY_KEY_REUSED:
        raise Problem("idempotency_key_reused", "This Idempotency-Key was used before with a different request.")
    _check_funded(result)
    shown = FundResponse(campaign=campaign.id, funded=wanted.points, budget_left=result.budget, issued=result.issued)
    return shown, result.replayed


async def _record_funding(engine: AsyncEngine, principal: Principal, campaign_id: str, points: int, request: bytes) -> None:
    # The books are posted in a transaction of their own. Recorded first, no funding can be without its entry; whether the
    # points moved, the book's log says.
    async with engine.begin() as connection:
        await record(connection, principal, "campaign.fund", campaign_id, after={"points": points}, request=request)


def _check_funded(result: FundResult) -> None:
    """Raise the problem of a refused funding."""
    if result.outcome is FundOutcome.ISSUE_LIMIT_REACHED:
        raise Problem(
            "issue_limit_reached",
            f"The brand has issued {result.issued} points; this would exceed what it may issue.",
            headers={"Idempotency-Replayed": "true"} if result.replayed else {},
        )


def _check(wanted: TermsRequest) -> None:
    """Refuse terms that contradict themselves, or that no calendar of ours has."""
    for name, at in (("starts_at", wanted.starts_at), ("ends_at", wanted.ends_at)):
        if not _EARLIEST <= at < _LATEST:
            raise invalid_field(f"/{name}", f"must lie between {_EARLIEST.year} and {_LATEST.year}")
    if wanted.ends_at <= wanted.starts_at:
        raise invalid_field("/ends_at", "must be after starts_at")
    seen: set[tuple[str, str | None]] = set()
    once_per: dict[str, str] = {}
    for n, rule in enumerate(wanted.rules):
        if (rule.points is None) == (rule.points_per is None):
            raise invalid_field(f"/rules/{n}", "needs exactly one of points and points_per")
        if rule.points_per is not None and (rule.once_per != "message" or rule.action.startswith(OF_NO_MESSAGE)):
            raise invalid_field(f"/rules/{n}/points_per", "is for purchases, which count once per message")
        if rule.action.startswith(LOCATED) and rule.once_per == "link":
            raise invalid_field(f"/rules/{n}/once_per", "is message for once per place, or day for once per place and day")
        if (rule.action, rule.channel) in seen:
            raise invalid_field(f"/rules/{n}", "another rule is for the same action and channel")
        seen.add((rule.action, rule.channel))
        # Events are told apart by it, and not by their channel: one act must not become two events on its way to us.
        if once_per.setdefault(rule.action, rule.once_per) != rule.once_per:
            raise invalid_field(f"/rules/{n}/once_per", f"another rule for {rule.action} has {once_per[rule.action]}")
    counted: set[object] = set()
    for n, (asked, cap) in enumerate(zip(wanted.caps, wanted.limits(), strict=True)):
        if asked.max_grants is None and asked.max_points is None and asked.stores is None:
            raise invalid_field(f"/caps/{n}", "needs max_grants or max_points")
        if asked.stores is not None and asked.per != "store":
            raise invalid_field(f"/caps/{n}/stores", "is for a cap per store")
        if asked.per != "customer" and asked.window == "rolling_day":
            allowed = f"rolling_day is per customer; per {asked.per} it is day, week, month or ever"
            raise invalid_field(f"/caps/{n}/window", allowed)
        if cap.counts in counted:
            raise invalid_field(f"/caps/{n}", "another cap counts the same; one cap can have max_grants and max_points")
        counted.add(cap.counts)


def _check_against(earlier: Sequence[Campaign], wanted: VersionRequest) -> None:
    """Refuse terms by which an event that is decided could come again as another one."""
    once_per = {rule.action: rule.once_per for version in earlier for rule in version.rules}
    for n, rule in enumerate(wanted.rules):
        before = once_per.get(rule.action, rule.once_per)
        if rule.once_per != before:
            raise invalid_field(f"/rules/{n}/once_per", f"is {before} for {rule.action} in this campaign, and never changes")


def _is_new(earlier: Sequence[Campaign], wanted: VersionRequest) -> bool:
    """Say whether ``wanted`` is to become the next version, or is one already."""
    current = earlier[-1]
    if wanted.version is None:
        return _differs(current, wanted)
    if wanted.version > current.version + 1:
        raise invalid_field("/version", f"the next version is {current.version + 1}")
    if wanted.version <= current.version and _differs(earlier[wanted.version - 1], wanted):
        raise Problem("version_exists", f"The campaign already has a different version {wanted.version}.")
    return wanted.version > current.version


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
        terms = Terms(wanted.pays(), wanted.limits(), number_caps(wanted.limits(), ()), wanted.offers is True)
        await _insert_version(connection, principal, campaign_no, 1, wanted, terms)
        await record(connection, principal, "campaign.create", wanted.id, after=wanted)
    return True


async def _insert_version(
    connection: AsyncConnection,
    principal: Principal,
    campaign_no: int,
    version: int,
    wanted: TermsRequest,
    terms: Terms,
) -> None:
    await connection.execute(
        insert(versions).values(
            campaign_no=campaign_no,
            version=version,
            name=wanted.name,
            starts_at=wanted.starts_at,
            ends_at=wanted.ends_at,
            account_class=AccountClass[wanted.account_class.upper()],
            expires_after_months=wanted.expires_after_months,
            terms=_stored(terms),
            # The clock, and not the transaction's beginning, which may lie before that of the version before.
            created_at=func.clock_timestamp(),
            created_by=principal.api_key_id,
        )
    )


def _stored(terms: Terms) -> dict[str, Any]:
    """What the column holds. Most campaigns make no offers, and say nothing of them."""
    stored = msgspec.to_builtins(terms)
    return stored if terms.makes_offers else {name: value for name, value in stored.items() if name != "makes_offers"}


def _differs(campaign: Campaign, wanted: TermsRequest) -> bool:
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
