"""The settlement: what each store took and gave back, in the money of the purchases."""

from __future__ import annotations

from typing import Any

import asyncpg
import msgspec
import pytest

from ledger.reads import redemptions
from ledger.testing import authorize
from service.reports import settlement
from tests.reports.conftest import Books, shown


async def redeem_at(books: Books, store: str, points: int, value: int | None, **said: Any) -> int:
    step = authorize(books.book, 1, points, value=value, **said)
    return await books.done(msgspec.structs.replace(step, store_id=store, terminal_id="pos 1"))


@pytest.mark.parametrize(("log_rows", "remembered"), [(redemptions.LOG_ROWS, 1_000), (1, 1_000), (1, 1), (1, 0)])
async def test_each_store_is_settled_in_the_money_of_its_purchases(
    books: Books, worker_pool: asyncpg.Pool[Any], monkeypatch: pytest.MonkeyPatch, log_rows: int, remembered: int
) -> None:
    monkeypatch.setattr(redemptions, "LOG_ROWS", log_rows)  # with 1, each step is read apart from those before it
    monkeypatch.setattr(settlement, "_REMEMBERED", remembered)
    await books.worth("2029-12-01", 100, 1)
    await books.fund(1_000)
    await books.grant(1, 500)
    first = await redeem_at(books, "north", 61, 20)
    await books.capture(first, 20, final=False)
    await books.capture(first)
    whole = await redeem_at(books, "south", 30, 15, capture=True)
    await books.on("2030-01-16")
    await books.refund(first, 1)
    await books.refund(first, 30, store_id="south", terminal_id="pos 9")
    await books.refund(whole)
    held = await redeem_at(books, "north", 40, 10)
    await books.capture(held, 30)
    await redeem_at(books, "north", 5, 2, hold_s=3_600)
    await books.on("2030-01-17")
    await books.post_dues(worker_pool)
    report = await books.report("settlement", since="2030-01-15")
    assert [shown(row) for row in report["rows"]] == [
        {"day": "2030-01-15", "store": "north", "terminal": "pos 1", "redemptions": 1, "authorized": 61, "captured": 61}
        | {"authorized_value": 20, "captured_value": 20, "net_value": 20},
        {"day": "2030-01-15", "store": "south", "terminal": "pos 1", "redemptions": 1, "authorized": 30, "captured": 30}
        | {"authorized_value": 15, "captured_value": 15, "net_value": 15},
        # 10 of the 40 points are released with the final capture, and 5 time out within the day, though that is posted later.
        {"day": "2030-01-16", "store": "north", "terminal": "pos 1", "redemptions": 2, "authorized": 45, "captured": 30}
        | {"released": 15, "refunded": 1, "authorized_value": 12, "captured_value": 7, "refunded_value": 1, "net_value": 6},
        {"day": "2030-01-16", "store": "south", "terminal": "pos 1", "refunded": 30, "refunded_value": 15, "net_value": -15},
        {"day": "2030-01-16", "store": "south", "terminal": "pos 9", "refunded": 30, "refunded_value": 10, "net_value": -10},
    ]
    by_store = await books.report("settlement", since="2030-01-15", by="store")
    assert [(row["store"], row["net_value"]) for row in by_store["rows"]] == [("north", 26), ("south", -10)]
    assert by_store["totals"]["net_value"] == 16
    whole_period = await books.report("settlement", since="2030-01-15", by="")
    (links,) = whole_period["links"]
    for figure, path in links.items():
        assert sum(transfer["amount"] for transfer in await books.linked(path)) == whole_period["totals"][figure]


async def test_a_late_capture_counts_when_and_where_it_was_captured(books: Books) -> None:
    await books.worth("2029-12-01", 100, 1)
    await books.fund(1_000)
    await books.grant(1, 500)
    held = await redeem_at(books, "north", 60, 30, hold_s=3_600)
    await books.on("2030-01-17")
    await books.capture(held, 40, grace_s=5 * 86_400, store_id="south", terminal_id="pos 9")
    report = await books.report("settlement", since="2030-01-15")
    assert [shown(row) for row in report["rows"]] == [
        {"day": "2030-01-15", "store": "north", "terminal": "pos 1", "redemptions": 1, "authorized": 60, "released": 60}
        | {"authorized_value": 30},
        {"day": "2030-01-17", "store": "south", "terminal": "pos 9", "captured": 40, "captured_value": 20, "net_value": 20},
    ]
    roll_forward = await books.report("roll-forward", since="2030-01-15")
    assert [roll_forward["totals"][name] for name in ("granted", "redeemed", "closing")] == [500, 40, 460]


async def test_purchases_in_points_have_no_money(books: Books) -> None:
    await books.fund(1_000)
    await books.grant(1, 500)
    await redeem_at(books, "north", 61, None, capture=True)
    (row,) = (await books.report("settlement", by="store"))["rows"]
    assert shown(row) == {"store": "north", "redemptions": 1, "authorized": 61, "captured": 61}
