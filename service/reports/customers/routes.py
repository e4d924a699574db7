"""Reports by customer over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from litestar import Response, get
from litestar.params import FromPath

from service.api_reference.document import problems
from service.auth import looks
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.http.injection import Injected
from service.http.pagination import LIMIT_DEFAULT, AfterSeq, Limit
from service.reports.csv_text import csv_of_rows
from service.reports.customers.views import CustomerPage, make_page
from service.reports.routes import Format, From, To

if TYPE_CHECKING:
    from service.services import Services


@get(
    "/v1/reports/customers/{view:str}",
    guards=[requires(Scope.LEDGER_READ)],
    tags=["finance"],
    responses=problems("unknown_report", "report_does_not_tie"),
)
async def get_customer_report(
    view: FromPath[str],
    services: Injected[Services],
    principal: Injected[Principal],
    since: From = None,
    to: To = None,
    after: AfterSeq = None,
    limit: Limit = LIMIT_DEFAULT,
    format: Format = "json",  # noqa: A002 - the parameter's name
) -> Response[CustomerPage]:
    """Report with a row for each customer: `rfm`, `responses` or `reward-cost`. Merged customers count under the survivor.

    As `csv`, the address of the next page is in the header `Link`.
    """
    page = await make_page(services, principal.brand, view, sent_from=since, sent_to=to, after=after, limit=limit)
    looks.see_all()
    return Response(page) if format == "json" else _csv(page, {"from": since, "to": to, "limit": limit})


def _csv(page: CustomerPage, asked: Mapping[str, str | int | None]) -> Response[Any]:
    headers = {"Content-Disposition": f'attachment; filename="{page.report}-{page.since}-{page.until}.csv"'}
    if page.next is not None:
        named = {name: value for name, value in asked.items() if value is not None}
        query = urlencode(named | {"after": page.next, "format": "csv"})
        headers["Link"] = f'</v1/reports/customers/{page.report}?{query}>; rel="next"'
    return Response(csv_of_rows(page.columns, page.items), media_type="text/csv", headers=headers)


route_handlers: list[Any] = [get_customer_report]
