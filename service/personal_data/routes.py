"""Everything held of a customer, over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestar import get
from litestar.openapi import ResponseSpec
from litestar.params import FromPath
from litestar.response import Stream

from service.api_reference.document import problems
from service.auth.audit_trail import record
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.customers import actions as customers
from service.customers.schemas import CustomerRef
from service.http.identifiers import customer_id as public_number
from service.http.injection import Injected
from service.http.problems import not_found
from service.personal_data.document import document
from service.personal_data.schemas import PersonalData

if TYPE_CHECKING:
    from service.services import Services

_DOCUMENT = ResponseSpec(
    data_container=PersonalData, generate_examples=False, description="The document, streamed as it is read."
)


@get(
    "/v1/customers/{customer_id:str}/export",
    guards=[requires(Scope.CUSTOMERS_READ)],
    tags=["customers"],
    responses={200: _DOCUMENT} | problems("not_found", "customer_erased"),
)
async def export_customer(customer_id: FromPath[str], services: Injected[Services], principal: Injected[Principal]) -> Stream:
    """Get everything that is held of a customer, for them. It is recorded in the audit trail."""
    known = await customers.find(services, principal.brand, CustomerRef(id=customer_id), now=True)
    if known is None:
        raise not_found("customer")
    known, balance = await customers.look(services, principal.brand, known)
    async with services.engine.begin() as connection:
        await record(connection, principal, "customer.export", public_number(known.customer))
    headers = {"Content-Disposition": f'attachment; filename="{public_number(known.customer)}.json"'}
    content = document(services, principal.brand, known, balance)
    return Stream(content, media_type="application/json", headers=headers)


route_handlers: list[Any] = [export_customer]
