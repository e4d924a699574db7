"""What becomes of messages that make offers: that they arrived, or never will.

A message that will not arrive lets its offer fall back on the others, which is an event of the feed, unless the offer was
claimed before. What customers do is noted where it is decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

import msgspec

from ledger import OfferNoted, OfferNotice
from service.brands.brand import Brand
from service.campaigns.queries import campaign_by_id
from service.campaigns.rules import Campaign
from service.customers import actions as customers
from service.customers.queries import Customer
from service.customers.schemas import CustomerRef
from service.offers.life import Stage, Told, note_stages
from service.offers.noting import News, note
from service.offers.queries import Offered, offers_of_messages

if TYPE_CHECKING:
    from service.services import Services

Key = TypeVar("Key")


class Happened(msgspec.Struct, frozen=True):
    """What happened to a message, as it is named."""

    message_id: str
    campaign: str
    customer: CustomerRef
    channel: str
    stage: Stage
    at: datetime


class _Subject(msgspec.Struct, frozen=True):
    """The same of a campaign that makes offers, to a customer who is known."""

    happened: Happened
    campaign: Campaign
    numbers: tuple[int, ...]


async def note_life(services: Services, brand: Brand, happened: Mapping[Key, Happened]) -> dict[Key, OfferNoted]:
    """Note what happened to messages. Returns what the book says of offers whose message will not arrive."""
    subjects = await _subjects(services, brand, happened)
    offered = [Offered(each.happened.message_id, each.numbers, each.campaign.campaign_no) for each in subjects.values()]
    offers = dict(zip(subjects, await offers_of_messages(services.pool, brand.brand_id, offered), strict=True))
    making = {key: subjects[key] for key, offer in offers.items() if offer is not None}
    told = [Told(each.happened.message_id, each.numbers, each.happened.stage, each.happened.at) for each in making.values()]
    await note_stages(services.pool, brand.brand_id, told)
    news = {
        key: News(
            OfferNotice.FELL_BACK,
            subject.campaign,
            offer,
            subject.numbers[0],
            subject.happened.at,
            channel=subject.happened.channel,
            message_id=subject.happened.message_id,
        )
        for key, subject in making.items()
        if subject.happened.stage is Stage.FAILED and (offer := offers[key]) is not None
    }
    return dict(zip(news, await note(services, brand, list(news.values())), strict=True))


async def _subjects(services: Services, brand: Brand, happened: Mapping[Key, Happened]) -> dict[Key, _Subject]:
    names = {each.campaign for each in happened.values()}
    campaigns = {name: await campaign_by_id(services, brand, name) for name in names}
    offering = {
        key: (each, campaign)
        for key, each in happened.items()
        if (campaign := campaigns[each.campaign]) is not None and campaign.makes_offers
    }
    if not offering:
        return {}
    known = await customers.find_each(services, brand, [each.customer for each, _ in offering.values()])
    return {
        key: _Subject(each, campaign, (person.customer, *person.former))
        for (key, (each, campaign)), person in zip(offering.items(), known, strict=True)
        if isinstance(person, Customer)
    }
