"""The page of a link with the button, or of why there is none; and the page of each decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from service.customers.opt_outs import ALL, has_refused, promised_before_opt_out
from service.grants.queries import find_decision
from service.grants.schemas import GrantAnswer
from service.link_pages import lookup
from service.link_pages.lookup import ResolvedLink
from service.link_pages.pages import Answer, Page, respond

if TYPE_CHECKING:
    from service.services import Services


async def offer(services: Services, link: ResolvedLink, page: Page) -> Answer:
    """``page``, which has the button, or why there is none. It shows no balance: whoever looks has proved nothing yet."""
    page, points = _not_running(link) or await _decided(services, link) or _not_paying(link) or (page, link.points)
    return respond(
        page,
        brand=link.brand,
        campaign=link.campaign.name,
        points=points,
        destination=link.row.destination,
        can_claim=page in {Page.CLAIM, Page.CLAIM_HERE},
    )


def _not_running(link: ResolvedLink) -> tuple[Page, int] | None:
    """Why the campaign pays nobody now."""
    if link.now < link.campaign.starts_at:
        return Page.NOT_STARTED, link.points
    if link.now >= link.campaign.ends_at:
        return Page.OVER, link.points
    return (Page.NOTHING_TO_EARN, 0) if link.rule is None else None


def _not_paying(link: ResolvedLink) -> tuple[Page, int] | None:
    """Why this customer would not be paid now."""
    refused = link.known.refused
    if not promised_before_opt_out(refused, link.row.channel, link.row.minted_at) or has_refused(refused, ALL, link.now):
        return Page.NOTHING_TO_EARN, link.points
    return (Page.PAUSED, link.points) if link.is_paused else None


async def _decided(services: Services, link: ResolvedLink) -> tuple[Page, int] | None:
    """What was decided before. Nobody is harmed if it is not known: a claim would say."""
    try:
        with lookup.in_time(services):
            before = await find_decision(services, link.row, link.known, link.brand, link.now)
    except lookup.Unavailable:
        return None
    return None if before is None else (page_of(before), before.points)


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
    "offer_claimed": Page.OFFER_CLAIMED,
    "offer_lapsed": Page.OFFER_LAPSED,
    "campaign_not_started": Page.NOT_STARTED,
    "campaign_over": Page.OVER,
    "campaign_paused": Page.PAUSED,
    # What has no points yet has not begun.
    "campaign_not_funded": Page.NOT_STARTED,
}
