"""Having orders decided, also while customers are being merged.

The ledger records nothing for whom it knows as merged or split otherwise than the order says. She is then
read anew and the order made again: so no event is paid under two of a person's names.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from ledger import GrantOrder, GrantOutcome, GrantResult, LedgerError
from service.brands.brand import Brand
from service.concurrency.fairness import in_chunks
from service.customers import actions as customers
from service.customers.queries import Customer
from service.grants.orders import Act, order_of
from service.http.problems import Problem, problem_of

if TYPE_CHECKING:
    from service.services import Services

ATTEMPTS = 4
"""How often customers who are being merged or split meanwhile are read anew."""


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
        again = await _post(services, [order(wanted[index][0], brand, people[index]) for index in moved])
        for index, decision in zip(moved, again, strict=True):
            decisions[index] = decision
    return [merging_now() if _is_moved(decision) else decision for decision in decisions]


async def refresh_moved(services: Services, brand: Brand, people: list[Customer], moved: Collection[int]) -> None:
    """Put in the place of those of ``people`` of whom the ledger said that they have moved who they are now."""
    # By the number that the name has: of whom it is part now may be somebody else.
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
        # The other parts of a batch may have been posted: each item says for itself that it can be sent again.
        return [problem_of(error)] * len(orders)
    return [problem_of(decision) if isinstance(decision, LedgerError) else decision for decision in decisions]


def _is_moved(decision: GrantResult | Problem) -> bool:
    return isinstance(decision, GrantResult) and decision.outcome is GrantOutcome.STALE_CUSTOMER


def merging_now() -> Problem:
    """What is said of who is never found to stand still."""
    return Problem("overloaded", "The customer is being merged or split; nothing was recorded.", headers={"Retry-After": "1"})
