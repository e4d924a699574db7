"""Verification over HTTP: a customer's names, and the proofs of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestar import get, post
from litestar.params import FromPath, JSONBody

from service.api_reference.document import problems
from service.auth import looks
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.customers.schemas import IdentityResponse
from service.customers.verification import actions
from service.customers.verification.schemas import UnverifyRequest, VerificationResponse, VerifyRequest
from service.http.injection import Injected
from service.http.pagination import LIMIT_DEFAULT, AfterSeq, Limit, Page

if TYPE_CHECKING:
    from service.services import Services

_READ = [requires(Scope.CUSTOMERS_READ)]
_WRITE = [requires(Scope.CUSTOMERS_WRITE)]


@get("/v1/customers/{customer_id:str}/identities", guards=_READ, tags=["customers"], responses=problems("not_found"))
async def list_identities(
    customer_id: FromPath[str],
    principal: Injected[Principal],
    services: Injected[Services],
    after: AfterSeq = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[IdentityResponse]:
    """List a customer's names and whether each is verified. The names themselves are not stored, and not returned.

    `customer_id` is the brand's own id, or our number (`cus_`). For a merged customer, the survivor's names are listed.
    """
    return await actions.list_identities(services, principal.brand, customer_id, after=after or 0, limit=limit)


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
    """Record that a name is proved to be the customer's. They can redeem under it from then on.

    You obtain the proof: a one-time password, a sign-on. Sending the same proof again changes nothing; a different one is
    kept beside the first. A proof that was withdrawn is refused.
    """
    return await actions.verify(services, principal, identity_id, data)


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
    """Withdraw all proofs of a name, for example because it is somebody else's. Repeating it changes nothing."""
    return await actions.unverify(services, principal, identity_id, data)


@get("/v1/identities/{identity_id:str}/verifications", guards=_READ, tags=["customers"], responses=problems("not_found"))
async def list_verifications(
    identity_id: FromPath[str],
    principal: Injected[Principal],
    services: Injected[Services],
    after: AfterSeq = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[VerificationResponse]:
    """List the proofs and withdrawals recorded for a name, oldest first."""
    looks.see_id(identity_id)
    return await actions.list_verifications(services, principal.brand, identity_id, after=after or 0, limit=limit)


route_handlers: list[Any] = [
    list_identities,
    verify_identity,
    unverify_identity,
    list_verifications,
]
