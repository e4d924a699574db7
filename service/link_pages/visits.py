"""Visits: what happens when a link is opened, claimed, and shown again.

    look    GET: says what there is to earn, or hands over to the shop; decides nothing, whoever fetches it and however often
    claim   POST: reports the customer's act (grade B), then sends them on to a clean address
    review  GET of that address: says again what was decided
    show    GET of an image in a message: reports an open (grade D), and answers with the image whatever happens

A link that redirects is followed instead (see ``redirects``). Whatever happens, customers get where they were going: every page
of a link that is ours leads on to its destination. While the database is away their claims are kept, and posted later.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from ledger import Grade
from service.brands.brand import Brand
from service.campaigns.queries import campaign_version
from service.evidence import bot_detection
from service.evidence.bot_detection import Verdict
from service.evidence.click_log import Way, since_sent_s
from service.grants import actions as grants
from service.grants.schemas import GrantAnswer
from service.link_pages import dead_ends, handoffs, lookup, redirects
from service.link_pages.lookup import DeadEnd, ParsedLink, ResolvedLink, Visitor
from service.link_pages.offers import offer, page_of
from service.link_pages.pages import Answer, Page, redirect, respond
from service.links import revocation_subjects
from service.links.queries import is_any_revoked
from service.pages.images import PIXEL
from service.tokens import receipt as claim_receipts
from service.tokens.link import LinkKind, LinkMode
from service.tokens.receipt import ClaimReceipt

if TYPE_CHECKING:
    from service.services import Services


async def look(services: Services, subject: str, visitor: Visitor) -> Answer:
    """Show what the link would earn, or lead on at once where it redirects or hands over to the shop."""
    parsed = lookup.parse(services, subject, visitor)
    if isinstance(parsed, DeadEnd):
        return dead_ends.say(services, parsed, visitor.headers)
    if parsed.claims is not None and parsed.claims.mode is LinkMode.REDIRECT:
        return await redirects.follow(services, parsed, visitor) or dead_ends.say(services, _BUSY, visitor.headers)
    link = await lookup.resolve(services, parsed, visitor)
    if isinstance(link, DeadEnd):
        return await dead_ends.look(services, parsed, link, visitor)
    return await _LOOKS[link.row.mode](services, parsed, link, visitor)


async def _look_at_page(services: Services, _: ParsedLink, link: ResolvedLink, visitor: Visitor) -> Answer:
    _judge(services, Way.LOOK, link, visitor)
    return await offer(services, link, Page.CLAIM)


async def _hand_over(services: Services, parsed: ParsedLink, link: ResolvedLink, visitor: Visitor) -> Answer:
    if link.row.destination is None:
        return await _look_at_page(services, parsed, link, visitor)
    verdict = _judge(services, Way.HANDOFF, link, visitor)
    keys = services.token_keys.handoffs
    return redirect(handoffs.hand_over(link.brand.code, link.row.link_id, link.row.destination, verdict, keys, visitor.at))


async def _follow(services: Services, parsed: ParsedLink, link: ResolvedLink, visitor: Visitor) -> Answer:
    return await redirects.follow(services, parsed, visitor, link) or await offer(services, link, Page.CLAIM)


_Look: TypeAlias = "Callable[[Services, ParsedLink, ResolvedLink, Visitor], Awaitable[Answer]]"
_LOOKS: Mapping[LinkMode, _Look] = {
    LinkMode.PAGE: _look_at_page,
    LinkMode.HANDOFF: _hand_over,
    LinkMode.REDIRECT: _follow,
}
_BUSY = DeadEnd(Page.BUSY)


async def claim(services: Services, subject: str, visitor: Visitor) -> Answer:
    """Report the customer's act, and redirect to the page of what was decided."""
    parsed = lookup.parse(services, subject, visitor)
    if isinstance(parsed, DeadEnd):
        return dead_ends.say(services, parsed, visitor.headers)
    link = await lookup.resolve(services, parsed, visitor)
    if isinstance(link, DeadEnd):
        return await dead_ends.claim(services, parsed, link, visitor)
    verdict = _judge(services, Way.CLAIM, link, visitor)
    if verdict.grade is not Grade.B:
        return await offer(services, link, Page.CLAIM if verdict.is_machine else Page.CLAIM_HERE)
    try:
        answer = await _pay(services, link, Grade.B)
    except lookup.Unavailable:
        return await dead_ends.claim(services, parsed, DeadEnd(Page.BUSY, link.brand, link.row.destination), visitor)
    receipt = _receipt_of(link, answer, visitor)
    return redirect(f"/r/done/{claim_receipts.seal(receipt, services.token_keys.receipts)}")


