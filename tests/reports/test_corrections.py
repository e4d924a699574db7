"""What was corrected, by reason: a correction of many is one row, and all rows are what the log moved."""

from __future__ import annotations

from typing import Any

import pytest

from service.corrections.jobs import queries
from tests.api_fixtures import Api
from tests.corrections.test_adjustments import adjust, care
from tests.corrections.test_claw_backs import claw_back, granted, redeem
from tests.corrections.test_jobs import checked, done, order_list

__all__ = ["care"]


async def report(api: Api, **asked: str) -> dict[str, Any]:
    answer = await api.client("finance").get("/v1/reports/corrections", params=asked)
    assert answer.is_success, answer.text
    return answer.json()


def row(correction: str, reason: str, corrections: int, taken_back: int = 0, given: int = 0, taken: int = 0) -> dict[str, Any]:
    figures = {"corrections": corrections, "taken_back": taken_back, "given": given, "taken": taken}
    return {"correction": correction, "reason": reason, **figures}


@pytest.mark.parametrize("log_rows", [150_000, 1])
async def test_a_correction_of_many_is_one_row(care: Api, monkeypatch: pytest.MonkeyPatch, log_rows: int) -> None:
    monkeypatch.setattr(queries, "_LOG_ROWS", log_rows)  # with 1, each transfer is read apart
    grants = [await granted(care, f"mail-{n}", customer={"id": f"d-{n}"}) for n in range(3)]
    held_back = await granted(care, "mail-9", action="review", customer={"id": "d-9"})
    hold = await redeem(care, "", "r-1", customer={"id": "d-0"}, points=80, order_ref="order-1")
    wanted = [{"grant_id": grants[0]}, {"grant_id": held_back}, {"customer": {"id": "d-1"}, "points": 7}]
    wanted += [{"customer": {"id": "d-2"}, "points": -4}]
    job = await done(care, await checked(care, await order_list(care, wanted)))
    await adjust(care, 3, "a-1")
    await adjust(care, -2, "a-2")
    await claw_back(care, grants[1], points=10)
    rows = [
        row("", "fraud", 1, taken=2),
        row("", "goodwill", 1, given=3),
        row("", "paid_by_mistake", 1, taken_back=10),
        row(job["id"], "goodwill", 4, taken_back=20 + 50, given=7, taken=4),
    ]
    made = await report(care)
    assert made["rows"] == rows
    assert made["totals"] == {"corrections": 7, "taken_back": 80, "given": 10, "taken": 6}
    await redeem(care, f"/{hold['redemption_id']}/void", "v-1")
    later = await report(care)
    assert later["rows"] == [row("", "", 0, taken_back=80), *rows]
    rolled = (await care.client("finance").get("/v1/reports/roll-forward")).json()["totals"]
    assert (rolled["clawed_back"], rolled["adjusted"]) == (later["totals"]["taken_back"] - 50, 4)
    by_reason = await report(care, by="reason")
    assert [(each["reason"], each["given"]) for each in by_reason["rows"]] == [
        ("", 0),
        ("fraud", 0),
        ("goodwill", 10),
        ("paid_by_mistake", 0),
    ]


async def test_a_cut_divides_what_was_before_from_what_came_later(care: Api) -> None:
    await adjust(care, 3, "a-1")
    (await care.client("finance").post("/v1/cuts", json={"name": "noon"})).raise_for_status()
    await adjust(care, 4, "a-2")
    before, later = await report(care, to="cut:noon"), await report(care, **{"from": "cut:noon"})
    assert (before["totals"]["given"], later["totals"]["given"]) == (3, 4)
