"""Breakage in proportion to redemptions, against the figures of KPMG's handbook (Revenue Recognition, Examples 10A and 10B)."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import AccountClass
from service.reports.breakage_engine import Recognised, Standing, recognise
from tests.reports.conftest import Books


def test_the_handbooks_figures() -> None:
    year_2, year_3 = recognise([Standing(9_000, 4_500, 9_700), Standing(9_000, 8_500, 9_900)])
    assert year_2 == Recognised(total=4_175, revenue=4_175, catch_up=0)
    assert (year_3.total, year_3.revenue) == (7_727, 3_552)
    # 4,500 of 9,900 would have been 4,091.
    assert year_3.catch_up == 4_091 - 4_175


PERIODS = [
    ([Standing(100, 0, 50)], [0]),
    ([Standing(100, 50, 50)], [100]),
    ([Standing(100, 60, 50)], [100]),
    ([Standing(100, 0, 0)], [100]),
    ([Standing(0, 0, 0), Standing(100, 10, 100)], [0, 10]),
    ([Standing(100, 10, 100), Standing(100, 10, 50), Standing(100, 10, 100)], [10, 10, -10]),
    ([Standing(Fraction(1, 2), 1, 1)], [1]),
]


@pytest.mark.parametrize(("periods", "revenue"), PERIODS)
def test_revenue_is_what_is_recognised_less_what_was(periods: list[Standing], revenue: list[int]) -> None:
    assert [each.revenue for each in recognise(periods)] == revenue


@given(
    st.integers(0, 10**12),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 10**9)), min_size=1, max_size=12),
)
def test_revenue_adds_up_to_what_is_recognised_and_never_exceeds_the_price(
    allocated: int, steps: list[tuple[int, int]]
) -> None:
    redeemed = 0
    periods: list[Standing] = []
    for more, expected in steps:
        redeemed += more
        periods.append(Standing(allocated, redeemed, expected))
    earned = list(recognise([*periods, Standing(allocated, redeemed, redeemed)]))
    assert all(0 <= each.total <= allocated for each in earned)
    assert sum(each.revenue for each in earned) == earned[-1].total == allocated


async def estimate(books: Books, **sent: Any) -> Any:
    body = {"kind": "expected_redemption", "class": "purchase", "method": "chain ladder", **sent}
    return await books.api.client("finance").post("/v1/estimates", json=body)


async def test_the_report_is_the_handbooks_example(books: Books, worker_pool: asyncpg.Pool[Any]) -> None:
    await books.worth("2029-12-01", 10, 9)
    await books.fund(20_000)
    assert (await estimate(books, value=9_700, effective_on="2030-01-15")).status_code == 201
    await books.grant(1, 10_000, "2031-12-31", account_class=AccountClass.PURCHASE)
    await books.on("2030-02-10")
    await books.redeem(1, 4_500)
    await books.on("2030-03-10")
    made = await estimate(books, value=9_900, inputs={"redeemed by now": "85 %"})
    assert (made.status_code, made.json()["effective_on"]) == (201, "2030-03-10")
    await books.redeem(1, 4_000)
    rows = (await books.report("breakage", since="2030-01-15"))["rows"]
    assert [(row["month"], row["estimate"], row["expected"], row["redeemed"], row["revenue"]) for row in rows] == [
        ("2030-01", 1, 9_700, 0, 0),
        ("2030-02", 1, 9_700, 4_500, 4_175),
        ("2030-03", 2, 9_900, 8_500, 3_552),
    ]
    assert (rows[-1]["allocated_value"], rows[-1]["deferred_value"], rows[-1]["catch_up"]) == (9_000, 1_273, -84)
    await books.on("2032-01-01")
    (last,) = (await books.report("breakage"))["rows"][-1:]
    assert (last["outstanding"], last["recognised_value"], last["deferred_value"]) == (0, 9_000, 0)


async def test_the_first_value_of_points_is_allocated_to_all_that_is_owed_by_then(books: Books) -> None:
    await books.fund(1_000)
    await books.grant(1, 100, account_class=AccountClass.PURCHASE)
    await books.redeem(1, 20)
    await books.worth("2030-02-02", 1, 1)
    await books.on("2030-02-03")
    await books.grant(1, 5, account_class=AccountClass.PURCHASE)
    rows = (await books.report("breakage", since="2030-01-15"))["rows"]
    assert [(row["month"], row["issued"], row["allocated_value"]) for row in rows] == [
        ("2030-01", 100, 0),
        ("2030-02", 105, 85),
    ]


async def test_estimates_are_kept_with_their_method_and_inputs(books: Books) -> None:
    await books.api.client("finance").post(
        "/v1/estimates", json={"kind": "acquisition_cost", "value": 2_500, "method": "media invoices of 2029"}
    )
    await estimate(books, value=9_500, inputs={"issued": "120,000"})
    answer = await books.api.client("finance").get("/v1/estimates", params={"limit": 1})
    (newest,) = answer.json()["items"]
    assert (newest["estimate"], newest["class"], newest["value"], newest["inputs"]) == (
        2,
        "purchase",
        9_500,
        {"issued": "120,000"},
    )
    older = await books.api.client("finance").get("/v1/estimates", params={"after": answer.json()["next"]})
    assert [(each["kind"], each["method"]) for each in older.json()["items"]] == [
        ("acquisition_cost", "media invoices of 2029")
    ]


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        ({"class": None, "value": 1}, "/class"),
        ({"kind": "acquisition_cost", "value": 1}, "/class"),
        ({"value": 10_001}, "/value"),
        ({"value": 0}, "/value"),
        ({"value": 9_000, "effective_on": "2030-01-31"}, "/effective_on"),
    ],
)
async def test_an_estimate_that_is_none_is_refused(
    books: Books, worker_pool: asyncpg.Pool[Any], sent: dict[str, Any], pointer: str
) -> None:
    await books.fund(1)
    await books.on("2030-02-03")
    await books.post_dues(worker_pool)
    await books.close("2030-01-01", "2030-01-31")
    answer = await estimate(books, **sent)
    assert (answer.status_code, [error["pointer"] for error in answer.json()["errors"]]) == (422, [pointer])
    assert (await books.api.client("finance").get("/v1/estimates")).json()["items"] == []
