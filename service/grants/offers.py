"""Acts on messages that make an offer: the first that is paid claims it, and what is done with the others earns nothing.

    with_offers   acts with the offers that their messages make
    is_over       whether an act came when its offer had lapsed
    as_sibling    the answer for an act whose offer was claimed by another
    told_of_offers   the answers for acts that the ledger has decided

All acts on an offer have one event key, so the ledger's exactly-once is what lets one of them claim it. Only campaigns that
make offers cost a look-up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from ledger import Event, GrantOutcome
from service.brands.brand import Brand
from service.customers import actions as customers
from service.customers.queries import Customer
from service.grants.acts import Act
from service.grants.schemas import GrantAnswer, OfferClaim
from service.http.identifiers import grant_id, parse_grant_id
from service.http.problems import Problem
from service.offers.queries import Offered, offers_of_messages

if TYPE_CHECKING:
    from service.services import Services

_CLAIMED = (GrantOutcome.GRANTED, GrantOutcome.HELD_BACK)


async def with_offers(
    services: Services, brand: Brand, wanted: Sequence[tuple[Act, Customer]]
) -> Sequence[tuple[Act, Customer]]:
    """The same acts, in order, each with the offer that its message makes to its customer."""
    asked = [n for n, (act, _) in enumerate(wanted) if act.campaign.makes_offers and act.is_of_a_message]
    if not asked:
        return wanted
    offered = [
        Offered(act.message_id, (known.customer, *known.former), act.campaign.campaign_no)
        for act, known in (wanted[n] for n in asked)
    ]
    found = dict(zip(asked, await offers_of_messages(services.pool, brand.brand_id, offered), strict=True))
    return [(msgspec.structs.replace(act, offer=found.get(n)), known) for n, (act, known) in enumerate(wanted)]


async def with_offer(services: Services, brand: Brand, act: Act, known: Customer) -> Act:
    """The same act, with the offer that its message makes."""
    ((act, _),) = await with_offers(services, brand, [(act, known)])
    return act


def is_over(act: Act) -> bool:
    """Whether an act comes when its offer has lapsed."""
    return act.offer is not None and act.window_at >= act.offer.lapses_at


def as_sibling(act: Act, event: Event, answer: GrantAnswer) -> GrantAnswer:
    """The answer for an act that was decided as ``event``; another answer if that was of another message, or another action."""
    if act.offer is None or event.outcome not in _CLAIMED or _is_same(act, event):
        return answer
    claim = OfferClaim(
        offer_group=act.offer.group,
        grant_id=grant_id(event.campaign_no, event.key),
        message_id=event.message_id,
        channel=event.channel,
        action=event.action,
    )
    return msgspec.structs.replace(answer, outcome="ignored", reason="offer_claimed", points=0, replayed=False, offer=claim)


def _is_same(act: Act, event: Event) -> bool:
    return (event.message_id, event.action) == (act.message_id, act.action)


async def told_of_offers(
    services: Services, brand: Brand, answered: Sequence[tuple[Act, GrantAnswer | Problem]]
) -> list[GrantAnswer | Problem]:
    """The answers for acts that the ledger has decided, in order: those that came second are told who came first."""
    told = [answer for _, answer in answered]
    names = {
        n: (brand.book, *name)
        for n, (act, answer) in enumerate(answered)
        if act.campaign.makes_offers
        and isinstance(answer, GrantAnswer)
        and answer.replayed
        and answer.grant_id is not None
        and (name := parse_grant_id(answer.grant_id)) is not None
    }
    events = await services.events.get_many(set(names.values())) if names else {}
    for n, name in names.items():
        act, answer = answered[n]
        event = events.get(name)
        if event is None or not isinstance(answer, GrantAnswer) or _is_same(act, event):
            continue
        if act.offer is None:
            # The customer has been merged since they were looked up.
            act = await with_offer(services, brand, act, await customers.by_number(services, brand, event.customer))
        told[n] = as_sibling(act, event, answer)
    return told
