"""What a customer has, and what happened to it: balances and statements, by id or by a name in a body."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.auth import looks
from service.brands.brand import Brand
from service.customers import actions
from service.customers.queries import Customer
from service.customers.schemas import (
    BalanceRequest,
    BalanceResponse,
    CustomerRef,
    CustomerWithPoints,
    StatementEntry,
    StatementRequest,
)
from service.http.filters import read_date
from service.http.identifiers import customer_id as public_number
from service.http.pagination import LIMIT_DEFAULT, Page, page

if TYPE_CHECKING:
    from service.services import Services


async def balance(services: Services, brand: Brand, customer_id: str) -> BalanceResponse:
    """What a customer can spend, by last day, and what is held."""
    found = await actions.find(services, brand, CustomerRef(id=customer_id))
    return await _balance(services, brand, found, shown_as=customer_id)


async def balance_of(services: Services, brand: Brand, wanted: BalanceRequest) -> BalanceResponse:
    """The same for the customer named in a body."""
    found = await actions.find(services, brand, wanted.customer, at="/customer")
    return await _balance(services, brand, found, shown_as=None if found is None else public_number(found.named))


async def _balance(services: Services, brand: Brand, found: Customer | None, *, shown_as: str | None) -> BalanceResponse:
    if found is None:
        return BalanceResponse.of(shown_as, None)
    known, has = await actions.look(services, brand, found)
    survivor = None if known.named == known.customer else public_number(known.customer)
    return BalanceResponse.of(shown_as, has, merged_into=survivor)


async def with_points(
    services: Services, brand: Brand, *, expires_by: str | None, after: int | None, limit: int
) -> Page[CustomerWithPoints]:
    """Customers who can spend points, by number; or those alone who lose some by the end of a day."""
    day = None if expires_by is None else read_date("?expires_by", expires_by)
    found, more = await services.ledger.wallets(brand.book, expires_by=day, after=after or 0, limit=limit)
    looks.see(*(customer for customer, _ in found))
    items = [CustomerWithPoints.of(customer, has, day) for customer, has in found]
    return Page(items=items, next=None if more is None else str(more))


async def statement(
    services: Services, brand: Brand, customer_id: str, *, after: int | None = None, limit: int = LIMIT_DEFAULT
) -> Page[StatementEntry]:
    """What changed a customer's spendable points, newest first."""
    known = await actions.find(services, brand, CustomerRef(id=customer_id), now=True)
    return await _statement(services, brand, known, after=after, limit=limit)


async def statement_of(services: Services, brand: Brand, wanted: StatementRequest) -> Page[StatementEntry]:
    """The same for the customer named in a body."""
    known = await actions.find(services, brand, wanted.customer, now=True, at="/customer")
    after = None if wanted.after is None else int(wanted.after)
    return await _statement(services, brand, known, after=after, limit=wanted.limit)


async def _statement(
    services: Services, brand: Brand, known: Customer | None, *, after: int | None, limit: int
) -> Page[StatementEntry]:
    if known is None:
        return Page(items=[], next=None)
    if after is None and limit == LIMIT_DEFAULT:
        newest = services.statements
        entries = await newest.get((brand.book, known.customer)) or []
    else:
        ledger = services.ledger
        entries = await ledger.statement(brand.book, known.customer, before=after, limit=limit + 1)
    shown = [StatementEntry.of(entry, brand.book.book_id) for entry in entries]
    return page(shown, limit=limit, cursor=lambda entry: entry.seq)
