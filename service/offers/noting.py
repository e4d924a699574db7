"""Telling the book what became of offers: that they lapsed, or that a message which made one will not arrive.

The book says of each whether the offer was claimed before. Saying it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from ledger import GrantOutcome, OfferNote, OfferNoted, OfferNotice, offer_key
from service.brands.brand import Brand
from service.campaigns.rules import Campaign
from service.customers import actions as customers
from service.customers.queries import Customer
from service.offers.keys import keys_before, keys_of
from service.offers.queries import Offer

if TYPE_CHECKING:
    from service.services import Services

NOTES_AT_ONCE = 100
_ATTEMPTS = 4
_FALL_BACK = "fall_back"
_CLAIMED = (GrantOutcome.GRANTED, GrantOutcome.HELD_BACK)


class News(msgspec.Struct, frozen=True):
    """What became of an offer to the customer ``number``; of one that falls back, by which message on which channel."""

    notice: OfferNotice
    campaign: Campaign
    offer: Offer
    number: int
    at: datetime
    channel: str | None = None
    message_id: str | None = None


async def note(services: Services, brand: Brand, news: Sequence[News]) -> list[OfferNoted]:
    """Note each of ``news``, in order. ``STALE_CUSTOMER`` is left for those who are merged or split at every attempt."""
    noted: dict[int, OfferNoted] = {}
    for start in range(0, len(news), NOTES_AT_ONCE):
        part = dict(enumerate(news[start : start + NOTES_AT_ONCE], start))
        for _ in range(_ATTEMPTS):
            noted |= await _note(services, brand, part)
            part = {n: each for n, each in part.items() if noted[n].outcome is GrantOutcome.STALE_CUSTOMER}
            for number in {each.number for each in part.values()}:
                await customers.settle(services, brand, number)
            if not part:
                break
    return [noted[n] for n in range(len(news))]


async def _note(services: Services, brand: Brand, part: Mapping[int, News]) -> dict[int, OfferNoted]:
    people = await services.customers.find_numbers(brand, {each.number for each in part.values()})
    known = {n: people[each.number] for n, each in part.items() if each.number in people}
    earlier = {n: await _claimed_while_merged(services, brand, part[n], person) for n, person in known.items() if person.past}
    claimed = {n for n, was_claimed in earlier.items() if was_claimed}
    asked = [n for n in known if n not in claimed]
    told = await services.ledger.note_offers(brand.book, [_note_of(part[n], known[n]) for n in asked])
    # Who is nobody any more is offered nothing.
    ended = {n: OfferNoted(GrantOutcome.GRANTED if n in claimed else None, is_new=False) for n in part}
    return ended | dict(zip(asked, told, strict=True))


async def _claimed_while_merged(services: Services, brand: Brand, news: News, known: Customer) -> bool:
    """Whether somebody claimed an offer who was once the same customer."""
    campaign_no = news.campaign.campaign_no
    keys = list(zip(known.past, keys_of(campaign_no, news.offer.group, known.past), strict=True))
    past = await services.ledger.past_events(brand.book, campaign_no, known.customer, keys)
    return any(event.outcome in _CLAIMED for event in past)


def _note_of(news: News, known: Customer) -> OfferNote:
    numbers, group = (known.customer, *known.former), news.offer.group
    campaign_no = news.campaign.campaign_no
    keys = keys_of(campaign_no, group, numbers)
    lapses = news.notice is OfferNotice.LAPSED
    qualifier = news.message_id or ""
    return OfferNote(
        notice=news.notice,
        campaign_no=campaign_no,
        campaign_version=news.campaign.version,
        customer=known.customer,
        generation=known.generation,
        keys=(*keys, *keys_before(news.campaign, news.offer, numbers)),
        notice_keys=keys
        if lapses
        else tuple(
            offer_key(campaign_no=campaign_no, offer_group=group, customer=number, action=_FALL_BACK, qualifier=qualifier)
            for number in numbers
        ),
        offer_group=group,
        at=news.at,
        channel=news.channel,
        message_id=news.message_id,
    )
