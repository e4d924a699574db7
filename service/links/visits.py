"""Visits: what happens when a link is opened, claimed, and shown again.

    look    GET: says what there is to earn, or hands over to the shop; decides nothing, whoever fetches it and however often
    claim   POST: reports the customer's act (grade B), then sends her on to a clean address
    review  GET of that address: says again what was decided
    show    GET of a picture in a message: reports an open (grade D), and answers with the picture whatever happens

Whatever happens, the customer gets where she was going: every page of a link that is ours leads on to its destination,
also while the database is away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime

import msgspec
import structlog
from litestar.datastructures import State

from ledger import Grade
from service import log
from service.brands.book_clocks import BookClocks
from service.brands.brand import Brand
from service.campaigns.queries import campaign_is_paused, campaign_version
from service.campaigns.rules import Campaign
from service.customers import actions as customers
from service.customers.refused import ALL, has_refused, is_promised
from service.customers.rows import Known
from service.database import is_away
from service.grants import actions as grants
from service.grants.schemas import GrantAnswer
from service.links import claim_receipts, handoffs, link_tokens
from service.links.claim_receipts import ClaimReceipt
from service.links.codes import code_hash, normal_code
from service.links.evidence import Verdict, grade
from service.links.link_host import LinkHost, requested_host
from service.links.link_tokens import LinkClaims, LinkKind, LinkMode, LinkRefusal, LinkRefused
from service.links.pages import Answer, Page, redirect, respond
from service.links.pictures import PICTURE
from service.links.queries import LinkRow
from service.links.touches import Touches, Way, since_sent_s
from service.problems import Problem

PATIENCE_S = 3.0
"""How long a customer waits for us before she is offered the way on."""


class _Found(msgspec.Struct, frozen=True, gc=False):
    """A link that can be claimed, if its campaign still pays. ``known`` is its customer, ``now`` is by the brand's clock."""

    row: LinkRow
    known: Known
    brand: Brand
    campaign: Campaign
    is_paused: bool
    now: datetime


class _DeadEnd(msgspec.Struct, frozen=True):
    """A link that cannot be claimed now: the page that says so, and what is known of where it leads.

    ``claims`` are there while all that is wrong is that the database is away.
    """

    page: Page
    brand: Brand | None = None
    destination: str | None = None
    claims: LinkClaims | None = None


class Visitor(msgspec.Struct, frozen=True, gc=False):
    """Who asks, beside the headers: with which method, and from which address."""

    method: str
    address: str


_SOMEBODY = Visitor("GET", "")
_CLAIMING = Visitor("POST", "")


async def look(state: State, token: str, headers: Mapping[str, str], *, now: datetime, visitor: Visitor = _SOMEBODY) -> Answer:
    """Show what the link would earn, or hand over to the shop."""
    link = await _find(state, token, headers, now)
    if isinstance(link, _DeadEnd):
        return _hand_over_untouched(state, link, headers, now) or _say(link, headers)
    if link.row.mode is LinkMode.HANDOFF and link.row.destination is not None:
        verdict = _touch(state, Way.HANDOFF, link, headers, visitor, now)
        keys = state.link_host.handoff_keys
        return redirect(handoffs.hand_over(link.brand.code, link.row.link_id, link.row.destination, verdict, keys, now))
    _touch(state, Way.LOOK, link, headers, visitor, now)
    return await _offer(state, link, Page.CLAIM)


async def claim(state: State, token: str, headers: Mapping[str, str], *, now: datetime, visitor: Visitor = _CLAIMING) -> Answer:
    """Report the customer's act, and redirect to the page of what was decided."""
    link = await _find(state, token, headers, now)
    if isinstance(link, _DeadEnd):
        return _say(link, headers)
    verdict = _touch(state, Way.CLAIM, link, headers, visitor, now)
    if verdict.grade is not Grade.B:
        return await _offer(state, link, Page.CLAIM if verdict.is_machine else Page.CLAIM_HERE)
    try:
        async with asyncio.timeout(PATIENCE_S):
            answer = await grants.claim(state, link.row, link.known, link.brand, Grade.B, link.now)
    except Exception as error:
        if not is_passing(error):
            raise
        return _say(_DeadEnd(Page.BUSY, link.brand, link.row.destination), headers)
    host: LinkHost = state.link_host
    receipt = ClaimReceipt(
        brand=link.brand.code,
        destination_no=link.row.destination_no,
        campaign_no=link.row.campaign_no,
        campaign_version=link.row.campaign_version,
        page=page_of(answer),
        points=answer.points,
        balance=answer.balance,
        issued_at=int(now.timestamp()),
    )
    return redirect(f"/r/done/{claim_receipts.seal(receipt, host.receipt_keys)}")


