"""Attaching names, merging and splitting over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestar import Request, post, put
from litestar.params import FromPath, JSONBody

from service.admission.limits import BATCH_BYTES_MAX
from service.api_reference.document import problems
from service.auth.guards import count_items, requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.customers.merges import actions
from service.customers.merges.schemas import (
    CustomerAnswer,
    CustomerBatch,
    CustomerResult,
    MergeRequest,
    NamesRequest,
    SplitAnswer,
    SplitRequest,
    customer_result,
)
from service.http.batch_results import Results, results_of
from service.http.injection import Injected

if TYPE_CHECKING:
    from service.services import Services

_WRITE = [requires(Scope.CUSTOMERS_WRITE)]


@put(
    "/v1/customers/{customer_id:str}",
    guards=_WRITE,
    tags=["customers"],
    responses=problems("not_found", "identity_conflict", "merge_limit_reached"),
)
async def put_customer(
    customer_id: FromPath[str],
    data: JSONBody[NamesRequest],
    principal: Injected[Principal],
    services: Injected[Services],
) -> CustomerAnswer:
    """Attach an email, phone or device to a customer. They can redeem from then on.

    Points earned under the attached name are moved to the customer. A name that belongs to a customer with a different id is
    a conflict, and nothing changes. Attaching a name does not verify it.
    """
    return await actions.attach_one(services, principal.brand, customer_id, data)


@post(
    "/v1/customers/batch",
    guards=_WRITE,
    status_code=200,
    request_max_body_size=BATCH_BYTES_MAX,
    tags=["customers"],
)
async def put_customers(
    data: JSONBody[CustomerBatch],
    principal: Injected[Principal],
    services: Injected[Services],
    request: Request[Any, Any, Any],
) -> Results[CustomerResult]:
    """Attach names to up to 10,000 customers, in order. Errors are per item."""
    await count_items(request, principal, len(data))
    answers = await actions.attach(services, principal.brand, await data.items())
    return results_of(answers, customer_result, request_id=request.scope["state"]["request_id"])


@post(
    "/v1/customers/{customer_id:str}/merge",
    guards=_WRITE,
    status_code=200,
    tags=["customers"],
    responses=problems("not_found", "merge_limit_reached"),
)
async def merge_customers(
    customer_id: FromPath[str],
    data: JSONBody[MergeRequest],
    principal: Injected[Principal],
    services: Injected[Services],
) -> CustomerAnswer:
    """Merge another customer into this one, who survives. Undo a mistaken merge with `split`.

    The other customer's points, holds and names move to the survivor, and later reports about them count for the survivor.
    Merging again changes nothing. At most eight customers can be merged into one.
    """
    return await actions.merge(services, principal, customer_id, data)


@post(
    "/v1/customers/{customer_id:str}/split",
    guards=_WRITE,
    status_code=200,
    tags=["customers"],
    responses=problems("not_found", "nothing_to_split"),
)
async def split_customer(
    customer_id: FromPath[str],
    data: JSONBody[SplitRequest],
    principal: Injected[Principal],
    services: Injected[Services],
) -> SplitAnswer:
    """Undo a merge: make a customer who was merged into this one separate again.

    They get back every name they had before the merge, and the points they brought that are still there. What was spent
    since stays spent. Splitting again changes nothing.
    """
    return await actions.split(services, principal, customer_id, data)


route_handlers: list[Any] = [
    put_customer,
    put_customers,
    merge_customers,
    split_customer,
]
