"""Visits: what happens when a link is opened, claimed, and shown again.

    look    GET: says what there is to earn, or hands over to the shop; decides nothing, whoever fetches it and however often
    claim   POST: reports the customer's act (grade B), then sends her on to a clean address
    review  GET of that address: says again what was decided
    show    GET of a picture in a message: reports an open (grade D), and answers with the picture whatever happens

A link that redirects is followed instead (see ``following``). Whatever happens, the customer gets where she was going: every
page of a link that is ours leads on to its destination. While the database is away her act is kept, and posted later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ledger import Grade
from service.brands.brand import Brand
from service.campaigns.queries import campaign_version
from service.customers.opt_outs import ALL, has_refused, promised_before_opt_out
from service.evidence.bot_detection import Verdict, grade
from service.evidence.click_log import Way, since_sent_s
from service.grants import actions as grants
from service.grants.schemas import GrantAnswer
from service.http.problems import Problem
from service.link_pages import handoffs, redirects
from service.link_pages import lookup as finding
from service.link_pages.lookup import Asked, DeadEnd, Found, Visitor
from service.link_pages.pages import Answer, Page, redirect, respond
from service.links.queries import is_any_revoked, subjects_of
from service.pages.images import PICTURE
from service.tokens import receipt as claim_receipts
from service.tokens.link import LinkKind, LinkMode
from service.tokens.offline import says
from service.tokens.receipt import ClaimReceipt

if TYPE_CHECKING:
    from service.services import Services


async def look(services: Services, subject: str, visitor: Visitor) -> Answer:
    """Show what the link would earn, or lead on at once where it redirects or hands over to the shop."""
    asked = finding.read(services, subject, visitor)
    if isinstance(asked, DeadEnd):
        return _say(services, asked, visitor.headers)
    if asked.claims is not None and asked.claims.mode is LinkMode.REDIRECT:
        return await redirects.follow(services, asked, visitor) or _say(services, DeadEnd(Page.BUSY), visitor.headers)
    link = await finding.find(services, asked, visitor)
    if isinstance(link, DeadEnd):
        return (
            await _look_at_unknown(services, asked, link, visitor)
            if link.page is Page.BUSY
            else _say(services, link, visitor.headers)
        )
    if link.row.mode is LinkMode.REDIRECT:
        return await redirects.follow(services, asked, visitor, link) or await _offer(services, link, Page.CLAIM)
    if link.row.mode is LinkMode.HANDOFF and link.row.destination is not None:
        verdict = _touch(services, Way.HANDOFF, link, visitor)
        keys = services.token_keys.handoffs
        return redirect(handoffs.hand_over(link.brand.code, link.row.link_id, link.row.destination, verdict, keys, visitor.at))
    _touch(services, Way.LOOK, link, visitor)
    return await _offer(services, link, Page.CLAIM)


async def claim(services: Services, subject: str, visitor: Visitor) -> Answer:
    """Report the customer's act, and redirect to the page of what was decided."""
    asked = finding.read(services, subject, visitor)
    if isinstance(asked, DeadEnd):
        return _say(services, asked, visitor.headers)
    link = await finding.find(services, asked, visitor)
    if isinstance(link, DeadEnd):
        return (
            await _claim_later(services, asked, link, visitor)
            if link.page is Page.BUSY
            else _say(services, link, visitor.headers)
        )
    verdict = _touch(services, Way.CLAIM, link, visitor)
    if verdict.grade is not Grade.B:
        return await _offer(services, link, Page.CLAIM if verdict.is_machine else Page.CLAIM_HERE)
    try:
        with finding.within_timeout(services):
            answer = await grants.claim(services, link.row, link.known, link.brand, Grade.B, link.now)
    except Exception as error:
        if not finding.is_passing(error):
            raise
        return await _claim_later(services, asked, DeadEnd(Page.BUSY, link.brand, link.row.destination), visitor)
    receipt = ClaimReceipt(
        brand=link.brand.code,
        destination_no=link.row.destination_no,
        campaign_no=link.row.campaign_no,
        campaign_version=link.row.campaign_version,
        page=page_of(answer),
        points=answer.points,
        balance=answer.balance,
        issued_at=int(visitor.at.timestamp()),
        link_id=link.row.link_id,
    )
    return redirect(f"/r/done/{claim_receipts.seal(receipt, services.token_keys.receipts)}")


