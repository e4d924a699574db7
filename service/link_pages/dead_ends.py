"""Dead ends: what is shown of a link that cannot be claimed, and what is kept of one that nobody can look up now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ledger import Grade
from service.evidence.click_log import Way
from service.http.problems import Problem
from service.link_pages import handoffs, redirects
from service.link_pages.lookup import DeadEnd, ParsedLink, Visitor
from service.link_pages.pages import Answer, Page, redirect, respond
from service.tokens.link import LinkMode

if TYPE_CHECKING:
    from service.services import Services


async def look(services: Services, parsed: ParsedLink, link: DeadEnd, visitor: Visitor) -> Answer:
    """Where the link leads, if that is known; or the page with the button, which does not know what the link earns."""
    if link.page is not Page.BUSY:
        return say(services, link, visitor.headers)
    if parsed.code_hash is not None:
        # It may stand for a link that redirects, and then this was the visit.
        await redirects.keep(services, parsed, visitor, Way.REDIRECT, redirects.judge(parsed, visitor))
        return say(services, link, visitor.headers)
    if link.destination is not None and parsed.mode is not LinkMode.PAGE:
        return await _lead_on(services, parsed, link, link.destination, visitor)
    if link.brand is None or _asks_for_json(visitor.headers):
        return say(services, link, visitor.headers)
    return respond(Page.CLAIM_AWAY, brand=link.brand, destination=link.destination, can_claim=True)


async def _lead_on(services: Services, parsed: ParsedLink, link: DeadEnd, destination: str, visitor: Visitor) -> Answer:
    verdict = redirects.judge(parsed, visitor)
    if parsed.mode is LinkMode.REDIRECT or link.link_id is None or link.brand is None:
        await redirects.keep(services, parsed, visitor, Way.REDIRECT, verdict)
        return redirect(destination)
    # A claim can be confirmed when the database is back, and then the visit is known as well.
    await redirects.keep(services, parsed, visitor, Way.HANDOFF, verdict)
    keys = services.token_keys.handoffs
    return redirect(handoffs.hand_over(link.brand.code, link.link_id, destination, verdict, keys, visitor.at))


async def claim(services: Services, parsed: ParsedLink, link: DeadEnd, visitor: Visitor) -> Answer:
    """Keep the claim until the database is back; the customer is told so only if it is on the disk."""
    if link.page is not Page.BUSY or _is_a_printed_codes_form(parsed, visitor):
        return say(services, link, visitor.headers)
    verdict = redirects.judge(parsed, visitor)
    if verdict.grade is not Grade.B:
        page = Page.CLAIM_AWAY if verdict.is_machine else Page.CLAIM_HERE
        return respond(page, brand=link.brand, destination=link.destination, can_claim=link.brand is not None)
    if not await redirects.keep(services, parsed, visitor, Way.CLAIM, verdict):
        return say(services, link, visitor.headers)
    return respond(Page.POINTS_FOLLOW, brand=link.brand, destination=link.destination)


def _is_a_printed_codes_form(parsed: ParsedLink, visitor: Visitor) -> bool:
    """Whether the email of somebody with a printed code is in the request: what to do with it nobody can say now."""
    return parsed.claims is None and visitor.headers.get("content-length", "0") != "0"


_PROBLEMS: Mapping[Page, tuple[str, str]] = {
    Page.NOT_FOUND: ("not_found", "There is no such link."),
    Page.EXPIRED: ("link_expired", "The link has expired."),
    Page.REVOKED: ("link_revoked", "The link was revoked."),
    Page.BUSY: ("database_unavailable", "The link could not be looked up; try again."),
}


def say(services: Services, dead_end: DeadEnd, headers: Mapping[str, str]) -> Answer:
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
