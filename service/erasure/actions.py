"""Asking for a customer to be erased.

    ask          by a key of the brand's: it always waits for another person
    ask_oneself  by the customer, from a page of their own
    ERASE        how an approved request is carried out: it is written down, and the eraser does it when its notice is over

While points are held nobody may ask for it. Points that are held later make the eraser wait.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ledger import Ledger
from service.approvals import actions as approvals
from service.approvals.kinds import Approved, Kind, Tools, Wanted
from service.approvals.queries import Approval
from service.auth.audit_trail import record
from service.auth.principal import Principal
from service.brands.brand import Brand
from service.customer_pages.access import OwnPage
from service.customers import actions as customers
from service.customers.schemas import CustomerRef
from service.erasure import queries
from service.erasure.queries import Erasure
from service.erasure.schemas import ErasureRequest, ErasureResponse
from service.http.identifiers import customer_id, erasure_id, parse_customer_id
from service.http.problems import CODES, Problem, not_found
from service.settings import Settings

if TYPE_CHECKING:
    from service.services import Services


async def ask(services: Services, principal: Principal, own_id: str, *, forfeit_points: bool) -> Approval:
    """Ask for the customer with this id to be erased. Raises a problem if there is none, or points are held."""
    known = await customers.find(services, principal.brand, CustomerRef(id=own_id), now=True)
    if known is None:
        raise not_found("customer")
    await _require_nothing_held(services.ledger, principal.brand, known.customer)
    public = customer_id(known.customer)
    body = ErasureRequest(customer=public, forfeit_points=forfeit_points)
    wanted = Wanted(kind=ERASE, subject=public, body=body, amount=0, customer=known.customer)
    waits = await approvals.ask(services, principal, wanted)
    assert waits is not None
    return waits


async def ask_oneself(services: Services, page: OwnPage, *, forfeit_points: bool) -> Erasure:
    """Erase the customer whose page it is, after the notice unless they give up their points."""
    points = await _require_nothing_held(services.ledger, page.brand, page.known.customer)
    erases_at = _erases_at(services.settings, points=0 if forfeit_points else points)
    async with services.engine.begin() as connection:
        return await queries.keep(
            connection,
            brand_id=page.brand.brand_id,
            customer=page.known.customer,
            by_customer=True,
            erases_at=erases_at,
        )


async def _require_nothing_held(ledger: Ledger, brand: Brand, customer: int) -> int:
    """What the customer can spend. Raises a problem if points are held."""
    balance = await ledger.balance(brand.book, customer)
    if balance.held or balance.pending:
        raise Problem("points_held", CODES["points_held"].meaning)
    return balance.spendable


def _erases_at(settings: Settings, *, points: int) -> datetime:
    return datetime.now(UTC) + timedelta(days=settings.erasure_notice_days if points else 0)


async def _erase(tools: Tools, maker: Principal, approved: Approved[ErasureRequest]) -> ErasureResponse:
    brand = maker.brand
    number = parse_customer_id(approved.body.customer)
    assert number is not None
    # Points that are held since it was asked for put the erasure off, once it is due.
    balance = await tools.ledger.balance(brand.book, number)
    erases_at = _erases_at(tools.settings, points=0 if approved.body.forfeit_points else balance.spendable)
    async with tools.engine.begin() as connection:
        is_new = await approvals.claim(connection, approved.approval_no)
        made = await queries.keep(
            connection,
            brand_id=brand.brand_id,
            customer=number,
            asked_by=maker.api_key_id,
            approval_no=approved.approval_no,
            erases_at=erases_at,
        )
        if is_new:
            after = {"customer": approved.body.customer, "erases_at": made.erases_at.isoformat()}
            await record(connection, maker, "customer.erase", erasure_id(made.erasure_no), after=after)
    return made.response()


ERASE = Kind(name="customer.erase", request=ErasureRequest, execute=_erase, always=True)