async def _look_at_unknown(services: Services, asked: Asked, link: DeadEnd, visitor: Visitor) -> Answer:
    """The page with the button, of a link that nobody can look up now: what it earns is not known."""
    if asked.offline is not None and link.destination is not None and says(asked.offline).mode is not LinkMode.PAGE:
        await redirects.keep(services, asked, visitor, Way.REDIRECT, redirects.judge(asked, visitor))
        return redirect(link.destination)
    if asked.claims is None and asked.offline is None:
        # It may redirect: then she has followed it.
        await redirects.keep(services, asked, visitor, Way.REDIRECT, redirects.judge(asked, visitor))
        return _say(services, link, visitor.headers)
    if asked.claims is not None and asked.claims.mode is LinkMode.HANDOFF and link.destination is not None:
        # A claim can be confirmed when the database is back, and then her visit is known as well.
        verdict = redirects.judge(asked, visitor)
        await redirects.keep(services, asked, visitor, Way.HANDOFF, verdict)
        return redirect(
            handoffs.hand_over(
                asked.claims.brand,
                asked.claims.link_id,
                link.destination,
                verdict,
                services.token_keys.handoffs,
                visitor.at,
            )
        )
    if link.brand is None or _asks_for_json(visitor.headers):
        return _say(services, link, visitor.headers)
    return respond(Page.CLAIM_AWAY, brand=link.brand, destination=link.destination, can_claim=True)


async def _claim_later(services: Services, asked: Asked, link: DeadEnd, visitor: Visitor) -> Answer:
    """Keep the act until the database is back; she is told so only if it is on the disk."""
    if asked.claims is None and visitor.headers.get("content-length", "0") != "0":
        # The email of somebody who has a printed code: what to do with it nobody can say now.
        return _say(services, link, visitor.headers)
    verdict = redirects.judge(asked, visitor)
    if verdict.grade is not Grade.B:
        page = Page.CLAIM_AWAY if verdict.is_machine else Page.CLAIM_HERE
        return respond(page, brand=link.brand, destination=link.destination, can_claim=link.brand is not None)
    is_kept = await redirects.keep(services, asked, visitor, Way.CLAIM, verdict)
    return (
        respond(Page.POINTS_FOLLOW, brand=link.brand, destination=link.destination)
        if is_kept
        else _say(services, link, visitor.headers)
    )


async def review(services: Services, sealed: str, visitor: Visitor) -> Answer:
    """Show what was decided on a claim; the balance only while it is fresh."""
    receipt = claim_receipts.unseal(sealed, services.token_keys.receipts)
    if receipt is None:
        return _say(services, DeadEnd(Page.NOT_FOUND), visitor.headers)
    campaign_name = None
    balance = receipt.balance if receipt.is_fresh(int(visitor.at.timestamp())) else None
    try:
        with finding.within_timeout(services):
            brand = await _brand(services, receipt.brand)
            if brand is not None and balance is not None and await _is_taken_back(services, receipt, brand):
                return _say(services, DeadEnd(Page.REVOKED, brand, brand.home_url), visitor.headers)
            campaign = await campaign_version(services, receipt.campaign_no, receipt.campaign_version)
            campaign_name = campaign.name if campaign is not None else campaign_name
    except Exception as error:
        if not finding.is_passing(error):
            raise
        # Nobody can say whether the link was revoked meanwhile.
        brand, balance = services.last_known.brand(receipt.brand), None
    return respond(
        Page(receipt.page),
        brand=brand,
        campaign=campaign_name,
        points=receipt.points,
        balance=balance,
        destination=services.last_known.destination(brand, receipt.destination_no),
    )


async def _is_taken_back(services: Services, receipt: ClaimReceipt, brand: Brand) -> bool:
    """Whether what led to a receipt that shows a balance was revoked."""
    if receipt.link_id:
        row = await services.links.get(receipt.link_id)
        return row is not None and row.revoked_at is not None
    subjects = subjects_of(made_by=receipt.made_by, message_id=receipt.message_id)
    return bool(subjects) and await is_any_revoked(services.pool, brand.brand_id, subjects)


