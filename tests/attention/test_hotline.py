"""Of those whom a brand wrote to, how many answered as persons."""

from __future__ import annotations

from typing import Any

import asyncpg
import httpx

from tests.api_fixtures import Api, make_brand, make_keys
from tests.links.campaigns import make_campaign
from tests.links.conftest import Links


async def hotline(client: httpx.AsyncClient, days: int = 30) -> tuple[int, int, float | None, bool]:
    told: dict[str, Any] = (await client.get(f"/v1/hotline?days={days}")).raise_for_status().json()
    return told["recipients"], told["responders"], told["share"], told["complete"]


async def report(api: Api, customer: str, evidence: str, action: str = "click") -> None:
    item = {
        "campaign": "autumn",
        "message_id": "m-1",
        "customer": {"id": customer},
        "action": action,
        "channel": "email",
        "evidence": evidence,
    }
    (await api.client("messaging").post("/v1/grants", json=item)).raise_for_status()


async def test_only_who_proved_to_be_a_person_responded(api: Api, owner: asyncpg.Connection[Any]) -> None:
    admin = api.client("admin")
    assert await hotline(admin) == (0, 0, None, True)
    caps = [{"per": "customer", "window": "ever", "max_grants": 1}]
    await make_campaign(admin, caps=caps)
    links = Links(api)
    paths = [await links.path(f"C-{n}") for n in range(5)]
    assert await hotline(admin) == (5, 0, 0.0, True)

    # One looks, one presses the button, one replies, one is only said to have clicked, and one is a machine.
    await api.client(None).get(paths[0])
    await api.client(None).post(paths[1])
    await report(api, "C-2", "A", "reply")
    await report(api, "C-3", "C")
    await report(api, "C-4", "X")
    assert await hotline(admin) == (5, 2, 0.4, True)

    # Who came without a link of ours was written to as well; who acts again, or is refused for a cap, is one person.
    await report(api, "C-9", "B")
    await report(api, "C-9", "B", "reply")
    assert await hotline(admin) == (6, 3, 0.5, True)

    others = await make_keys(owner, await make_brand(owner, "other"))
    assert await hotline(api.client(key=others["admin"])) == (0, 0, None, True)


async def test_what_is_older_than_the_span_does_not_count(api: Api) -> None:
    await make_campaign(api.client("admin"))
    links = Links(api)
    await api.client(None).post(await links.path())
    await api.client("admin").post("/v1/test/clock/advance", json={"seconds": 2 * 86_400})
    assert await hotline(api.client("admin"), days=30) == (1, 1, 1.0, True)
    assert await hotline(api.client("admin"), days=1) == (0, 0, None, True)
