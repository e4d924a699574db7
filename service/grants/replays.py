"""Earlier decisions on acts, whoever reported them.

They are looked up before an answer that would not be recorded: a decided grant is answered as before, even if its campaign is
now paused, over or pays for something else. Only such acts cost this extra look-up.

    decided_before, replays   what was decided on acts
    is_over                   whether an act came when its offer had lapsed
    as_sibling                the answer for an act whose offer another one has claimed
    told_of_offers            the answers for acts that the ledger has decided: who came second is told who came first
    note_acts                 how far offers have come by acts
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
from service.grants.deciding import with_offer
from service.grants.orders import event_keys, past_event_keys
from service.grants.schemas import GrantAnswer, OfferClaim
from service.http.identifiers import grant_id, parse_grant_id
from service.http.problems import Problem
from service.offers.life import Ended, OfferState, Stage, Told, note_ended, note_stages

if TYPE_CHECKING:
    from service.services import Services

_STAGES = {"open": Stage.OPENED, "read": Stage.OPENED}
_PAID = (GrantOutcome.GRANTED, GrantOutcome.HELD_BACK)


async def decided_before(services: Services, brand: Brand, acts: Sequence[tuple[Act, Customer]]) -> list[Event | None]:
    """The event of each act, in order, if it has one that a report would not change."""
    events = services.events
    names = [[(brand.book, act.campaign.campaign_no, key) for key in event_keys(act, known)] for act, known in acts]
    found = await events.get_many({name for of_one in names for name in of_one})
    return [
        await _that_counts(services, brand, act, known, [found[name] for name in of_one if name in found])
        for (act, known), of_one in zip(acts, names, strict=True)
    ]


async def replays(
    services: Services, brand: Brand, acts: Sequence[tuple[Act, Customer]]
) -> list[tuple[Event, int, int] | None]:
    """The same, each with what its customer can spend now and as of which seq."""
    before = await decided_before(services, brand, acts)
    people = [known for (_, known), event in zip(acts, before, strict=True) if event is not None]
    if len(people) == 1:
        # A single look-up is batched with those of other requests.
        _, balance = await customers.look(services, brand, people[0])
        can_spend = {people[0]: (balance.spendable, balance.seq)}
    else:
        can_spend = await customers.points(services, brand, people)
    return [None if event is None else (event, *can_spend[known]) for (_, known), event in zip(acts, before, strict=True)]


async def _that_counts(services: Services, brand: Brand, act: Act, known: Customer, there: list[Event]) -> Event | None:
    """Of the events under a customer's several numbers, the one that the ledger would count: see ``post_grants_v1``."""
    if known.past:
        ledger = services.ledger
        past = past_event_keys(act, known)
        there = [*there, *await ledger.past_events(brand.book, act.campaign.campaign_no, known.customer, past)]
    final = [event for event in there if event.outcome is not GrantOutcome.WAITING or _changes_nothing(act)]
    own = event_keys(act, known)[0]
    return min(final, key=lambda event: _rank(event, own), default=None)


def _changes_nothing(act: Act) -> bool:
    """Whether a report of the act leaves a waiting event waiting."""
    return act.rule is None or not act.campaign.rules[act.rule].pays_at_once(act.grade)


def _rank(event: Event, own: bytes) -> tuple[int, bool, int]:
    """Paid before refused before waiting; among these under their own number first, then what was decided first."""
    paid_or_not = 0 if event.outcome in _PAID else 2 if event.outcome is GrantOutcome.WAITING else 1
    return paid_or_not, event.key != own, event.seq


def is_over(act: Act) -> bool:
    """Whether an act comes when its offer has lapsed."""
    return act.offer is not None and act.window_at >= act.offer.lapses_at


def as_sibling(act: Act, event: Event, answer: GrantAnswer) -> GrantAnswer:
    """The answer for an act that was decided as ``event``; another answer if that was of another message, or another action."""
    if act.offer is None or event.outcome not in _PAID or _is_same(act, event):
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


async def note_acts(services: Services, brand: Brand, answered: Sequence[tuple[Act, Customer, GrantAnswer | Problem]]) -> None:
    """Note what acts have made of offers, after they were decided."""
    told: list[Told] = []
    ended: list[Ended] = []
    for act, known, answer in answered:
        if act.offer is not None and isinstance(answer, GrantAnswer):
            numbers = (known.customer, *known.former)
            told.append(Told(act.message_id, numbers, _STAGES.get(act.action, Stage.CLICKED), act.occurred_at))
            if answer.outcome in {"granted", "held_back"} or answer.reason == "offer_claimed":
                ended.append(Ended(act.offer.group, numbers, OfferState.CLAIMED, act.received_at))
    await note_stages(services.pool, brand.brand_id, told)
    await note_ended(services.pool, brand.brand_id, ended)
