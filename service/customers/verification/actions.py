"""Proof that a name is the customer's: the brand sends it, and takes it back.

verify, unverify         one transaction each: the name's state, the customer's, the history, the audit trail
list_identities          what a customer is called, without the names themselves
list_verifications       what was proved and withdrawn of one name
identities_of            the identities of names that the caller knows

We prove nothing ourselves: the brand sends the one-time password, or signs the customer in.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth import looks
from service.auth.audit_trail import record
from service.auth.principal import Principal
from service.brands.brand import Brand
from service.customers import queries as customer_queries
from service.customers.identities import Identity, IdentityKind, OurNumber, named
from service.customers.queries import Customer
from service.customers.schemas import CustomerRef, IdentityResponse, Kind
from service.customers.verification import queries
from service.customers.verification.queries import IdentityState, Verification
from service.customers.verification.rules import Step, on_proof, on_withdrawal, reveals_name
from service.customers.verification.schemas import UnverifyRequest, VerificationResponse, VerifyRequest
from service.http.identifiers import customer_id, identity_id, key_id, parse_identity_id
from service.http.pagination import Page, page
from service.http.problems import Problem, invalid_field, not_found
from service.storage.database import driver_of

if TYPE_CHECKING:
    from service.services import Services

_AHEAD_MAX = timedelta(minutes=5)
"""How far a clock of the brand's may be ahead of ours; what was proved in that time was proved now."""

_KINDS: dict[int, Kind] = {
    IdentityKind.ID: "id",
    IdentityKind.EMAIL: "email",
    IdentityKind.PHONE: "phone",
    IdentityKind.DEVICE: "device",
}
_KEPT_AS_IT_IS = "is stored as sent, so it must not contain an address, phone number or name of the customer"


async def verify(services: Services, principal: Principal, public_id: str, wanted: VerifyRequest) -> IdentityResponse:
    """Record a proof that a name is the customer's. The first counts; further ones are kept, repeated ones change nothing."""
    brand = principal.brand
    now = await services.clocks.now(brand)
    if wanted.at is not None and wanted.at > now + _AHEAD_MAX:
        raise invalid_field("/at", "must not lie in the future")
    async with _locked(services, brand, public_id) as (connection, driver, name, known):
        _check_text(services, brand, name, "/proof", wanted.proof)
        recorded_as = await queries.find_proof(driver, name.identity_no, wanted.method, wanted.proof)
        step = on_proof(name.verified_by, recorded_as)
        if step is Step.REFUSE:
            raise Problem("proof_withdrawn", "This proof was withdrawn before; send another one.")
        if step is not Step.NOTHING:
            at = now if wanted.at is None else min(wanted.at, now)
            added = await queries.add_proof(
                driver, brand.brand_id, name.identity_no, wanted.method, wanted.proof, at, principal.api_key_id
            )
            if step is Step.VERIFY:
                await queries.set_state(driver, name.identity_no, added)
                await customer_queries.refresh_verified(driver, [known.customer])
            told = {**_audit_details(name, known), "method": wanted.method}
            name = await queries.state(driver, brand.brand_id, name.identity_no)
            # Not the proof: the brand may have to have it erased, and nothing is ever removed from the trail.
            await record(connection, principal, "identity.verify", public_id, after=told)
    return _answer(services, brand, name, known)


async def unverify(services: Services, principal: Principal, public_id: str, wanted: UnverifyRequest) -> IdentityResponse:
    """Withdraw the proof of a name. Repeating it changes nothing."""
    brand = principal.brand
    now = await services.clocks.now(brand)
    async with _locked(services, brand, public_id) as (connection, driver, name, known):
        _check_text(services, brand, name, "/reason", wanted.reason)
        if on_withdrawal(name.verified_by) is Step.WITHDRAW:
            await queries.add_withdrawal(driver, brand.brand_id, name.identity_no, wanted.reason, now, principal.api_key_id)
            await queries.set_state(driver, name.identity_no, None)
            await customer_queries.refresh_verified(driver, [known.customer])
            told = _audit_details(name, known)
            name = await queries.state(driver, brand.brand_id, name.identity_no)
            await record(connection, principal, "identity.unverify", public_id, after=told)
    return _answer(services, brand, name, known)