async def _pay(services: Services, link: ResolvedLink, grade: Grade) -> GrantAnswer:
    with lookup.in_time(services):
        return await grants.claim(services, link.row, link.known, link.brand, grade, link.now)


def _receipt_of(link: ResolvedLink, answer: GrantAnswer, visitor: Visitor) -> ClaimReceipt:
    return ClaimReceipt(
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


async def review(services: Services, sealed: str, visitor: Visitor) -> Answer:
    """Show what was decided on a claim; the balance only while it is fresh."""
    receipt = claim_receipts.unseal(sealed, services.token_keys.receipts)
    if receipt is None:
        return dead_ends.say(services, DeadEnd(Page.NOT_FOUND), visitor.headers)
    campaign_name = None
    balance = receipt.balance if receipt.is_fresh(int(visitor.at.timestamp())) else None
    try:
        with lookup.in_time(services):
            brand = await _brand(services, receipt.brand)
            if brand is not None and balance is not None and await _is_taken_back(services, receipt, brand):
                return dead_ends.say(services, DeadEnd(Page.REVOKED, brand, brand.home_url), visitor.headers)
            campaign = await campaign_version(services, receipt.campaign_no, receipt.campaign_version)
            campaign_name = campaign.name if campaign is not None else campaign_name
    except lookup.Unavailable:
        # Nobody can say whether the link was revoked meanwhile.
        brand, balance = services.last_known.brand(receipt.brand), None
    return respond(
        Page(receipt.page),
        brand=brand,
        campaign=campaign_name,
        points=receipt.points,
        balance=balance,
        destination=services.last_known.destination(brand, receipt.destination_no),
        of_code=receipt.is_of_code,
    )


async def _is_taken_back(services: Services, receipt: ClaimReceipt, brand: Brand) -> bool:
    """Whether what led to a receipt that shows a balance was revoked."""
    if receipt.link_id:
        row = await services.links.get(receipt.link_id)
        return row is not None and row.revoked_at is not None
    subjects = revocation_subjects.of_made(made_by=receipt.made_by, message_id=receipt.message_id)
    return bool(subjects) and await is_any_revoked(services.pool, brand.brand_id, subjects)


async def _brand(services: Services, code: str) -> Brand | None:
    brand = await services.brands.by_code(code)
    if brand is not None:
        services.last_known.see_brand(brand)
    return brand


async def show(services: Services, token: str, visitor: Visitor) -> Answer:
    """Report that an image was fetched. What shows a message keeps the image, or its error: so there is never an error."""
    parsed = lookup.parse(services, token, visitor, LinkKind.OPEN)
    if not isinstance(parsed, DeadEnd):
        await _report_open(services, parsed, visitor)
    return PIXEL


async def _report_open(services: Services, parsed: ParsedLink, visitor: Visitor) -> None:
    link = await lookup.resolve(services, parsed, visitor)
    if isinstance(link, ResolvedLink):
        verdict = _judge(services, Way.OPEN, link, visitor)
        if verdict.grade is not None:
            with contextlib.suppress(lookup.Unavailable):
                await _pay(services, link, verdict.grade)
    elif link.page is Page.BUSY and parsed.code_hash is None:
        await redirects.keep(services, parsed, visitor, Way.OPEN, redirects.judge(parsed, visitor))


def _judge(services: Services, way: Way, link: ResolvedLink, visitor: Visitor) -> Verdict:
    """Judge a request for a link, and note it in the click log."""
    since_s = since_sent_s(link.row, link.now)
    verdict = bot_detection.grade(visitor.method, visitor.headers, since_sent_s=since_s, picture=way is Way.OPEN)
    services.click_log.note_link(
        way, verdict, visitor.headers, link.row, at=visitor.at, brand_at=link.now, address=visitor.address, points=link.points
    )
    return verdict
