"""Vintages follow the points of a month to where they went, first in, first out."""

from __future__ import annotations

from typing import Any

import asyncpg

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
