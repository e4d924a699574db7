"""Asking for a report: what there is none of is refused by name."""

from __future__ import annotations

import pytest

from tests.reports.conftest import Books, parameters

REFUSED: list[tuple[str, dict[str, str], int, str, list[str]]] = [
    ("roll-forwards", {}, 404, "unknown_report", []),
    ("roll-forward", {"by": "customer"}, 422, "invalid_field", ["?by"]),
    ("roll-forward", {"format": "xlsx"}, 422, "invalid_field", ["?format"]),
    ("roll-forward", {"since": "2030-01-18", "until": "2030-01-17"}, 422, "invalid_field", ["?from"]),
    ("roll-forward", {"until": "2030-01-21"}, 422, "invalid_field", ["?to"]),
    ("roll-forward", {"since": "2030-01-21"}, 422, "invalid_field", ["?from"]),
    ("roll-forward", {"since": "2030-01-14"}, 422, "invalid_field", ["?from"]),
    ("roll-forward", {"until": "2030-01-14"}, 422, "invalid_field", ["?to"]),
    ("roll-forward", {"since": "2030-02-30"}, 422, "invalid_field", ["?from"]),
    ("roll-forward", {"since": "20300115"}, 422, "invalid_field", ["?from"]),
    ("roll-forward", {"since": "\u0662\u0660\u0663\u0660-01-15"}, 422, "invalid_field", ["?from"]),
    ("roll-forward", {"customer": "1"}, 422, "unknown_field", ["?customer"]),
]


@pytest.mark.parametrize(("report", "query", "status", "code", "pointers"), REFUSED)
async def test_a_report_that_there_is_not_is_refused(
    books: Books, report: str, query: dict[str, str], status: int, code: str, pointers: list[str]
) -> None:
    await books.fund(10)
    await books.on("2030-01-20")
    answer = await books.api.client("finance").get(f"/v1/reports/{report}", params=parameters(query))
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert [error["pointer"] for error in answer.json()["errors"]] == pointers


async def test_a_period_is_this_month_of_the_book_unless_named(books: Books) -> None:
    await books.fund(10)
    await books.on("2030-01-20")
    report = await books.report("roll-forward")
    assert (report["from"], report["to"]) == ("2030-01-15", "2030-01-20")


async def test_an_empty_book_has_an_empty_report(books: Books) -> None:
    report = await books.report("roll-forward")
    assert (report["rows"], report["from"], report["to"]) == ([], "2030-01-15", "2030-01-15")


async def test_reports_need_their_scope(books: Books) -> None:
    answer = await books.api.client("messaging").get("/v1/reports/roll-forward")
    assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")
