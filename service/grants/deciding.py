"""Deciding orders while customers may be merged or split concurrently.

The ledger records nothing for a customer whose merges and splits differ from what the order says. The customer is then
refreshed and the order made again, so no event is paid under two names of one person.

    decide, decide_one   post orders
    with_offers          acts with the offers that their messages make: all acts on an offer have one event key, so that one of
                         them claims it. Only campaigns that make offers cost a look-up
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

import msgspec

from ledger import GrantOrder, GrantOutcome, GrantResult, LedgerError
from service.brands.brand import Brand
from service.concurrency.fairness import in_chunks
from service.customers import actions as customers
from service.customers.queries import Customer
from service.customers.tombstones import customer_erased
from service.grants.acts import Act
from service.grants.orders import order_of
from service.http.problems import Problem, problem_of
from service.offers.queries import Offered, offers_of_messages

if TYPE_CHECKING:
    from service.services import Services

ATTEMPTS = 4
"""How often an order is made for customers who are merged or split concurrently."""


async def decide(
    services: Services,
    brand: Brand,
    wanted: Sequence[tuple[Act, Customer]],
    order: Callable[[Act, Brand, Customer], GrantOrder] = order_of,
) -> list[GrantResult | Problem]:
    """Decide each act, in order."""
    decisions = await _post(services, await in_chunks(lambda each: order(each[0], brand, each[1]), wanted))
    people = [known for _, known in wanted]
    for _ in range(ATTEMPTS):
        moved = [index for index, decision in enumerate(decisions) if _is_moved(decision)]
        if not moved:
            return decisions
        await refresh_moved(services, brand, people, moved)
        for index in moved:
            if people[index].erased:
                decisions[index] = customer_erased()
        moved = [index for index in moved if not people[index].erased]
        # Under their other numbers there may be other offers.
        acts = await with_offers(services, brand, [(wanted[index][0], people[index]) for index in moved])
        again = await _post(services, [order(act, brand, known) for act, known in acts]) if moved else []
        for index, decision in zip(moved, again, strict=True):
            decisions[index] = decision
    return [merging_now() if _is_moved(decision) else decision for decision in decisions]


async def refresh_moved(services: Services, brand: Brand, people: list[Customer], moved: Collection[int]) -> None:
    """Replace the stale ones of ``people`` by their customers as of now."""
    # By the number that the name has, because it may belong to another customer now.
    settled = {number: await customers.settle(services, brand, number) for number in {people[n].named for n in moved}}
    for index in moved:
        people[index] = settled[people[index].named]


async def decide_one(services: Services, brand: Brand, act: Act, known: Customer) -> GrantResult | Problem:
    """Decide one act."""
    ledger = services.ledger
    try:
        decision = await ledger.grant(order_of(act, brand, known))
    except LedgerError as error:
        return problem_of(error)
    if decision.outcome is GrantOutcome.STALE_CUSTOMER:
        (decision,) = await decide(services, brand, [(act, known)])
    return decision


async def _post(services: Services, orders: Sequence[GrantOrder]) -> list[GrantResult | Problem]:
    ledger = services.ledger
    try:
        decisions = await ledger.grant_batch(orders)
    except LedgerError as error:
        # Other parts of the batch may have been posted, so each item carries its own retryable problem.
        return [problem_of(error)] * len(orders)
    return [problem_of(decision) if isinstance(decision, LedgerError) else decision for decision in decisions]


def _is_moved(decision: GrantResult | Problem) -> bool:
    return isinstance(decision, GrantResult) and decision.outcome is GrantOutcome.STALE_CUSTOMER


def merging_now() -> Problem:
    """The problem for a customer who is merged or split at every attempt."""
    return Problem("overloaded", "The customer is being merged or split; nothing was recorded.", headers={"Retry-After": "1"})


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
