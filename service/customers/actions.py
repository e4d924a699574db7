"""Finding out who is meant: from what the brand calls a customer to her number in the book."""

from __future__ import annotations

from collections.abc import Sequence

from litestar.datastructures import State

from ledger import Ledger
from service.brands.brand import Brand
from service.customers.directory import CustomerDirectory
from service.customers.identities import Identity, identities
from service.customers.rows import Known
from service.customers.schemas import CustomerRef
from service.problems import Problem


async def resolve(state: State, brand: Brand, refs: Sequence[CustomerRef], *, may_attach: bool = True) -> list[Known | Problem]:
    """Who each of ``refs`` is, in order; whom nobody knows gets a number. What is wrong is its own problem."""
    directory: CustomerDirectory = state.customers
    read = [identities(ref, brand.brand_id, directory.keys) for ref in refs]
    people: list[list[Identity]] = [each for each in read if not isinstance(each, Problem)]
    known = iter(await directory.resolve(brand, people, may_attach=may_attach) if people else [])
    return [each if isinstance(each, Problem) else next(known) for each in read]


async def find(state: State, brand: Brand, ref: CustomerRef) -> Known | None:
    """The customer whom ``ref`` names, if there is one; nobody is created. Raises the ``Problem`` of a malformed ``ref``."""
    directory: CustomerDirectory = state.customers
    named = identities(ref, brand.brand_id, directory.keys)
    if isinstance(named, Problem):
        raise named
    return await directory.find(brand, named)


async def by_number(state: State, number: int) -> Known:
    """Who the customer of a number is now that was given out before: a link's, say."""
    directory: CustomerDirectory = state.customers
    return await directory.by_number(number)


async def settle_group(state: State, brand: Brand, customer: int) -> Known:
    """What to do when the ledger says that a customer has moved: make it agree with the look-ups, and say who she is now."""
    directory: CustomerDirectory = state.customers
    ledger: Ledger = state.ledger
    return await directory.settle(ledger, brand, customer)
