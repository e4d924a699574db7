"""Whose statement it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.brands.brand import Brand
from service.customers import actions as customers
from service.customers.queries import Customer
from service.customers.schemas import CustomerRef
from service.http.problems import not_found

if TYPE_CHECKING:
    from service.services import Services


async def customer_of(services: Services, brand: Brand, named: str) -> Customer:
    """The customer named in the path. Raises ``not_found`` if there is none."""
    known = await customers.find(services, brand, CustomerRef(id=named), now=True)
    if known is None:
        raise not_found("customer")
    return known


def numbers_of(known: Customer) -> list[int]:
    """All numbers of a customer."""
    return [known.customer, *known.former]