async def review(state: State, sealed: str, headers: Mapping[str, str], *, now: datetime, **_: object) -> Answer:
    """Show what was decided on a claim; the balance only while it is fresh."""
    host: LinkHost = state.link_host
    receipt = claim_receipts.unseal(sealed, host.receipt_keys)
    if receipt is None:
        return _say(_DeadEnd(Page.NOT_FOUND), headers)
    campaign_name = None
    try:
        async with asyncio.timeout(PATIENCE_S):
            brand = await _brand(state, receipt.brand)
            campaign = await campaign_version(state, receipt.campaign_no, receipt.campaign_version)
            campaign_name = campaign.name if campaign is not None else campaign_name
    except Exception as error:
        if not is_passing(error):
            raise
        brand = host.last_known.brand(receipt.brand)
    return respond(
        Page(receipt.page),
        brand=brand,
        campaign=campaign_name,
        points=receipt.points,
        balance=receipt.balance if receipt.is_fresh(int(now.timestamp())) else None,
        destination=host.last_known.destination(brand, receipt.destination_no),
    )


async def show(state: State, token: str, headers: Mapping[str, str], *, now: datetime, visitor: Visitor = _SOMEBODY) -> Answer:
    """Report that a picture was fetched. What shows a message keeps the picture, or its error: so there is never an error."""
    link = await _find(state, token, headers, now, LinkKind.OPEN)
    if not isinstance(link, _DeadEnd):
        verdict = _touch(state, Way.OPEN, link, headers, visitor, now)
        if verdict.grade is not None:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await grants.claim(state, link.row, link.known, link.brand, verdict.grade, link.now)
            except Exception as error:
                if not is_passing(error):
                    raise
    return PICTURE


def _touch(state: State, way: Way, link: _Found, headers: Mapping[str, str], visitor: Visitor, now: datetime) -> Verdict:
    """Judge a request for a link, and note it."""
    since_s = since_sent_s(link.row, link.now)
    verdict = grade(visitor.method, headers, since_sent_s=since_s, picture=way is Way.OPEN)
    rule = link.campaign.rule_for(link.row.action, link.row.channel)
    points = 0 if rule is None else rule.points
    touches: Touches = state.touches
    touches.note_link(way, verdict, headers, link.row, at=now, brand_at=link.now, address=visitor.address, points=points)
    return verdict


def _hand_over_untouched(state: State, link: _DeadEnd, headers: Mapping[str, str], now: datetime) -> Answer | None:
    """Hand over also while the database is away: a claim can be confirmed when it is back."""
    claims = link.claims
    if claims is None or claims.mode is not LinkMode.HANDOFF or link.destination is None:
        return None
    verdict = grade("GET", headers, since_sent_s=now.timestamp() - claims.sent_at)
    return redirect(
        handoffs.hand_over(claims.brand, claims.link_id, link.destination, verdict, state.link_host.handoff_keys, now)
    )


async def _find(
    state: State, subject: str, headers: Mapping[str, str], now: datetime, kind: LinkKind = LinkKind.CLAIM
) -> _Found | _DeadEnd:
    """The link that a token or a code stands for. A token is checked first: nothing is looked up for one that is not ours."""
    code = normal_code(subject)
    if code is not None:
        return await _find_by_code(state, code, headers, now)
    host: LinkHost = state.link_host
    is_expired = False
    try:
        claims = link_tokens.verify(subject, host.keys, hosts=host.hosts(headers), now=int(now.timestamp()), kind=kind)
    except LinkRefused as refused:
        if refused.refusal is not LinkRefusal.EXPIRED or refused.claims is None:
            return _DeadEnd(Page.NOT_FOUND)
        claims, is_expired = refused.claims, True
    try:
        async with asyncio.timeout(PATIENCE_S):
            found = await _by_claims(state, claims, headers, now)
    except Exception as error:
        if not is_passing(error):
            raise
        brand = host.last_known.brand(claims.brand)
        page = Page.EXPIRED if is_expired and brand else Page.BUSY
        destination = host.last_known.destination(brand, claims.destination_no)
        return _DeadEnd(page, brand, destination, claims if page is Page.BUSY else None)
    return _alive(found, kind, is_expired=is_expired)


async def _find_by_code(state: State, code: str, headers: Mapping[str, str], now: datetime) -> _Found | _DeadEnd:
    host: LinkHost = state.link_host
    try:
        async with asyncio.timeout(PATIENCE_S):
            link_id = await host.link_ids.get(code_hash(code))
            row = None if link_id is None else await host.links.get(link_id)
            found = None if row is None else await _with_brand(state, row, headers, now)
    except Exception as error:
        if not is_passing(error):
            raise
        # A code says nothing of where it leads; on a host of the brand's own it is at least known whose it is.
        brand = host.last_known.brand_at(requested_host(headers))
        return _DeadEnd(Page.BUSY, brand, brand and brand.home_url)
    return _alive(found, LinkKind.CLAIM)


def _alive(found: _Found | None, kind: LinkKind, *, is_expired: bool = False) -> _Found | _DeadEnd:
    """The link, unless there is none, or it is past its life."""
    if found is None or found.row.kind is not kind:
        return _DeadEnd(Page.NOT_FOUND)
    if found.row.revoked_at is not None:
        return _DeadEnd(Page.REVOKED, found.brand, found.row.destination)
    if is_expired or found.row.expires_at <= found.now:
        return _DeadEnd(Page.EXPIRED, found.brand, found.row.destination)
    return found


