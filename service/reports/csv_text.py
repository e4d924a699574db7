"""A report as CSV: a header, the rows, and the totals as a last row. A value that a spreadsheet would run is neutralised."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from service.exports.spreadsheets import neutral
from service.reports.report import Cell, Column, Report, Row


def csv_of(report: Report) -> str:
    """The report's rows and totals. The first column of the last row says ``total``, if it is not a figure."""
    first = report.columns[0].name
    total = report.totals if first in report.totals else {first: "total"} | report.totals
    return csv_of_rows(report.columns, [*report.rows, total])


def csv_of_rows(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """A header, and rows."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [column.name for column in columns]
    writer.writerow(names)
    for row in rows:
        writer.writerow([_cell(row.get(name)) for name in names])
    return out.getvalue()


def _cell(value: Cell) -> Cell:
    return neutral(value) if isinstance(value, str) else value