async def list_identities(services: Services, brand: Brand, own_id: str, *, after: int, limit: int) -> Page[IdentityResponse]:
    """A customer's names, under all numbers they ever had; ``own_id`` may be one of these numbers."""
    directory = services.customers
    person = named(CustomerRef(id=own_id), brand.brand_id, directory.keys, at=None)
    if isinstance(person, Problem):
        raise person
    if isinstance(person, OurNumber):
        known = await directory.find_number(brand, person.number)
        if known is None:
            raise not_found("customer")
    else:
        (known,) = await directory.find_each(brand, [person])
        if known is None:
            return Page(items=[], next=None)
    looks.see(known.customer)
    numbers = [known.customer, *known.former]
    found = await queries.states_of_customer(services.pool, numbers, after=after, limit=limit + 1)
    shown = page(found, limit=limit, cursor=lambda name: name.identity_no)
    return Page(items=[_response(brand, name, known) for name in shown.items], next=shown.next)


async def list_verifications(
    services: Services, brand: Brand, public_id: str, *, after: int, limit: int
) -> Page[VerificationResponse]:
    """The proofs and withdrawals of a name, oldest first."""
    name = await queries.state(services.pool, brand.brand_id, _number(brand, public_id))
    if name is None:
        raise not_found("identity")
    found = await queries.history(services.pool, name.identity_no, after=after, limit=limit + 1)
    return page([_entry(each) for each in found], limit=limit, cursor=lambda each: each.entry)


async def identities_of(
    services: Services, brand: Brand, people: Sequence[tuple[Sequence[Identity], Customer]]
) -> list[list[IdentityResponse]]:
    """The identities of each of ``people``, for the names given that are theirs."""
    macs = customer_queries.macs_of([name for names, _ in people for name in names])
    found = await queries.states_of_macs(services.pool, macs)
    answers: list[list[IdentityResponse]] = []
    for names, known in people:
        numbers = {known.customer, *known.former}
        stored = [found[each.mac] for name in names for each in name.stored_as if each.mac in found]
        answers.append([_response(brand, name, known) for name in stored if name.customer in numbers])
    return answers


@asynccontextmanager
async def _locked(
    services: Services, brand: Brand, public_id: str
) -> AsyncGenerator[tuple[AsyncConnection, asyncpg.Connection[Any], IdentityState, Customer]]:
    """A transaction in which nobody else verifies or merges, with a name of the brand's and whose it is.

    Raises ``not_found``, and whatever is raised within undoes it.
    """
    engine = services.engine
    identity_no = _number(brand, public_id)
    async with engine.begin() as connection:
        driver = await driver_of(connection)
        await customer_queries.lock(driver, brand)
        name = await queries.state(driver, brand.brand_id, identity_no)
        known = None if name is None else await customer_queries.find_by_number(driver, name.customer)
        if name is None or known is None:
            raise not_found("identity")
        yield connection, driver, name, known


def _number(brand: Brand, public_id: str) -> int:
    parsed = parse_identity_id(public_id)
    if parsed is None or parsed[0] != brand.brand_id:
        raise not_found("identity")
    return parsed[1]


def _check_text(services: Services, brand: Brand, name: IdentityState, pointer: str, text: str) -> None:
    directory = services.customers
    if reveals_name(text, directory.keys, brand.brand_id, IdentityKind(name.kind), name.mac):
        raise invalid_field(pointer, _KEPT_AS_IT_IS)


def _audit_details(name: IdentityState, known: Customer) -> dict[str, str]:
    """What the audit trail records of a name: never the name itself."""
    return {"customer": customer_id(known.customer), "kind": _KINDS[name.kind]}


def _answer(services: Services, brand: Brand, name: IdentityState | None, known: Customer) -> IdentityResponse:
    directory = services.customers
    directory.forget([known.customer])
    assert name is not None
    return _response(brand, name, known)


def _response(brand: Brand, name: IdentityState, known: Customer) -> IdentityResponse:
    return IdentityResponse(
        identity_id=identity_id(brand.brand_id, name.identity_no),
        kind=_KINDS[name.kind],
        customer=customer_id(known.customer),
        state="unverified" if name.verified_by is None else "verified",
        verified_at=name.verified_at,
        method=name.method,
        proof=name.proof,
        since=name.since,
    )


def _entry(each: Verification) -> VerificationResponse:
    return VerificationResponse(
        entry=each.verification_no,
        act="unverify" if each.method is None else "verify",
        at=each.happened_at,
        method=each.method,
        proof=each.proof,
        reason=each.reason,
        recorded_at=each.recorded_at,
        principal=key_id(each.api_key_id),
    )
