"""A test brand's clock over HTTP: what a month does to points, holds, campaigns and links, seen in a second."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from ledger import Book, ClockOutcome, Ledger, audit, open_book
from ledger.testing import set_clock
from service.brands.book_clocks import BookClocks
from tests.api_fixtures import Api, make_brand, make_keys
from tests.ledger.conftest import written

CLICK: dict[str, Any] = {
    "campaign": "autumn",
    "message_id": "m-1",
    "customer": {"id": "c-1"},
    "action": "click",
    "channel": "email",
}


async def make_campaign(api: Api, key: str, **changed: Any) -> None:
    campaign: dict[str, Any] = {
        "id": "autumn",
        "name": "Autumn",
        "starts_at": "2026-01-01T00:00:00Z",
        "ends_at": "2099-01-01T00:00:00Z",
        "budget": 1_000,
        "rules": [{"action": "click", "points": 5}],
    }
    (await api.client(key=key).post("/v1/campaigns", json=campaign | changed)).raise_for_status()


async def advance(api: Api, key: str, **how: Any) -> datetime:
    answer = await api.client(key=key).post("/v1/test/clock/advance", json=how)
    assert answer.status_code == 200, answer.text
    return datetime.fromisoformat(answer.json()["now"])


async def report(api: Api, key: str, **changed: Any) -> Any:
    answer = await api.client(key=key).post("/v1/grants", json=CLICK | changed)
    assert answer.status_code in {200, 201}, answer.text
    return answer.json()


async def balance(api: Api, key: str) -> Any:
    return (await api.client(key=key).get("/v1/customers/c-1/balance")).raise_for_status().json()


async def authorize(api: Api, key: str, name: str, **changed: Any) -> Any:
    body = {"customer": {"id": "c-1"}, "points": 5, "order_ref": name} | changed
    return await api.client(key=key).post("/v1/redemptions", json=body, headers={"Idempotency-Key": name})


async def test_a_new_value_of_points_begins_by_the_brands_clock(api: Api) -> None:
    admin = api.client("admin")
    now = await advance(api, api.keys["admin"], to="2031-04-01T12:00:00Z")
    (await admin.patch("/v1/brand", json={"point_value": {"points": 100, "minor_units": 50}})).raise_for_status()
    (version,) = (await admin.get("/v1/brand/point-values")).json()["items"]
    assert now <= datetime.fromisoformat(version["valid_from"]) < now + timedelta(minutes=1)


async def test_points_can_be_spent_until_the_last_second_of_their_last_day_in_the_brands_zone(
    api: Api, owner: asyncpg.Connection[Any]
) -> None:
    brand = await make_brand(owner, "kolkata", time_zone="Asia/Kolkata")
    keys = await make_keys(owner, brand)
    await make_campaign(api, keys["admin"], expires_after_months=1)
    assert (await report(api, keys["messaging"]))["balance"] == 5
    (lot,) = (await balance(api, keys["storefront"]))["lots"]
    last_second = datetime.combine(date.fromisoformat(lot["expires_on"]), time(23, 59, 59), ZoneInfo("Asia/Kolkata"))
    await advance(api, keys["admin"], to=(last_second - timedelta(days=1)).isoformat())
    # The last second takes as long as the test needs, so that a slow machine sees what a fast one sees.
    await set_clock(owner, brand.book, last_second.astimezone(UTC))

    assert (await balance(api, keys["storefront"]))["balance"] == 5
    held = await authorize(api, keys["storefront"], "in-time")
    assert (held.status_code, held.json()["balance"]) == (201, 0)
    voided = await api.client(key=keys["storefront"]).post(f"/v1/redemptions/{held.json()['redemption_id']}/void")
    assert (voided.status_code, voided.json()["balance"]) == (201, 5)

    assert await advance(api, keys["admin"], seconds=1) == last_second + timedelta(seconds=1)
    assert (await balance(api, keys["storefront"]))["balance"] == 0
    late = await authorize(api, keys["storefront"], "too-late")
    assert (late.status_code, late.json()["code"]) == (402, "insufficient_balance")
    # No sweeper ran; the refused authorization has posted what was due.
    assert not [finding for finding in await audit(owner, brand.book) if finding.violations]


async def test_a_hold_times_out(api: Api) -> None:
    await make_campaign(api, api.keys["admin"])
    await report(api, api.keys["messaging"])
    held = await authorize(api, api.keys["storefront"], "order-1", expires_in_s=3_600)
    await advance(api, api.keys["admin"], seconds=3_000)
    assert (await balance(api, api.keys["storefront"]))["held"] == 5
    await advance(api, api.keys["admin"], seconds=601)
    assert [(await balance(api, api.keys["storefront"]))[name] for name in ("balance", "held")] == [5, 0]
    path = f"/v1/redemptions/{held.json()['redemption_id']}/capture"
    capture = await api.client("storefront").post(path, json={}, headers={"Idempotency-Key": "capture-1"})
    assert (capture.status_code, capture.json()["code"]) == (409, "authorization_expired")


async def test_a_late_report_of_the_last_minute_is_paid_after_29_hours_and_not_after_73(api: Api) -> None:
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    await make_campaign(api, api.keys["admin"], ends_at=ends.isoformat())
    clicked = ends - timedelta(minutes=1)

    await advance(api, api.keys["admin"], to=(clicked + timedelta(hours=29)).isoformat())
    late = await report(api, api.keys["messaging"], occurred_at=clicked.isoformat())
    assert (late["outcome"], late["points"]) == ("granted", 5)
    on_time = await report(api, api.keys["messaging"], message_id="m-2")
    assert (on_time["outcome"], on_time["reason"]) == ("ignored", "campaign_over")

    await advance(api, api.keys["admin"], to=(clicked + timedelta(hours=73)).isoformat())
    too_late = await report(api, api.keys["messaging"], message_id="m-3", occurred_at=clicked.isoformat())
    assert (too_late["outcome"], too_late["reason"]) == ("ignored", "campaign_over")
    # What was decided stays decided, as long as it can still be reported.
    assert (await balance(api, api.keys["storefront"]))["balance"] == 5


async def test_what_happened_is_judged_by_the_brands_clock(api: Api) -> None:
    await make_campaign(api, api.keys["admin"])
    now = await advance(api, api.keys["admin"], seconds=500 * 86_400)
    for occurred_at, status in (
        (now - timedelta(days=399), 201),
        (now - timedelta(days=401), 422),
        (now + timedelta(minutes=4), 201),
        (now + timedelta(minutes=10), 422),
    ):
        body = CLICK | {"message_id": str(occurred_at), "occurred_at": occurred_at.isoformat()}
        answer = await api.client("messaging").post("/v1/grants", json=body)
        assert answer.status_code == status, answer.text
        assert status == 201 or answer.json()["code"] == "occurred_at_out_of_range"


async def test_links_live_in_the_brands_time(api: Api) -> None:
    now = await advance(api, api.keys["admin"], seconds=100 * 86_400)
    await make_campaign(api, api.keys["admin"], ends_at=(now + timedelta(days=2)).isoformat())
    items = [
        {
            "campaign": "autumn",
            "message_id": f"m-{number}",
            "customer": {"id": "c-1"},
            "action": "click",
            "channel": "email",
            "destination": "https://shop.example/",
            "expires_at": (now + timedelta(days=days)).isoformat(),
        }
        for number, days in enumerate((1, 9))
    ]
    minted = (await api.client("messaging").post("/v1/links", json={"links": items})).raise_for_status().json()["results"]
    paths = [result["url"].removeprefix(api.settings.base_url) for result in minted]
    pages = [(await api.client(None).get(path)).text for path in paths]
    assert all("<button" in page for page in pages)
    await advance(api, api.keys["admin"], seconds=3 * 86_400)
    expired, over = [await api.client(None).get(path, headers={"Accept": "application/json"}) for path in paths]
    assert (expired.status_code, expired.json()["code"]) == (410, "link_expired")
    assert over.status_code == 200
    assert "<button" not in over.text


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, ""),
    ({"seconds": 1, "to": "2030-01-01T00:00:00Z"}, ""),
    ({"seconds": 0}, "/seconds"),
    ({"seconds": -1}, "/seconds"),
    ({"to": "2020-01-01T00:00:00Z"}, "/to"),
    ({"to": "9999-12-31T23:59:59Z"}, "/to"),
    ({"to": "2030-01-01T00:00:00"}, "/to"),
]


@pytest.mark.parametrize(("how", "pointer"), REFUSED)
async def test_a_clock_that_would_not_go_forward_is_refused(api: Api, how: dict[str, Any], pointer: str) -> None:
    answer = await api.client("admin").post("/v1/test/clock/advance", json=how)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    clock = await api.services.ledger.clock(api.brand.book)
    assert clock.offset == timedelta(0)


async def test_the_clock_runs_at_most_ten_years_ahead(api: Api) -> None:
    await advance(api, api.keys["admin"], seconds=3_659 * 86_400)
    answer = await api.client("admin").post("/v1/test/clock/advance", json={"seconds": 2 * 86_400})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/seconds")


async def test_a_live_brand_has_no_clock_and_a_messaging_key_may_not_turn_one(api: Api, owner: asyncpg.Connection[Any]) -> None:
    live = await make_brand(owner, "live-brand", mode="live")
    keys = await make_keys(owner, live)
    answer = await api.client(key=keys["admin"]).post("/v1/test/clock/advance", json={"seconds": 1})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    forbidden = await api.client("messaging").post("/v1/test/clock/advance", json={"seconds": 1})
    assert (forbidden.status_code, forbidden.json()["code"]) == (403, "missing_scope")


async def test_another_process_follows_within_a_second(api: Api) -> None:
    others = BookClocks(api.services.ledger)
    before = await others.now(api.brand)
    moved = await advance(api, api.keys["admin"], seconds=86_400)
    assert moved - before >= timedelta(days=1)
    assert await api.services.clocks.now(api.brand) >= moved
    await asyncio.sleep(1.01)
    assert await others.now(api.brand) >= moved


# ---- The ledger's own part


async def test_the_ledger_itself_refuses_to_move_a_live_books_clock(ledger: Ledger, owner: asyncpg.Connection[Any]) -> None:
    book = await open_book(owner, brand_id=1, unit="points", time_zone="UTC", issue_limit=100)
    before, rows = await ledger.clock(book), await written(owner)
    assert (await ledger.advance_clock(book, seconds=60)).outcome is ClockOutcome.LIVE_BOOK
    assert (await ledger.clock(book), await written(owner)) == (before, rows)


async def test_a_books_clock_is_moved_by_its_own_brand_and_only_forward(ledger: Ledger, owner: asyncpg.Connection[Any]) -> None:
    book = await open_book(owner, brand_id=1, unit="points", time_zone="UTC", issue_limit=100, mode="test")
    first = await ledger.advance_clock(book, seconds=60)
    assert first.outcome is ClockOutcome.ADVANCED
    to = first.clock.posted_at + timedelta(days=400)
    assert (await ledger.advance_clock(book, to=to)).clock.posted_at == to
    assert (await ledger.advance_clock(book, to=to)).outcome is ClockOutcome.NOT_FORWARD
    with pytest.raises(asyncpg.PostgresError, match="not a book of brand 2"):
        await ledger.advance_clock(Book(2, book.book_id), seconds=60)
    assert (await ledger.head(book)).posted_at == to
