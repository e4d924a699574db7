"""Lines of a job as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from litestar import Response

from service.corrections.jobs.schemas import CorrectionLineResponse
from service.exports.spreadsheets import neutral
from service.http.pagination import Page


def csv_of(listed: Page[CorrectionLineResponse], job_id: str, asked: Mapping[str, str | int | None]) -> Response[Any]:
    """A page of lines; the header ``Link`` leads to the next."""
    headers = {"Content-Disposition": f'attachment; filename="{job_id}.csv"'}
    if listed.next is not None:
        named = {name: value for name, value in asked.items() if value is not None}
        query = urlencode(named | {"after": listed.next, "format": "csv"})
        headers["Link"] = f'</v1/corrections/{job_id}/lines?{query}>; rel="next"'
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = CorrectionLineResponse.__struct_fields__
    writer.writerow(names)
    for line in listed.items:
        writer.writerow([_cell(getattr(line, name)) for name in names])
    return Response(out.getvalue(), media_type="text/csv", headers=headers)


def _cell(value: str | int | None) -> str | int | None:
    return neutral(value) if isinstance(value, str) else value