async def show(services: Services, token: str, visitor: Visitor) -> Answer:
    """Report that a picture was fetched. What shows a message keeps the picture, or its error: so there is never an error."""
    asked = finding.read(services, token, visitor, LinkKind.OPEN)
    link = asked if isinstance(asked, DeadEnd) else await finding.find(services, asked, visitor)
    if isinstance(asked, Asked) and asked.claims is not None and isinstance(link, DeadEnd) and link.page is Page.BUSY:
        await redirects.keep(services, asked, visitor, Way.OPEN, redirects.judge(asked, visitor))
    elif not isinstance(link, DeadEnd):
        verdict = _touch(services, Way.OPEN, link, visitor)
        if verdict.grade is not None:
            try:
                with finding.within_timeout(services):
                    await grants.claim(services, link.row, link.known, link.brand, verdict.grade, link.now)
            except Exception as error:
                if not finding.is_passing(error):
                    raise
    return PICTURE


def _touch(services: Services, way: Way, link: Found, visitor: Visitor) -> Verdict:
    """Judge a request for a link, and note it."""
    since_s = since_sent_s(link.row, link.now)
    verdict = grade(visitor.method, visitor.headers, since_sent_s=since_s, picture=way is Way.OPEN)
    rule = link.campaign.rule_for(link.row.action, link.row.channel)
    points = 0 if rule is None else rule.points
    touches = services.touches
    touches.note_link(
        way, verdict, visitor.headers, link.row, at=visitor.at, brand_at=link.now, address=visitor.address, points=points
    )
    return verdict


async def _brand(services: Services, code: str) -> Brand | None:
    brand = await services.brands.by_code(code)
    if brand is not None:
        services.last_known.see_brand(brand)
    return brand


async def _offer(services: Services, link: Found, page: Page) -> Answer:
    """The page with the button, or why there is none. It shows no balance: whoever looks has proved nothing yet."""
    rule = link.campaign.rule_for(link.row.action, link.row.channel)
    points = 0 if rule is None else rule.points
    if link.now < link.campaign.starts_at:
        page = Page.NOT_STARTED
    elif link.now >= link.campaign.ends_at:
        page = Page.OVER
    elif rule is None:
        page = Page.NOTHING_TO_EARN
    elif before := await _decided(services, link):
        page, points = page_of(before), before.points
    elif not promised_before_opt_out(link.known.refused, link.row.channel, link.row.minted_at) or has_refused(
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


async def _decided(services: Services, link: Found) -> GrantAnswer | None:
    """What was decided before. Not to know it harms nobody: a claim would say."""
    try:
        with finding.within_timeout(services):
            return await grants.decided(services, link.row, link.known, link.brand, link.now)
    except Exception as error:
        if not finding.is_passing(error):
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
    # What has no points yet has not begun.
    "campaign_not_funded": Page.NOT_STARTED,
}

_PROBLEMS: Mapping[Page, tuple[str, str]] = {
    Page.NOT_FOUND: ("not_found", "There is no such link."),
    Page.EXPIRED: ("link_expired", "The link has expired."),
    Page.REVOKED: ("link_revoked", "The link was revoked."),
    Page.BUSY: ("database_unavailable", "The link could not be looked up; try again."),
}


def _say(services: Services, dead_end: DeadEnd, headers: Mapping[str, str]) -> Answer:
    """A page to people; to a program that asks for JSON the same as a problem."""
    if _asks_for_json(headers):
        raise Problem(*_PROBLEMS[dead_end.page])
    return respond(
        dead_end.page,
        # On a host of the brand's own at least it is known whose link this was to be.
        brand=dead_end.brand or services.link_hosts.brand_at(headers),
        destination=dead_end.destination,
        accept_language=headers.get("accept-language", ""),
    )


def _asks_for_json(headers: Mapping[str, str]) -> bool:
    accept = headers.get("accept", "")
    return "json" in accept and "html" not in accept
