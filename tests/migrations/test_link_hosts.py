"""Hosts that brands have from before proofs are kept for a while, one brand's each; where one is not, that is said."""

from __future__ import annotations

from datetime import timedelta

import asyncpg

from migrations.upgrade import upgrade
from tests.conftest import Database
from tests.migrations.test_upgrade import empty_database

__all__ = ["empty_database"]

HAD = [
    ("first", "live", "https://r.shop.example"),
    ("same-name", "live", "https://r.shop.example:8443"),
    ("another", "live", "https://go.shop.example"),
    ("address", "live", "https://10.0.0.1"),
    ("other-spelling", "live", "https://0x7f.1"),
    ("demo", "test", "http://127.0.0.1:8081"),
    ("demo-again", "test", "http://0x7f.1:8081"),
    ("nowhere", "live", "https://bad..example"),
    ("none", "live", None),
]


async def test_hosts_of_before_are_kept_or_their_end_is_said(empty_database: Database) -> None:
    await upgrade(empty_database.owner_url, revision="0026")
    connection = await asyncpg.connect(empty_database.owner_url)
    for n, (code, mode, base_url) in enumerate(HAD, start=1):
        await connection.execute(
            """
            INSERT INTO rewards.brand
                (code, name, mode, points_code, points_name, currency, time_zone, book_id, accent_color, link_base_url)
            VALUES ($1, 'Shop', $2, 'PTS', 'Points', 'EUR', 'UTC', $3, '#1f4fd8', $4)
            """,
            code,
            mode,
            n,
            base_url,
        )
    await upgrade(empty_database.owner_url)
    rows = await connection.fetch(
        "SELECT brand.code, link_host.* FROM rewards.link_host JOIN rewards.brand USING (brand_id) ORDER BY brand_id"
    )
    trail = await connection.fetch(
        "SELECT brand.code, act, by_operator FROM rewards.audit_trail JOIN rewards.brand USING (brand_id) ORDER BY brand_id"
    )
    await connection.close()
    assert {row["code"]: (row["host"], row["state"], row["proven_by"]) for row in rows} == {
        "first": ("r.shop.example", "verified", "operator"),
        "same-name": ("r.shop.example:8443", "lapsed", None),
        "another": ("go.shop.example", "verified", "operator"),
        "address": ("10.0.0.1", "lapsed", None),
        "other-spelling": ("127.0.0.1", "lapsed", None),
        "demo": ("127.0.0.1:8081", "verified", "this_machine"),
        "demo-again": ("127.0.0.1:8081", "lapsed", None),
    }
    assert all(
        row["lapses_at"] - row["claimed_at"] == timedelta(days=90) if row["proven_by"] == "operator" else not row["lapses_at"]
        for row in rows
    )
    assert all((row["last_error"] is None) == (row["state"] == "verified") for row in rows)
    lapsed = [*(row["code"] for row in rows if row["state"] == "lapsed"), "nowhere"]
    assert [tuple(row) for row in trail] == [(code, "link_host.lapse", True) for code in lapsed]
    assert len({row["challenge"] for row in rows}) == len(rows)
