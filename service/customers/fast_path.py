"""What a customer is shown to have, and what happened to it.

Each is asked for often, by tills and apps, so the plain request for it comes here without the framework, which would cost
more than the answer: ``thin_reads`` is put in front of the application. Every other request for the same goes to the general
route, which is the one that is described and that says what is right: a test sends both the same.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
from litestar.types import ASGIApp, Receive, Send

from service.auth.guards import admit
from service.auth.scopes import Scope
from service.brands.brand import Brand
from service.customers import actions
from service.customers.queries import Known
from service.customers.schemas import BalanceRequest, BalanceResponse, CustomerRef, StatementEntry, StatementRequest
from service.http.fast_path import authorization_without_body, send_json
from service.http.identifiers import customer_id as public_number
from service.http.pagination import LIMIT_DEFAULT, Page, page
from service.http.problems import send_problem

if TYPE_CHECKING:
    from service.services import Services

# Ids with other characters are as good; they go the general way.
_PLAIN = re.compile("/v1/customers/([0-9A-Za-z._~@+-]{1,256})/(balance|statement)")

_encode = msgspec.json.Encoder().encode


async def balance(services: Services, brand: Brand, customer_id: str) -> BalanceResponse:
    """What a customer can spend, by last day, and what is held."""
    found = await actions.find(services, brand, CustomerRef(id=customer_id))
    return await _balance(services, brand, found, shown_as=customer_id)


async def balance_of(services: Services, brand: Brand, wanted: BalanceRequest) -> BalanceResponse:
    """The same of whoever is named in a body."""
    found = await actions.find(services, brand, wanted.customer, at="/customer")
    return await _balance(services, brand, found, shown_as=None if found is None else public_number(found.named))


async def _balance(services: Services, brand: Brand, found: Known | None, *, shown_as: str | None) -> BalanceResponse:
    if found is None:
        return BalanceResponse.of(shown_as, None)
    known, has = await actions.look(services, brand, found)
    survivor = None if known.named == known.customer else public_number(known.customer)
    return BalanceResponse.of(shown_as, has, merged_into=survivor)


async def statement(
    services: Services, brand: Brand, customer_id: str, *, after: int | None = None, limit: int = LIMIT_DEFAULT
) -> Page[StatementEntry]:
    """What changed a customer's spendable points, newest first."""
    known = await actions.find(services, brand, CustomerRef(id=customer_id), now=True)
    return await _statement(services, brand, known, after=after, limit=limit)


async def statement_of(services: Services, brand: Brand, wanted: StatementRequest) -> Page[StatementEntry]:
    """The same of whoever is named in a body."""
    known = await actions.find(services, brand, wanted.customer, now=True, at="/customer")
    after = None if wanted.after is None else int(wanted.after)
    return await _statement(services, brand, known, after=after, limit=wanted.limit)


async def _statement(
    services: Services, brand: Brand, known: Known | None, *, after: int | None, limit: int
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


def thin_reads(services: Services, general: ASGIApp) -> ASGIApp:
    """Put the plain requests in front of ``general``, the whole application, whose ``state`` they share."""

    async def routed(scope: Any, receive: Receive, send: Send) -> None:
        asked = _PLAIN.fullmatch(scope["path"]) if scope["type"] == "http" and scope["method"] == "GET" else None
        sent = None if asked is None else authorization_without_body(scope)
        if asked is None or sent is None:
            await general(scope, receive, send)
            return
        customer_id, what = asked.groups()
        scope["path_template"] = f"/v1/customers/{{customer_id}}/{what}"
        try:
            principal = await admit(services, scope, sent, Scope.CUSTOMERS_READ)
            read = balance if what == "balance" else statement
            body = _encode(await read(services, principal.brand, customer_id))
        except Exception as error:
            await send_problem(scope, send, error)
            return
        await send_json(send, 200, body)

    return routed
