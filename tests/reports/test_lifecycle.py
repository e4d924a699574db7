"""What winning, keeping and winning back customers cost, beside what a new customer costs elsewhere."""

from __future__ import annotations

import pytest

from ledger.reads import movements
from tests.reports.conftest import Books, shown


@pytest.mark.parametrize("log_rows", [movements.LOG_ROWS_WITH_ACTS_BEFORE, 1])
async def test_an_act_is_of_a_new_an_active_or_a_lapsed_customer(
    books: Books, monkeypatch: pytest.MonkeyPatch, log_rows: int
) -> None:
    monkeypatch.setattr(movements, "LOG_ROWS_WITH_ACTS_BEFORE", log_rows)  # with 1, each act is read apart from those before it
    await books.worth("2029-12-01", 1, 2)
    finance = books.api.client("finance")
    cost = {"kind": "acquisition_cost", "value": 100, "method": "media invoices"}
    assert (await finance.post("/v1/estimates", json=cost)).status_code == 201
    await books.fund(1_000)
    await books.grant(1, 10)
    await books.grant(2, 10)
    await books.on("2030-02-20")
    await books.grant(1, 5)
    await books.on("2030-05-01")
    await books.grant(2, 20)
    await books.grant(2, 3)
    await books.grant(1, 4)
    report = await books.report("lifecycle", since="2030-01-15")
    assert [shown(row) for row in report["rows"]] == [
        {"stage": "active", "acts": 3, "points": 12, "value": 24, "value_per_act": "8.0000"},
        {"stage": "new", "acts": 2, "points": 20, "value": 40, "value_per_act": "20.0000"}
        | {"acquisition_value": 200, "saved_value": 160},
        {"stage": "reactivated", "acts": 1, "points": 20, "value": 40, "value_per_act": "40.0000"}
        | {"acquisition_value": 100, "saved_value": 60},
    ]
    (may,) = (await books.report("lifecycle", since="2030-05-01", by="month"))["rows"]
    assert (may["month"], may["acts"], may["points"], may["saved_value"]) == ("2030-05", 3, 27, 60)


async def test_without_an_estimate_nothing_is_compared(books: Books) -> None:
    await books.fund(1_000)
    await books.grant(1, 10)
    (row,) = (await books.report("lifecycle"))["rows"]
    assert shown(row) == {"stage": "new", "acts": 1, "points": 10}
    assert row["acquisition_value"] is None
