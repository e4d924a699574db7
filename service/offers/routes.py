"""Offers over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from litestar import get
from litestar.params import FromPath, QueryParameter

from service.api_reference.document import problems
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.http.injection import Injected
from service.http.pagination import LIMIT_DEFAULT, AfterSeq, Limit, Page
from service.offers import reading
from service.offers.reading import Wanted
from service.offers.schemas import OfferResponse, State

if TYPE_CHECKING:
    from service.services import Services

OfState = Annotated[State | None, QueryParameter(name="state", description="How far they have come, as it is noted.")]
OfGroup = Annotated[str | None, QueryParameter(description="Your id of what is offered.")]
ToCustomer = Annotated[str | None, QueryParameter(description="The customer, by your id or `cus_`.")]
OneCustomer = Annotated[
    str | None, QueryParameter(description="The customer, by your id or `cus_`. Required if the offer was made to several.")
]


@get("/v1/offers", guards=[requires(Scope.GRANTS_READ)], tags=["links"], responses=problems("not_found", "customer_erased"))
async def list_offers(
    principal: Injected[Principal],
    services: Injected[Services],
    in_state: OfState = None,
    offer_group: OfGroup = None,
    customer: ToCustomer = None,
    after: AfterSeq = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[OfferResponse]:
    """List offers in the order in which they were made.

    `state` finds offers by what is noted, which is right after a moment; the `state` of an item is what the book says now.
    """
    numbers = await reading.numbers_of(services, principal.brand, customer)
    wanted = Wanted(state=in_state, group=offer_group, numbers=numbers)
    found = await reading.find(services, principal.brand, wanted, after=after or 0, limit=limit + 1)
    items = await reading.describe(services, principal.brand, found[:limit])
    return Page(items=items, next=str(found[limit - 1].offer_no) if len(found) > limit else None)


@get(
    "/v1/offers/{offer_group:str}",
    guards=[requires(Scope.GRANTS_READ)],
    tags=["links"],
    responses=problems("not_found", "customer_erased"),
)
async def get_offer(
    offer_group: FromPath[str],
    principal: Injected[Principal],
    services: Injected[Services],
    customer: OneCustomer = None,
) -> OfferResponse:
    """Get an offer to a customer: how far it has come, by which messages, and who claimed it."""
    return await reading.find_one(services, principal.brand, offer_group, customer)


route_handlers: list[Any] = [list_offers, get_offer]
