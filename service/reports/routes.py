"""Reports over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from litestar import Response, get
from litestar.params import FromPath, QueryParameter

from service.api_reference.document import problems
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.http.injection import Injected
from service.reports.catalog import make_report
from service.reports.csv_text import csv_of
from service.reports.report import Report

if TYPE_CHECKING:
    from service.services import Services

From = Annotated[
    str | None,
    QueryParameter(
        name="from",
        description="The first accounting date included, in the brand's time zone, or the month it begins; or "
        "`cut:` and the name or `seq` of a cut, after which it begins. "
        "Without it: the first of the month of `to`, or the book's first day.",
    ),
]
To = Annotated[
    str | None,
    QueryParameter(
        description="The last accounting date included, in the brand's time zone, or the month it ends; or `cut:` and "
        "the name or `seq` of a cut, with which it ends. Without it: today."
    ),
]
By = Annotated[
    str | None,
    QueryParameter(description="What to break the report down by, separated by commas, such as `class,month`. Empty: nothing."),
]
OfVersion = Annotated[
    int | None,
    QueryParameter(
        name="version",
        ge=1,
        le=2**31 - 1,
        description="The version of the close that the report ends with: 1 is that before it was restated. Without it: the "
        "newest.",
    ),
]
Format = Annotated[Literal["json", "csv"], QueryParameter(description="`json`, or `csv`: rows and totals alone.")]


@get(
    "/v1/reports/{report:str}",
    guards=[requires(Scope.LEDGER_READ)],
    tags=["finance"],
    responses=problems("unknown_report", "not_attributed_yet", "report_does_not_tie"),
)
async def get_report(
    report: FromPath[str],
    services: Injected[Services],
    principal: Injected[Principal],
    since: From = None,
    to: To = None,
    by: By = None,
    version: OfVersion = None,
    format: Format = "json",  # noqa: A002 - the parameter's name
) -> Response[Report]:
    """Report on the books, by accounting date. It ties to the ledger to the point, or fails."""
    made = await make_report(services, principal.brand, report, sent_from=since, sent_to=to, by=by, version=version)
    return Response(made) if format == "json" else _csv(made)


def _csv(report: Report) -> Response[Any]:
    name = f"{report.report}-{report.since}-{report.until}.csv"
    return Response(csv_of(report), media_type="text/csv", headers={"Content-Disposition": f'attachment; filename="{name}"'})


route_handlers: list[Any] = [get_report]
