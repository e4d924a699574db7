"""Persons over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestar import Request, delete, get, post
from litestar.params import FromPath, JSONBody

from service.admission.limits import FORM_BYTES_MAX
from service.api_reference.document import problems
from service.auth.guards import caller_hash, requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.http.identifiers import parse_person_id
from service.http.injection import Injected
from service.http.pagination import LIMIT_DEFAULT, AfterNumber, Limit, Page, page
from service.http.problems import not_found
from service.persons import actions, guessing
from service.persons.queries import list_persons as queried
from service.persons.schemas import EnrolRequest, EnrolResponse, PersonResponse

if TYPE_CHECKING:
    from service.services import Services


@post(
    "/v1/persons/enrol",
    request_max_body_size=FORM_BYTES_MAX,
    tags=["keys"],
    summary="Enrol with an invitation",
    responses=problems("invitation_refused", "too_many_guesses"),
)
async def enrol_person(
    data: JSONBody[EnrolRequest], services: Injected[Services], request: Request[Any, Any, Any]
) -> EnrolResponse:
    """Turn an invitation into a key of your own. Needs no API key. The key is shown only in this response.

    An invitation is good once. If the response is lost, ask the operator for another.
    """
    return EnrolResponse.of(await guessing.enrol(services, data.invitation, request))


@get("/v1/persons", guards=[requires(Scope.AUDIT_READ, instead=Scope.ADMIN)], tags=["keys"])
async def list_persons(
    services: Injected[Services],
    principal: Injected[Principal],
    after: AfterNumber = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[PersonResponse]:
    """List the persons who work for the brand, in the order in which they were invited, including disabled ones."""
    found = await queried(services.engine, principal.brand.brand_id, after=after or 0, limit=limit + 1)
    listed = page(found, limit=limit, cursor=lambda person: person.person_id)
    return Page(items=[PersonResponse.of(each) for each in listed.items], next=listed.next)


@delete(
    "/v1/persons/{person_id:str}",
    guards=[requires(Scope.KEYS_WRITE)],
    status_code=200,
    tags=["keys"],
    responses=problems("not_found"),
)
async def disable_person(
    person_id: FromPath[str],
    services: Injected[Services],
    principal: Injected[Principal],
    request: Request[Any, Any, Any],
) -> PersonResponse:
    """Disable a person for good, and revoke their keys. Disabling again returns the same answer.

    Every process refuses the keys within one second. Minting keys that they registered are revoked too. Links they minted keep
    working: to revoke those as well, revoke the keys with `also=links`.
    """
    number = parse_person_id(person_id)
    if number is None:
        raise not_found("person")
    return PersonResponse.of(await actions.withdraw(services.engine, principal, caller_hash(request), number))


route_handlers: list[Any] = [enrol_person, list_persons, disable_person]
