"""Vintages follow the points of a month to where they went, first in, first out."""

from __future__ import annotations

from typing import Any

import asyncpg

from ledger import AdjustOutcome
from ledger.testing import adjust, claw_back, order
from tests.reports.conftest import Books


async def test_each_month_is_followed_by_age(books: Books, worker_pool: asyncpg.Pool[Any]) -> None:
    await books.fund(1_000)
    await books.grant(1, 100, "2030-03-31")
    await books.on("2030-02-10")
    await books.grant(1, 50, "2030-03-31")
    redemption = await books.redeem(1, 120)
    await books.on("2030-03-10")
    await books.refund(redemption, 10)
    await books.on("2030-04-02")
    await books.post_dues(worker_pool)
    await books.attribute(worker_pool)
    rows = (await books.report("vintages"))["rows"]
    assert [
        (row["issued_in"], row["age_months"], row["issued"], row["redeemed"], row["expired"], row["left"]) for row in rows
    ] == [
        ("2030-01", 0, 100, 0, 0, 100),
        ("2030-01", 1, 100, 100, 0, 0),
        ("2030-01", 2, 100, 0, 0, 0),
        ("2030-01", 3, 100, 0, 0, 0),
        ("2030-02", 0, 50, 20, 0, 30),
        ("2030-02", 1, 50, -10, 40, 0),
        ("2030-02", 2, 50, 0, 0, 0),
    ]
    assert [row["redeemed_by_now"] for row in rows] == [0, 100, 100, 100, 20, 10, 10]
    by_channel = await books.report("vintages", since="2030-02-01", until="2030-02-28", by="channel")
    assert [(row["channel"], row["issued_in"], row["left"]) for row in by_channel["rows"]] == [("email", "2030-02", 30)]


async def test_what_is_taken_back_is_a_column_of_its_own_at_its_age(books: Books, worker_pool: asyncpg.Pool[Any]) -> None:
    await books.fund(1_000)
    await books.grant(1, 100, "2030-12-31")
    await books.redeem(1, 30)
    await books.on("2030-02-10")
    granted = order(books.book, customer=1, message_id="message 1", points=100, campaign_no=books.campaign_no)
    taken = await books.ledger.claw_back(claw_back(granted, 25))
    assert taken.clawed_back == 25
    assert (await books.ledger.adjust(adjust(books.book, 1, -5))).outcome is AdjustOutcome.ADJUSTED
    await books.attribute(worker_pool)
    rows = (await books.report("vintages"))["rows"]
    assert [(row["age_months"], row["taken_back"], row["taken_back_by_now"], row["left"]) for row in rows] == [
        (0, 0, 0, 70),
        (1, 30, 30, 40),
    ]
    for row in rows:
        assert row["left"] == row["issued"] - row["redeemed_by_now"] - row["expired_by_now"] - row["taken_back_by_now"]
