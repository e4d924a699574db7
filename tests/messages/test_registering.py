"""What was sent is registered once: the same again is answered the same, and something else under its id is refused by name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from service.retention.retention_keeper import ROWS_AT_ONCE
from tests.ingest.conftest import Owner
from tests.links.campaigns import make_campaign
from tests.links.conftest import Links
from tests.messages.conftest import Json, message, register

MAKES_OFFERS: Json = {"id": "offering", "offers": True}
WHOLE = {
    "campaign": "offering",
    "conversation": "v-1",
    "offer_group": "o-1",
    "provider_message_id": "SM1",
    "sent_at": "2026-11-30T10:00:00Z",
}


async def test_the_same_again_is_answered_the_same(links: Links, owner: Owner) -> None:
    [first] = await register(links.api, message("m-1"))
    assert first["status"] == 201
    again = await register(links.api, message("m-1"), message("m-1"))
    assert again == [{**first, "status": 200}, {**first, "status": 200, "index": 1}]
    await make_campaign(links.api.client("admin"), **MAKES_OFFERS)
    twice = await register(links.api, message("m-2", **WHOLE), message("m-2", **WHOLE), message("m-2", "C-2", **WHOLE))
    assert [each["status"] for each in twice] == [201, 200, 201]
    assert await owner.fetchval("SELECT count(*) FROM rewards.message") == 3


@pytest.mark.parametrize(
    ("name", "other"),
    {
        "campaign": "winter",
        "channel": "whatsapp",
        "conversation": "v-2",
        "offer_group": None,
        "provider": "twilio",
        "provider_message_id": "SM2",
        "sent_at": "2026-11-30T10:00:01Z",
    }.items(),
)
async def test_another_message_under_the_same_id_is_refused_by_the_name_of_what_differs(
    links: Links, owner: Owner, name: str, other: Any
) -> None:
    campaign = (await links.api.client("admin").get("/v1/campaigns/autumn")).json()
    terms = {each: campaign[each] for each in ("name", "starts_at", "ends_at", "rules")}
    (await links.api.client("admin").post("/v1/campaigns", json={"id": "winter", "offers": True, **terms})).raise_for_status()
    await make_campaign(links.api.client("admin"), **MAKES_OFFERS)
    await register(links.api, message("m-1", **WHOLE))
    before = await owner.fetch("SELECT * FROM rewards.message")
    [refused] = await register(links.api, message("m-1", **(WHOLE | {name: other})))
    assert (refused["status"], refused["problem"]["code"]) == (409, "offer_exists" if name == "campaign" else "message_exists")
    assert f"another {name}." in refused["problem"]["detail"]
    assert await owner.fetch("SELECT * FROM rewards.message") == before


BAD: list[tuple[Json, int, str]] = [
    ({"campaign": "nowhere"}, 422, "unknown_campaign"),
    ({"channel": "SMS"}, 422, "invalid_field"),
    ({"customer": {}}, 422, "invalid_field"),
    ({"message_id": ""}, 422, "invalid_field"),
    ({"sent_at": "yesterday"}, 422, "invalid_field"),
    ({"colour": "red"}, 422, "unknown_field"),
]


async def test_what_is_wrong_with_one_is_its_own(links: Links) -> None:
    results = await register(links.api, *({**message("m-1"), **bad} for bad, *_ in BAD), message("m-2"))
    assert [(each["status"], each["problem"]["code"]) for each in results[:-1]] == [(status, code) for _, status, code in BAD]
    assert results[-1]["status"] == 201


async def test_ten_thousand_at_once_are_registered_and_no_more(links: Links, owner: Owner) -> None:
    many = [message(f"m-{n}", f"C-{n % 7}") for n in range(10_001)]
    answer = await links.api.client("messaging").post("/v1/messages", json={"messages": many})
    assert answer.status_code == 422
    results = await register(links.api, *many[:-1])
    assert {each["status"] for each in results} == {201}
    assert await owner.fetchval("SELECT count(*) FROM rewards.message") == 10_000


async def test_messages_are_forgotten_in_their_time(links: Links, owner: Owner, worker_pool: asyncpg.Pool[Any]) -> None:
    await register(links.api, message("old"), message("new"))
    for table, of in (("message", "registered_at"), ("answered_message", "answered_at")):
        if table == "answered_message":
            await owner.execute("""
                INSERT INTO rewards.answered_message (brand_id, reply, customer, campaign_no, message_id)
                SELECT brand_id, decode(md5(message_id), 'hex'), customer, campaign_no, message_id FROM rewards.message
            """)
        await owner.execute(f"UPDATE rewards.{table} SET {of} = {of} - interval '91 days' WHERE message_id = 'old'")
    now = datetime.now(UTC)
    forget = "SELECT rewards.forget_messages_v1($1, $2)"
    assert await worker_pool.fetchval(forget, now - timedelta(days=92), ROWS_AT_ONCE) == 0
    # Never what is younger than the shortest time, whatever is asked for.
    assert await worker_pool.fetchval(forget, now, ROWS_AT_ONCE) == 2
    assert await worker_pool.fetchval(forget, now, ROWS_AT_ONCE) == 0
    assert await owner.fetch("SELECT message_id FROM rewards.message") == [("new",)]
    answered = await owner.fetch("SELECT message_id FROM rewards.answered_message ORDER BY answered_at")
    assert [row[0] for row in answered] == [None, "new"]
