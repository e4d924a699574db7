"""Reconciliation: every event is counted once, and the points of the granted ones are the budget's."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from ledger.reads import balances
from tests.api_fixtures import Api

CAMPAIGN: dict[str, Any] = {
    "id": "autumn",
    "name": "Autumn",
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2099-01-01T00:00:00Z",
    "budget": 33,
    "rules": [{"action": "click", "points": 5}, {"action": "open", "points": 1}],
    "caps": [{"per": "customer", "window": "ever", "action": "click", "max_grants": 2}],
}


@pytest.fixture
async def autumn(api: Api) -> Api:
    (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN)).raise_for_status()
    return api


async def report(api: Api, *items: dict[str, Any]) -> None:
    event = {"campaign": "autumn", "action": "click", "channel": "email"}
    answer = await api.client("messaging").post("/v1/grants/batch", json=[event | item for item in items])
    answer.raise_for_status()


async def reconciliation(api: Api, campaign: str = "autumn") -> dict[str, Any]:
    answer = await api.client("finance").get(f"/v1/campaigns/{campaign}/reconciliation")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_every_event_is_counted_once_by_outcome_reason_channel_and_hour(
    autumn: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balances, "_DECISIONS_AT_ONCE", 3)
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    times = [(hour + timedelta(minutes=minutes)).isoformat() for minutes in (0, 59, 60)]
    await report(
        autumn,
        *({"message_id": f"a-{n}", "customer": {"id": "a"}, "occurred_at": at} for n, at in enumerate(times)),
        *({"message_id": f"{n}", "customer": {"id": f"b-{n}"}, "channel": "sms", "occurred_at": times[2]} for n in range(5)),
        {"message_id": "w", "customer": {"id": "a"}, "action": "open", "occurred_at": times[0]},
        {"message_id": "i", "customer": {"id": "a"}, "action": "reply"},
    )
    # Again: a replay is no event of its own.
    await report(autumn, {"message_id": "a-0", "customer": {"id": "a"}, "occurred_at": times[0]})
    found = await reconciliation(autumn)
    first, second = ((hour + timedelta(hours=n)).isoformat().replace("+00:00", "Z") for n in (0, 1))
    assert found["totals"] == [
        {"outcome": "granted", "reason": None, "events": 6, "points": 30},
        {"outcome": "waiting", "reason": "stronger_evidence_needed", "events": 1, "points": 0},
        {"outcome": "refused", "reason": "cap_reached", "events": 1, "points": 0},
        {"outcome": "refused", "reason": "budget_exhausted", "events": 1, "points": 0},
    ]
    assert sorted(
        (each["hour"], each["channel"], each["reason"] or "", each["events"], each["points"]) for each in found["hours"]
    ) == [
        (first, "email", "", 2, 10),
        (first, "email", "stronger_evidence_needed", 1, 0),
        (second, "email", "cap_reached", 1, 0),
        (second, "sms", "", 4, 20),
        (second, "sms", "budget_exhausted", 1, 0),
    ]
    assert found["budget"] == {"funded": 33, "granted": 30, "left": 3}
    assert (found["campaign"], found["seq"]) == ("autumn", 7)


async def test_a_campaign_without_events_has_nothing_to_count(autumn: Api) -> None:
    found = await reconciliation(autumn)
    assert (found["totals"], found["hours"], found["budget"]["left"]) == ([], [], 33)
    assert (await autumn.client("finance").get("/v1/campaigns/nope/reconciliation")).status_code == 404
    assert (await autumn.client("storefront").get("/v1/campaigns/autumn/reconciliation")).status_code == 403


async def test_it_adds_up_while_events_come_in(autumn: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balances, "_DECISIONS_AT_ONCE", 20)
    (
        await autumn.client("finance").post(
            "/v1/campaigns/autumn/fund", json={"points": 100_000}, headers={"Idempotency-Key": "more"}
        )
    ).raise_for_status()

    async def write() -> None:
        for n in range(40):
            await report(autumn, *({"message_id": f"{n}", "customer": {"id": f"{n}-{m}"}} for m in range(5)))

    writing = asyncio.create_task(write())
    seen: list[int] = []
    while not writing.done():
        found = await reconciliation(autumn)
        assert sum(total["points"] for total in found["totals"]) == found["budget"]["granted"]
        seen.append(found["budget"]["granted"])
    await writing
    assert seen == sorted(seen)
    assert (await reconciliation(autumn))["totals"][0]["events"] == 200


@pytest.mark.own_database("leaves statistics")
async def test_its_pages_are_read_by_the_index(autumn: Api, owner: asyncpg.Connection[Any]) -> None:
    await owner.execute(
        """
        INSERT INTO ledger.event (
            book_id, campaign_no, key, customer, seq, points, window_at, decided_at, campaign_version, principal, outcome, rule,
            grade, action, channel, message_id, qualifier, source
        )
        SELECT $1, 1 + number % 2, decode(md5(number::text), 'hex'), number, number, 10, now(), now(), 1, 1, 1, 0,
            'B', 'click', 'email', 'loaded', '', 'api'
        FROM generate_series(1, 20000) AS number
        """.replace("$1", str(autumn.brand.book.book_id))
    )
    await owner.execute("ANALYZE ledger.event")
    pages = balances._DECISIONS  # pyright: ignore[reportPrivateUsage]
    plan = await owner.fetch(f"EXPLAIN {pages}", autumn.brand.book.book_id, 1, b"\x20", 10**6, datetime.now(UTC), 500)
    text = "\n".join(row[0] for row in plan)
    assert "Index Scan using event_is_decided_once" in text
    assert "Seq Scan" not in text
