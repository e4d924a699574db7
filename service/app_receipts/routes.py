"""App devices and receipts over HTTP. Receipts need no API key: the device's signature is the proof."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from service.admission.client_networks import client_network
from service.api_reference.document import problems
from service.app_receipts import devices, receipts
from service.app_receipts.schemas import (
    AppDeviceRequest,
    AppDeviceResponse,
    AppReceiptResult,
    AppReceiptsRequest,
    receipt_result,
)
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.http.batch_results import Results, results_of
from service.http.injection import Injected
from service.http.pagination import LIMIT_DEFAULT, AfterSeq, Limit, Page, page

if TYPE_CHECKING:
    from service.services import Services


@post(
    "/v1/app-devices",
    guards=[requires(Scope.LINKS_WRITE)],
    tags=["app receipts"],
    responses=problems("device_taken", "too_many_devices", "customer_erased", "identity_conflict", "beyond_this_key"),
)
async def enrol_app_device(
    data: JSONBody[AppDeviceRequest], services: Injected[Services], principal: Injected[Principal]
) -> Response[AppDeviceResponse]:
    """Enrol the device of a customer, so that your app can report what they do with push messages.

    Your backend does it when the customer signs in, with the public key that the app has made. The same key again is answered
    200, with the device as it is. A customer has at most ten.
    """
    enrolled, is_new = await devices.enrol(services, principal, data)
    return Response(enrolled, status_code=201 if is_new else 200)


OfCustomer = Annotated[
    str, QueryParameter(description="The customer, by your id or `cus_`.", schema_extra={"examples": ["crm-42"]})
]


@get(
    "/v1/app-devices",
    guards=[requires(Scope.CUSTOMERS_READ)],
    tags=["app receipts"],
    responses=problems("not_found", "customer_erased"),
)
async def list_app_devices(
    customer: OfCustomer,
    services: Injected[Services],
    principal: Injected[Principal],
    after: AfterSeq = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[AppDeviceResponse]:
    """List the devices of a customer, oldest first, including revoked ones."""
    found = await devices.show(services, principal.brand, customer, after=after or 0, limit=limit + 1)
    listed = page(found, limit=limit, cursor=lambda device: device.device_no)
    today = principal.brand.calendar.day(await services.clocks.now(principal.brand))
    return Page(items=[each.shown(today) for each in listed.items], next=listed.next)


@post(
    "/v1/app-devices/{device:str}/revoke",
    guards=[requires(Scope.LINKS_WRITE)],
    status_code=200,
    tags=["app receipts"],
    responses=problems("not_found"),
)
async def revoke_app_device(
    device: FromPath[str], services: Injected[Services], principal: Injected[Principal]
) -> AppDeviceResponse:
    """Revoke a device for good, for example when the customer signs out: what it signed earns nothing any more.

    What it has earned stays. Revoking again returns the same answer. Its key cannot be enrolled again.
    """
    return await devices.revoke(services, principal, device)


@post(
    "/v1/app-receipts",
    status_code=200,
    tags=["app receipts"],
    responses=problems("too_many_guesses", "overloaded", "database_unavailable"),
)
async def report_app_receipts(
    data: JSONBody[AppReceiptsRequest], services: Injected[Services], request: Request[Any, Any, Any]
) -> Results[AppReceiptResult]:
    """Report what the customer did with push messages: your app sends it, and signs each receipt. Needs no API key.

    Each act is paid once, however many report it. Send a receipt again, as it was, until it is answered; a problem that is not
    `retryable` is final.
    """
    answers = await receipts.report(services, data, client_network(request.client.host if request.client else ""))
    return results_of(answers, receipt_result, request_id=request.scope["state"]["request_id"])


route_handlers: list[Any] = [enrol_app_device, list_app_devices, revoke_app_device, report_app_receipts]
