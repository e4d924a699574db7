"""Statements by role, over HTTP. A view shows no more than its scopes let a key read
elsewhere; without them it is refused, not shortened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from litestar import Response, get
from litestar.params import FromPath, QueryParameter

from service.api_reference.document import problems
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.http.identifiers import parse_position
from service.http.injection import Injected
from service.http.pagination import LIMIT_DEFAULT, AfterPosition, AfterSeq, Limit
from service.reports.routes import Format
from service.statements.audit import audit_statement
from service.statements.care import care_statement
from service.statements.csv_text import page_of
from service.statements.finance import finance_statement
from service.statements.marketing import marketing_statement
from service.statements.schemas import (
    AuditEntry,
    AuditStatement,
    CareEntry,
    CareStatement,
    FinanceEntry,
    FinanceStatement,
    MarketingEntry,
    MarketingStatement,
)

if TYPE_CHECKING:
    from service.services import Services

Since = Annotated[
    str | None,
    QueryParameter(name="from", description="The first accounting date. Without it: the first of the month of `to`."),
]
Until = Annotated[str | None, QueryParameter(name="to", description="The last accounting date. Without it: today.")]


@get(
    "/v1/customers/{customer_id:str}/statement/care",
    guards=[requires(Scope.CUSTOMERS_READ)],
    tags=["customers"],
    responses=problems("not_found", "customer_erased"),
)
async def get_care_statement(
    customer_id: FromPath[str],
    services: Injected[Services],
    principal: Injected[Principal],
    after: AfterPosition = None,
    limit: Limit = LIMIT_DEFAULT,
    format: Format = "json",  # noqa: A002 - the parameter's name
) -> Response[CareStatement]:
    """Get everything about a customer in words: what they earned and spent, why not, and until when points are held back.

    As `csv` it has the entries alone, and the address of the next page is in the header `Link`.
    """
    before = None if after is None else parse_position(after)
    made = await care_statement(services, principal.brand, customer_id, before=before, limit=limit)
    return page_of(made, format, "care", CareEntry, limit=limit)


@get(
    "/v1/customers/{customer_id:str}/statement/marketing",
    guards=[requires(Scope.GRANTS_READ)],
    tags=["customers"],
    responses=problems("not_found", "customer_erased"),
)
async def get_marketing_statement(
    customer_id: FromPath[str],
    services: Injected[Services],
    principal: Injected[Principal],
    after: AfterPosition = None,
    limit: Limit = LIMIT_DEFAULT,
    format: Format = "json",  # noqa: A002 - the parameter's name
) -> Response[MarketingStatement]:
    """Get what a customer did on which channel and for which campaign. It has no purchases, no money and no names.

    As `csv` it has the entries alone, and the address of the next page is in the header `Link`.
    """
    before = None if after is None else parse_position(after)
    made = await marketing_statement(services, principal.brand, customer_id, before=before, limit=limit)
    return page_of(made, format, "marketing", MarketingEntry, limit=limit)


@get(
    "/v1/customers/{customer_id:str}/statement/finance",
    guards=[requires(Scope.LEDGER_READ)],
    tags=["customers"],
    responses=problems("not_found", "customer_erased", "report_does_not_tie"),
)
async def get_finance_statement(
    customer_id: FromPath[str],
    services: Injected[Services],
    principal: Injected[Principal],
    since: Since = None,
    until: Until = None,
    after: AfterSeq = None,
    limit: Limit = LIMIT_DEFAULT,
    format: Format = "json",  # noqa: A002 - the parameter's name
) -> Response[FinanceStatement]:
    """Get what is owed to a customer by class: opening, movements and closing, with lots and values. It ties to the ledger.

    It has no messages and no names. As `csv` it has the transfers alone, and the address of the next page is in the header
    `Link`.
    """
    made = await finance_statement(services, principal.brand, customer_id, since=since, until=until, after=after, limit=limit)
    asked = {"from": since, "to": until, "limit": limit}
    return page_of(made, format, "finance", FinanceEntry, **asked)


@get(
    "/v1/customers/{customer_id:str}/statement/audit",
    guards=[requires(Scope.AUDIT_READ, Scope.LEDGER_READ)],
    tags=["customers"],
    responses=problems("not_found", "customer_erased"),
)
async def get_audit_statement(
    customer_id: FromPath[str],
    services: Injected[Services],
    principal: Injected[Principal],
    after: AfterPosition = None,
    limit: Limit = LIMIT_DEFAULT,
    format: Format = "json",  # noqa: A002 - the parameter's name
) -> Response[AuditStatement]:
    """Get what was posted and decided for a customer, with hashes, rules and who reported it, and who looked at them.

    As `csv` it has the entries alone, and the address of the next page is in the header `Link`.
    """
    before = None if after is None else parse_position(after)
    made = await audit_statement(services, principal.brand, customer_id, before=before, limit=limit)
    return page_of(made, format, "audit", AuditEntry, limit=limit)


route_handlers: list[Any] = [get_care_statement, get_marketing_statement, get_finance_statement, get_audit_statement]
