"""What is asked for, checked against its campaign and its brand: no customer is known yet, and nothing is stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from service.brands.brand import Brand
from service.campaigns.rules import LOCATED, VOLUNTEERED, Campaign
from service.http.problems import Problem, invalid_field
from service.links.destinations import allowed_destination
from service.links.schemas import LinkRequest
from service.offers.actions import made_wrongly
from service.tokens.link import LinkKind, LinkMode

LIFE_AFTER_CAMPAIGN = timedelta(hours=72)
"""As long as a report of something that happened during the campaign may come late."""
LIFE_MAX = timedelta(days=366)
"""How long a link lives when nobody says otherwise."""
LIFE_ASKED_MAX = timedelta(days=5 * 366)
"""The longest life that may be asked for: print lasts."""
OPEN_ACTION = "open"
"""All that a picture can report."""


class Draft(msgspec.Struct, frozen=True):
    """An item whose campaign, rule, destination and times are in order."""

    request: LinkRequest
    campaign: Campaign
    channel: str
    destination: str | None
    expires_at: datetime


def draft_of(request: LinkRequest, brand: Brand, campaign: Campaign | None, now: datetime) -> Draft | Problem:
    """An item in order, or what is wrong with it."""
    if campaign is None:
        return invalid_field("/campaign", "the brand has no such campaign", code="unknown_campaign")
    if campaign.ends_at <= now:
        return invalid_field("/campaign", "this campaign is over", code="unknown_campaign")
    wrong = made_wrongly(request.offer_group, request.lapses_at, makes_offers=campaign.makes_offers, now=now)
    if wrong is not None:
        return wrong
    channel = channel_of(request.action, request.channel, campaign)
    if isinstance(channel, Problem):
        return channel
    url = destination_of(request, brand)
    if isinstance(url, Problem):
        return url
    expires_at = end_of_life(request.expires_at, campaign, now)
    if isinstance(expires_at, Problem):
        return expires_at
    return Draft(request=request, campaign=campaign, channel=channel, destination=url, expires_at=expires_at)


_NAMES_NO_STORE = "has a budget for each store, and a link names none: report with store_id, by POST /v1/grants"


def destination_of(request: LinkRequest, brand: Brand) -> str | Problem | None:
    """Where the link leads: nowhere, if it is an open."""
    if request.kind is LinkKind.OPEN:
        if request.action != OPEN_ACTION:
            return invalid_field("/action", f"must be {OPEN_ACTION}: an image reports nothing else")
        if request.mode is not LinkMode.PAGE:
            return invalid_field("/mode", "is only for claims")
        if request.short:
            return invalid_field("/short", "is only for claims")
        return (
            None
            if request.destination is None
            else invalid_field("/destination", "is only for claims; an open has no destination")
        )
    if request.destination is None:
        return invalid_field("/destination", "is required")
    return allowed_destination(request.destination, brand)


def channel_of(action: str, asked: str | None, campaign: Campaign) -> str | Problem:
    """The channel that will be reported, on which the campaign has to pay for the action."""
    if action.startswith(VOLUNTEERED):
        told = "begins with data.: report what a customer told with its consent receipt, by POST /v1/grants"
        return invalid_field("/action", told)
    if action.startswith(LOCATED):
        return invalid_field("/action", "begins with location.: following a link brings nobody to a place")
    if campaign.has_store_budgets:
        return invalid_field("/campaign", _NAMES_NO_STORE)
    by_link = [rule for rule in campaign.rules if rule.pays_links]
    paying = [rule for rule in by_link if rule.action == action]
    if not paying:
        actions = ", ".join(sorted({rule.action for rule in by_link}))
        return invalid_field("/action", f"this campaign pays nothing for it; it pays for {actions}")
    channels = sorted({rule.channel for rule in paying if rule.channel is not None})
    if asked is not None:
        if campaign.rule_of_link(action, asked) not in paying:
            return invalid_field("/channel", f"this campaign pays for {action} on {', '.join(channels)} only")
        return asked
    if len(channels) == 1 and all(rule.channel is not None for rule in paying):
        return channels[0]
    if any(rule.channel is None for rule in paying):
        return "web"
    return invalid_field("/channel", f"is required: this campaign pays for {action} on {', '.join(channels)}")


def end_of_life(asked: datetime | None, campaign: Campaign, now: datetime) -> datetime | Problem:
    """When what is minted now for a campaign expires."""
    expires_at = whole_seconds(asked or min(campaign.ends_at + LIFE_AFTER_CAMPAIGN, now + LIFE_MAX))
    if expires_at <= whole_seconds(now):
        return invalid_field("/expires_at", "must lie in the future")
    if expires_at > now + LIFE_ASKED_MAX:
        return invalid_field("/expires_at", f"must be at most {LIFE_ASKED_MAX.days} days from now")
    return expires_at


def whole_seconds(instant: datetime) -> datetime:
    """As a token can say it."""
    return instant.astimezone(UTC).replace(microsecond=0)
