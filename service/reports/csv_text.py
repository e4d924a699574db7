"""A report as CSV: a header, the rows, and the totals as a last row. A value that a spreadsheet would run is neutralised."""

from __future__ import annotations

import csv
import io

from service.exports.spreadsheets import neutral
from service.reports.report import Cell, Report


def csv_of(report: Report) -> str:
    """The report's rows and totals. The first column of the last row says ``total``, if it is not a figure."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [column.name for column in report.columns]
    writer.writerow(names)
    total = report.totals if report.columns[0].name in report.totals else {names[0]: "total"} | report.totals
    for row in (*report.rows, total):
        writer.writerow([_cell(row.get(name)) for name in names])
    return out.getvalue()


def _cell(value: Cell) -> Cell:
    return neutral(value) if isinstance(value, str) else value
