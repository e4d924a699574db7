"""Finding out who is meant: from what the brand calls a customer to her number in the book."""

from __future__ import annotations

from collections.abc import Sequence

from litestar.datastructures import State

from service.brands.brand import Brand
from service.customers.directory import CustomerDirectory, Known
from service.customers.identities import Identity, identities
from service.customers.schemas import CustomerRef
from service.problems import Problem


async def resolve(state: State, brand: Brand, refs: Sequence[CustomerRef], *, may_attach: bool = True) -> list[int | Problem]:
    """The customer's number for each of ``refs``, in order; whom nobody knows gets one. What is wrong is its own problem."""
    directory: CustomerDirectory = state.customers
    read = [identities(ref, brand.brand_id, directory.key) for ref in refs]
    people: list[list[Identity]] = [each for each in read if not isinstance(each, Problem)]
    numbers = iter(await directory.resolve(brand, people, may_attach=may_attach) if people else [])
    return [each if isinstance(each, Problem) else next(numbers) for each in read]


async def find(state: State, brand: Brand, ref: CustomerRef) -> Known | None:
    """The customer whom ``ref`` names, if there is one; nobody is created. Raises the ``Problem`` of a malformed ``ref``."""
    directory: CustomerDirectory = state.customers
    named = identities(ref, brand.brand_id, directory.key)
    if isinstance(named, Problem):
        raise named
    return await directory.find(named)
