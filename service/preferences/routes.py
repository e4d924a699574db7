"""Preferences over HTTP: a page and JSON behind a customer's link, and a read for the brand's systems."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from litestar import HttpMethod, Request, Response, get, post, put, route
from litestar.params import FromPath

from service.admission.limits import FORM_BYTES_MAX
from service.api_reference.document import problems
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.customer_pages.access import Headers, OwnPage, answered, open_page, require_page_of_the_brand, wants_json
from service.customers import actions as customers
from service.customers.schemas import CustomerRef
from service.evidence.bot_detection import is_pressed_on_our_page
from service.http.bodies import read_struct
from service.http.injection import Injected
from service.http.problems import not_found
from service.link_pages.pages import Page
from service.pages.rendering import Answer, redirect
from service.preferences import actions
from service.preferences.pages import preferences_page, read_form
from service.preferences.schemas import Earned, PreferencesAnswer, PreferencesRequest, PreferencesResponse
from service.tokens import receipt as claim_receipts
from service.tokens.customer import CustomerTokenKind
from service.tokens.receipt import ClaimReceipt

if TYPE_CHECKING:
    from service.services import Services


@get(
    "/v1/customers/{customer_id:str}/preferences",
    guards=[requires(Scope.CUSTOMERS_READ)],
    tags=["customers"],
    responses=problems("not_found"),
)
async def get_preferences(
    customer_id: FromPath[str], principal: Injected[Principal], services: Injected[Services]
) -> PreferencesResponse:
    """Get a customer's preferences: channels, frequency, and whether they want rewards."""
    brand = principal.brand
    known = await customers.find(services, brand, CustomerRef(id=customer_id), now=True)
    if known is None:
        raise not_found("customer")
    return await actions.read(services, OwnPage(brand, known, await services.clocks.now(brand)))


@route("/preferences/{token:str}", http_method=[HttpMethod.GET, HttpMethod.HEAD], include_in_schema=False)
async def show_preferences(
    token: FromPath[str], services: Injected[Services], request: Request[Any, Any, Any]
) -> Response[Any]:
    """Show a customer their preferences."""

    async def show(headers: Headers, now: datetime) -> Answer | msgspec.Struct:
        page = await open_page(services, token, CustomerTokenKind.PREFERENCES, headers, now=now)
        preferences = await actions.read(services, page)
        return preferences if wants_json(headers) else preferences_page(page.brand, preferences)

    return await answered(request, show)


@put("/preferences/{token:str}", request_max_body_size=FORM_BYTES_MAX, include_in_schema=False)
async def put_preferences(token: FromPath[str], services: Injected[Services], request: Request[Any, Any, Any]) -> Response[Any]:
    """Save a customer's preferences, for pages that the brand builds itself."""

    async def show(headers: Headers, now: datetime) -> Answer | msgspec.Struct:
        page = await open_page(services, token, CustomerTokenKind.PREFERENCES, headers, now=now)
        require_page_of_the_brand(headers, page)
        earned = await actions.answer(services, page, await read_struct(request, PreferencesRequest))
        return PreferencesAnswer(await actions.read(services, page), earned)

    return await answered(request, show, as_json=True)


@post("/preferences/{token:str}", status_code=200, request_max_body_size=FORM_BYTES_MAX, include_in_schema=False)
async def post_preferences(
    token: FromPath[str], services: Injected[Services], request: Request[Any, Any, Any]
) -> Response[Any]:
    """Save the form, and redirect to a confirmation whose address carries no token."""

    async def show(headers: Headers, now: datetime) -> Answer | msgspec.Struct:
        page = await open_page(services, token, CustomerTokenKind.PREFERENCES, headers, now=now)
        preferences = await actions.read(services, page)
        form = read_form(await request.body(), preferences)
        if form is None or not is_pressed_on_our_page(headers):
            return preferences_page(page.brand, preferences, is_from_elsewhere=True)
        return _thank(services, page, await actions.answer(services, page, form), now)

    return await answered(request, show)


def _thank(services: Services, page: OwnPage, earned: Earned, now: datetime) -> Answer:
    is_paid = earned.outcome == "granted" and not earned.replayed
    receipt = ClaimReceipt(
        brand=page.brand.code,
        destination_no=0,
        campaign_no=0,
        campaign_version=0,
        page=Page.PREFERENCES_REWARDED if is_paid else Page.PREFERENCES_SAVED,
        points=earned.points if is_paid else 0,
        balance=earned.balance if is_paid else None,
        issued_at=int(now.timestamp()),
        made_by=page.made_by,
        message_id=page.message_id,
    )
    return redirect(f"/r/done/{claim_receipts.seal(receipt, services.token_keys.receipts)}")


route_handlers: list[Any] = [get_preferences, show_preferences, put_preferences, post_preferences]
