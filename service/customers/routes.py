"""Customers over HTTP: what they have, and what happened to it. The brand names them by its own id."""

from __future__ import annotations

from typing import Any

from litestar import get
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath

from ledger import Ledger
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.customers import actions
from service.customers.schemas import BalanceResponse, CustomerRef, StatementEntry
from service.pagination import LIMIT_DEFAULT, AfterSeq, Limit, Page, page


@get("/v1/customers/{customer_id:str}/balance", guards=[requires(Scope.CUSTOMERS_READ)], tags=["customers"])
async def get_balance(
    customer_id: FromPath[str], ledger: NamedDependency[Ledger], principal: NamedDependency[Principal], state: State
) -> BalanceResponse:
    """What a customer can spend, by last day. A customer nobody has reported yet has nothing, and is not ``known``."""
    brand = principal.brand
    known = await actions.find(state, brand, CustomerRef(id=customer_id))
    balance = None if known is None else await ledger.balance(brand.book, known.customer)
    return BalanceResponse.of(customer_id, balance)


@get("/v1/customers/{customer_id:str}/statement", guards=[requires(Scope.CUSTOMERS_READ)], tags=["customers"])
async def get_statement(
    customer_id: FromPath[str],
    ledger: NamedDependency[Ledger],
    principal: NamedDependency[Principal],
    state: State,
    after: AfterSeq = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[StatementEntry]:
    """Every change of a customer's spendable points, newest first."""
    brand = principal.brand
    known = await actions.find(state, brand, CustomerRef(id=customer_id))
    entries = [] if known is None else await ledger.statement(brand.book, known.customer, before=after, limit=limit + 1)
    shown = [StatementEntry.of(entry, brand.book.book_id) for entry in entries]
    return page(shown, limit=limit, cursor=lambda entry: entry.seq)


route_handlers: list[Any] = [get_balance, get_statement]
