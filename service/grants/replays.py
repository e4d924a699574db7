"""Earlier decisions on acts, whoever reported them.

They are looked up before an answer that would not be recorded: a decided grant is answered as before, even if its campaign is
now paused, over or pays for something else. Only such acts cost this extra look-up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ledger import Event, GrantOutcome
from service.brands.brand import Brand
from service.customers import actions as customers
from service.customers.queries import Customer
from service.grants.acts import Act
from service.grants.orders import event_keys, past_event_keys

if TYPE_CHECKING:
    from service.services import Services

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
