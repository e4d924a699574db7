"""A page of a statement as JSON, or its entries as CSV. Text that a spreadsheet would run is neutralised."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import Response

from service.exports.spreadsheets import neutral
from service.reports.routes import Format
from service.statements.schemas import AuditStatement, CareStatement, FinanceStatement, MarketingStatement

Statement = CareStatement | MarketingStatement | FinanceStatement | AuditStatement


def page_of(
    statement: Statement, as_: Format, view: str, entry: type[msgspec.Struct], **asked: str | int | None
) -> Response[Any]:
    """A page as JSON; or its entries as CSV, with the address of the next page in the header ``Link``, which asks for what was
    ``asked``.
    """
    if as_ == "json":
        return Response(statement)
    name = f"{statement.customer}-{view}"
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    if statement.next is not None:
        named = {key: value for key, value in asked.items() if value is not None}
        query = urlencode(named | {"after": statement.next, "format": "csv"})
        headers["Link"] = f'</v1/customers/{statement.customer}/statement/{view}?{query}>; rel="next"'
    return Response(_csv(entry, statement.entries), media_type="text/csv", headers=headers)


def _csv(entry: type[msgspec.Struct], entries: Sequence[msgspec.Struct]) -> str:
    columns = [field.encode_name for field in msgspec.structs.fields(entry)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in entries:
        writer.writerow([_cell(value) for value in msgspec.to_builtins(row).values()])
    return out.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return " ".join(str(each) for each in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return neutral(value) if isinstance(value, str) else value
