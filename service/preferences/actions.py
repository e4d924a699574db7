"""Reading and taking down what a customer chooses.

    read      what holds
    answer    record the choices, and pay once what a running campaign pays for `data.preferences`

Channels are kept as consent, where all that is ever said of them is one story; "stop rewarding me" is consent to the channel
that stands for all. An answer is an act like any other: of the campaign, under a message id that is always the same, so it is
paid once, however often the customer answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from ledger import Grade
from service.brands.brand import Brand
from service.campaigns.queries import running_campaigns
from service.campaigns.rules import Campaign
from service.consents import actions as consents
from service.consents.recording import ConsentChange
from service.customer_pages.access import OwnPage
from service.customers import actions as customers
from service.customers.opt_outs import ALL
from service.customers.queries import Customer
from service.grants import actions as grants
from service.grants.queries import find_decision
from service.grants.schemas import GrantAnswer
from service.http.problems import Problem, invalid_field
from service.preferences import queries
from service.preferences.schemas import ChannelResponse, Earned, PreferencesRequest, PreferencesResponse, Standing

if TYPE_CHECKING:
    from service.services import Services

ACTION = "data.preferences"
CHANNEL = "web"
MESSAGE_ID = "preferences"
SOURCE = "preferences page"

CONTACT_CHANNELS = ("email", "sms", "mms", "whatsapp", "rcs", "push", "voice", "post")
"""Channels on which a brand contacts customers, in the order in which the form asks for them."""


class AnsweredForm(msgspec.Struct, frozen=True):
    """A campaign that pays for answers, as what a claim needs to know."""

    campaign_no: int
    campaign_version: int
    customer: int
    minted_at: datetime
    message_id: str = MESSAGE_ID
    action: str = ACTION
    channel: str = CHANNEL
    label: str = ""


async def read(services: Services, page: OwnPage) -> PreferencesResponse:
    """What a customer has chosen."""
    running = await running_campaigns(services.engine, page.brand.brand_id, page.now)
    holds = await consents.refused_channels(services, page.known)
    last = await queries.last_answer(services.pool, (page.known.customer, *page.known.former))
    return PreferencesResponse(
        channels=[ChannelResponse(channel, _status(holds, channel)) for channel in _asked(running, holds)],
        frequency=last and last.frequency,
        rewards=not holds.get(ALL, False),
        reward=await _reward(services, page, running),
        answered_at=last and last.at,
    )


async def answer(services: Services, page: OwnPage, wanted: PreferencesRequest) -> Earned:
    """Record the choices, and pay for them if a campaign does. Raises the ``Problem`` of a choice that cannot be stored."""
    for n, each in enumerate(wanted.channels):
        if each.channel == ALL:
            raise invalid_field(f"/channels/{n}/channel", "is not a channel: use the field `rewards`")
    brand, known = page.brand, page.known
    holds = await consents.refused_channels(services, known)
    said = [
        ConsentChange(each.channel, each.status, SOURCE)
        for each in wanted.channels
        if holds.get(each.channel) is not (each.status == "refused")
    ]
    # A customer who was never asked has not refused: there is nothing to record.
    if wanted.rewards is not None and holds.get(ALL, False) is wanted.rewards:
        said.append(ConsentChange(ALL, "granted" if wanted.rewards else "refused", SOURCE))
    for told in await consents.record_own(services, brand, known.named, said, link_made_by=page.made_by, now=page.now):
        if isinstance(told, Problem):
            raise told
    last = await queries.last_answer(services.pool, (known.customer, *known.former))
    frequency = wanted.frequency or (last and last.frequency)
    await queries.keep(services.pool, brand.brand_id, known.named, frequency, page.now)
    return await _pay(services, page)


async def _pay(services: Services, page: OwnPage) -> Earned:
    paying = _paying(await running_campaigns(services.engine, page.brand.brand_id, page.now))
    if paying is None:
        return Earned(outcome=None, points=0, balance=None, replayed=False)
    # Looked up again: a choice about rewards just made counts.
    known = await customers.by_number(services, page.brand, page.known.named)
    form = _form(paying, known, page.now)
    # The consent history is the receipt.
    paid = await grants.claim(services, form, known, page.brand, Grade.B, page.now, has_receipt=True)
    return Earned(outcome=paid.outcome, points=paid.points, balance=paid.balance, replayed=paid.replayed)


async def _reward(services: Services, page: OwnPage, running: Iterable[Campaign]) -> int | None:
    """What an answer would earn."""
    paying = _paying(running)
    rule = None if paying is None else paying.rule_for(ACTION, CHANNEL)
    if paying is None or rule is None or await _before(services, page.brand, page.known, paying, page.now) is not None:
        return None
    return rule.points


async def _before(services: Services, brand: Brand, known: Customer, paying: Campaign, now: datetime) -> GrantAnswer | None:
    return await find_decision(services, _form(paying, known, now), known, brand, now)


def _form(paying: Campaign, known: Customer, now: datetime) -> AnsweredForm:
    return AnsweredForm(paying.campaign_no, paying.version, known.customer, minted_at=now)


def _paying(running: Iterable[Campaign]) -> Campaign | None:
    """The campaign that pays for answers; of several the one that was created first."""
    return next((campaign for campaign in running if campaign.rule_for(ACTION, CHANNEL) is not None), None)


def _asked(running: Iterable[Campaign], holds: Mapping[str, bool]) -> list[str]:
    """The channels to ask about: those that campaigns use for contact, and those with a statement of the customer's."""
    used = {rule.channel for campaign in running for rule in campaign.rules}
    asked = [channel for channel in CONTACT_CHANNELS if channel in used or channel in holds]
    others = sorted(holds.keys() - {ALL, *CONTACT_CHANNELS})
    return asked + others or [CONTACT_CHANNELS[0]]


def _status(holds: Mapping[str, bool], channel: str) -> Standing:
    said = holds.get(channel)
    return "unsaid" if said is None else "refused" if said else "granted"
