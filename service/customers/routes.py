"""Customers over HTTP: what a brand calls them, what they have, and what happened to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestar import Request, get, post, put
from litestar.params import FromPath, JSONBody

from service.admission.limits import BATCH_BYTES_MAX
from service.api_reference.document import problems
from service.auth.guards import count_items, requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.customers import actions, fast_path, verification
from service.customers.schemas import (
    BalanceRequest,
    BalanceResponse,
    CustomerAnswer,
    CustomerBatch,
    CustomerResults,
    IdentityResponse,
    LookupBatch,
    LookupResults,
    MergeRequest,
    NamesRequest,
    SplitAnswer,
    SplitRequest,
    StatementEntry,
    StatementRequest,
    UnverifyRequest,
    VerificationResponse,
    VerifyRequest,
)
from service.http.injection import Injected
from service.http.pagination import LIMIT_DEFAULT, AfterSeq, Limit, Page

if TYPE_CHECKING:
    from service.services import Services

_READ = [requires(Scope.CUSTOMERS_READ)]
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
    """Say what else a customer is called. From then on she may redeem.

    What an email, phone or device had earned by itself is hers: it is moved in the books. One that belongs to a customer with
    another id of yours is a conflict, and nothing is changed. A name is not verified by being attached.
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
) -> CustomerResults:
    """Say what else many customers are called, in order. What is wrong with one item concerns that item alone."""
    await count_items(request, principal, len(data))
    answers = await actions.attach(services, principal.brand, await data.items())
    return CustomerResults.of(answers, request_id=request.scope["state"]["request_id"])


@post(
    "/v1/customers/lookup",
    guards=_READ,
    status_code=200,
    request_max_body_size=BATCH_BYTES_MAX,
    tags=["customers"],
)
async def look_up_customers(
    data: JSONBody[LookupBatch],
    principal: Injected[Principal],
    services: Injected[Services],
    request: Request[Any, Any, Any],
) -> LookupResults:
    """What is known of many customers, by any of their names, and what they can spend. Nobody is created."""
    await count_items(request, principal, len(data))
    answers = await actions.look_up(services, principal.brand, await data.items())
    return LookupResults.of(answers, request_id=request.scope["state"]["request_id"])


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
    """Make another customer one with this one, who survives. If that was a mistake, split them.

    The other's points, holds and names are hers from then on, and what is reported of the other later. The same again changes
    nothing. At most eight can be one.
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
    """Undo a merge: let another customer, who was merged into this one, be one of her own again.

    All names that were the other's before the merge are hers again, and what she had brought and is still there. What was spent
    since stays spent. The same again changes nothing.
    """
    return await actions.split(services, principal, customer_id, data)


@post("/v1/customers/balance", guards=_READ, status_code=200, tags=["customers"], responses=problems("not_found"))
async def get_balance_by_name(
    data: JSONBody[BalanceRequest], principal: Injected[Principal], services: Injected[Services]
) -> BalanceResponse:
    """What a customer can spend, of one known by an email, phone or device alone: their name stays out of the address."""
    return await fast_path.balance_of(services, principal.brand, data)


@post("/v1/customers/statement", guards=_READ, status_code=200, tags=["customers"], responses=problems("not_found"))
async def get_statement_by_name(
    data: JSONBody[StatementRequest], principal: Injected[Principal], services: Injected[Services]
) -> Page[StatementEntry]:
    """Every change of a customer's spendable points, newest first, of one known by an email, phone or device alone."""
    return await fast_path.statement_of(services, principal.brand, data)


@get("/v1/customers/{customer_id:str}/balance", guards=_READ, tags=["customers"], responses=problems("not_found"))
async def get_balance(
    customer_id: FromPath[str], principal: Injected[Principal], services: Injected[Services]
) -> BalanceResponse:
    """What a customer can spend, by last day. A customer nobody has reported yet has nothing, and is not ``known``."""
    return await fast_path.balance(services, principal.brand, customer_id)


@get("/v1/customers/{customer_id:str}/statement", guards=_READ, tags=["customers"], responses=problems("not_found"))
async def get_statement(
    customer_id: FromPath[str],
    principal: Injected[Principal],
    services: Injected[Services],
    after: AfterSeq = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[StatementEntry]:
    """Every change of a customer's spendable points, newest first. Who was merged into another has the other's."""
    return await fast_path.statement(services, principal.brand, customer_id, after=after, limit=limit)


@get("/v1/customers/{customer_id:str}/identities", guards=_READ, tags=["customers"], responses=problems("not_found"))
async def list_identities(
    customer_id: FromPath[str],
    principal: Injected[Principal],
    services: Injected[Services],
    after: AfterSeq = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[IdentityResponse]:
    """What a customer is called, and what of it is verified. The names themselves are not kept here, and not told.

    ``customer_id`` is the brand's own id, or our number of her (``cus_``). Who was merged into another has the other's.
    """
    return await verification.list_identities(services, principal.brand, customer_id, after=after or 0, limit=limit)


@post(
    "/v1/identities/{identity_id:str}/verify",
    guards=_WRITE,
    status_code=200,
    tags=["customers"],
    responses=problems("not_found", "proof_withdrawn"),
)
async def verify_identity(
    identity_id: FromPath[str],
    data: JSONBody[VerifyRequest],
    principal: Injected[Principal],
    services: Injected[Services],
) -> IdentityResponse:
    """Say that a name is proved to be the customer's. From then on she may redeem under it.

    The proof itself is yours to get: a one-time password, a sign-on. The same again changes nothing; another proof is kept
    beside the first. One that was withdrawn before is refused.
    """
    return await verification.verify(services, principal, identity_id, data)


@post(
    "/v1/identities/{identity_id:str}/unverify",
    guards=_WRITE,
    status_code=200,
    tags=["customers"],
    responses=problems("not_found"),
)
async def unverify_identity(
    identity_id: FromPath[str],
    data: JSONBody[UnverifyRequest],
    principal: Injected[Principal],
    services: Injected[Services],
) -> IdentityResponse:
    """Withdraw all that was proved of a name: it is somebody else's, say. The same again changes nothing."""
    return await verification.unverify(services, principal, identity_id, data)


@get("/v1/identities/{identity_id:str}/verifications", guards=_READ, tags=["customers"], responses=problems("not_found"))
async def list_verifications(
    identity_id: FromPath[str],
    principal: Injected[Principal],
    services: Injected[Services],
    after: AfterSeq = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[VerificationResponse]:
    """What was proved and withdrawn of a name, oldest first."""
    return await verification.list_verifications(services, principal.brand, identity_id, after=after or 0, limit=limit)


route_handlers: list[Any] = [
    put_customer,
    put_customers,
    look_up_customers,
    merge_customers,
    split_customer,
    get_balance,
    get_balance_by_name,
    get_statement,
    get_statement_by_name,
    list_identities,
    verify_identity,
    unverify_identity,
    list_verifications,
]