async def _by_claims(state: State, claims: LinkClaims, headers: Mapping[str, str], now: datetime) -> _Found | None:
    """The link of these claims, unless it is foreign: of another brand, or not ours at all."""
    host: LinkHost = state.link_host
    row = await host.links.get(claims.link_id)
    if row is None or row.customer != claims.customer:
        return None
    found = await _with_brand(state, row, headers, now)
    return found if found is not None and found.brand.code == claims.brand else None


async def _with_brand(state: State, row: LinkRow, headers: Mapping[str, str], now: datetime) -> _Found | None:
    """A link with all it takes to honour it, unless it was brought to another brand's host."""
    host: LinkHost = state.link_host
    brand = await state.brands.by_id(row.brand_id)
    if brand is None or not host.is_at_home(brand, headers):
        return None
    host.last_known.see_brand(brand)
    if row.destination is not None:
        host.last_known.see_destinations([(row.destination_no, brand.brand_id, row.destination)])
    campaign = await campaign_version(state, row.campaign_no, row.campaign_version)
    if campaign is None:
        return None
    clocks: BookClocks = state.clocks
    is_paused = await campaign_is_paused(state, row.campaign_no)
    known = row.known or await customers.by_number(state, brand, row.customer)
    return _Found(row=row, known=known, brand=brand, campaign=campaign, is_paused=is_paused, now=await clocks.at(brand, now))


async def _brand(state: State, code: str) -> Brand | None:
    host: LinkHost = state.link_host
    brand = await state.brands.by_code(code)
    if brand is not None:
        host.last_known.see_brand(brand)
    return brand


async def _offer(state: State, link: _Found, page: Page) -> Answer:
    """The page with the button, or why there is none. It shows no balance: whoever looks has proved nothing yet."""
    rule = link.campaign.rule_for(link.row.action, link.row.channel)
    points = 0 if rule is None else rule.points
    if link.now < link.campaign.starts_at:
        page = Page.NOT_STARTED
    elif link.now >= link.campaign.ends_at:
        page = Page.OVER
    elif rule is None:
        page = Page.NOTHING_TO_EARN
    elif before := await _decided(state, link):
        page, points = page_of(before), before.points
    elif not is_promised(link.known.refused, link.row.channel, link.row.minted_at) or has_refused(
        link.known.refused, ALL, link.now
    ):
        page = Page.NOTHING_TO_EARN
    elif link.is_paused:
        page = Page.PAUSED
    return respond(
        page,
        brand=link.brand,
        campaign=link.campaign.name,
        points=points,
        destination=link.row.destination,
        can_claim=page in {Page.CLAIM, Page.CLAIM_HERE},
    )


async def _decided(state: State, link: _Found) -> GrantAnswer | None:
    """What was decided before. Not to know it harms nobody: a claim would say."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await grants.decided(state, link.row, link.known, link.brand, link.now)
    except Exception as error:
        if not is_passing(error):
            raise
        return None


def page_of(answer: GrantAnswer) -> Page:
    """How a decision is told to the customer."""
    match answer.outcome:
        case "granted":
            return Page.ALREADY_CLAIMED if answer.replayed else Page.CLAIMED
        case "waiting":
            return Page.WAITING
        case "held_back":
            return Page.HELD_BACK
        case _:
            return _PAGES_BY_REASON.get(answer.reason or "", Page.NOTHING_TO_EARN)


_PAGES_BY_REASON: Mapping[str, Page] = {
    "cap_reached": Page.CAP_REACHED,
    "budget_exhausted": Page.BUDGET_EXHAUSTED,
    "campaign_not_started": Page.NOT_STARTED,
    "campaign_over": Page.OVER,
    "campaign_paused": Page.PAUSED,
}

_PROBLEMS: Mapping[Page, tuple[str, str]] = {
    Page.NOT_FOUND: ("not_found", "There is no such link."),
    Page.EXPIRED: ("link_expired", "The link has expired."),
    Page.REVOKED: ("link_revoked", "The link was revoked."),
    Page.BUSY: ("database_unavailable", "The link could not be looked up; try again."),
}


def _say(dead_end: _DeadEnd, headers: Mapping[str, str]) -> Answer:
    """A page to people; to a program that asks for JSON the same as a problem."""
    accept = headers.get("accept", "")
    if "json" in accept and "html" not in accept:
        raise Problem(*_PROBLEMS[dead_end.page])
    return respond(
        dead_end.page,
        brand=dead_end.brand,
        destination=dead_end.destination,
        accept_language=headers.get("accept-language", ""),
    )


def is_passing(error: Exception) -> bool:
    """Whether trying again may help: then the customer is shown the way on rather than an error."""
    if not (isinstance(error, Problem) and error.spec.retryable) and not is_away(error):
        return False
    structlog.get_logger().warning("link_not_served", **log.describe_error(error))
    return True
