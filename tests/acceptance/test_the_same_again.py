"""Every call that changes something, made again after all that could have happened meanwhile, is answered as it was.

What an answer says of the moment (a balance that was read, a campaign as it stands) may have moved on; what was decided has
not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.api_fixtures import Api

CAMPAIGN: dict[str, Any] = {
    "id": "autumn",
    "name": "Autumn",
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2099-01-01T00:00:00Z",
    "budget": 1_000,
    "rules": [{"action": "click", "points": 50}, {"action": "survey", "points": 5, "hold_back_days": 30}],
}
TERMS = {name: value for name, value in CAMPAIGN.items() if name not in {"id", "budget"}}
OVER = {"ends_at": "2026-01-02T00:00:00Z", "rules": [{"action": "reply", "points": 1}]}


@dataclass
class Made:
    """A call, what it was answered, and which parts of that are for ever."""

    call: Callable[[], Awaitable[httpx.Response]]
    first: httpx.Response
    parts: tuple[str, ...]


class Calls:
    """Makes calls and remembers them."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.made: dict[str, Made] = {}

    async def __call__(
        self, key: str, path: str, body: Any = None, *parts: str, method: str = "POST", idempotency: str | None = None
    ) -> dict[str, Any]:
        headers = {} if idempotency is None else {"Idempotency-Key": idempotency}

        async def call() -> httpx.Response:
            sent = {} if body is None else {"json": body}
            return await self._api.client(key).request(method, path, headers=headers, **sent)

        first = await call()
        assert first.is_success, f"{path}: {first.text}"
        self.made[f"{method} {path} {len(self.made)}"] = Made(call, first, parts)
        return first.json()


def part(body: Any, path: str) -> Any:
    for name in path.split("."):
        body = body[int(name)] if name.isdigit() else body[name]
    return body


def grant(message_id: str, action: str = "click", customer: str = "c-1") -> dict[str, Any]:
    return {
        "campaign": "autumn",
        "message_id": message_id,
        "customer": {"id": customer},
        "action": action,
        "channel": "email",
    }


@pytest.mark.one_process("compares what is answered before and after changes that other processes follow a moment later")
async def test_the_same_again_is_answered_as_the_first_time_after_any_history(api: Api) -> None:
    do = Calls(api)
    await do("admin", "/v1/campaigns", CAMPAIGN, "id", "created_at")
    await do("finance", "/v1/campaigns/autumn/fund", {"points": 500}, "funded", "budget_left", "issued", idempotency="fund-1")
    await do("admin", "/v1/campaigns/autumn/versions", TERMS | {"name": "Fall", "version": 2}, "id")
    decided = ("grant_id", "outcome", "points")
    await do("messaging", "/v1/grants", grant("m-1"), *decided)
    await do("messaging", "/v1/grants/batch", [grant("m-2")], *(f"results.0.{name}" for name in decided))
    held = [(await do("messaging", "/v1/grants", grant(f"s-{n}", "survey"), "grant_id", "points"))["grant_id"] for n in (1, 2)]
    await do("approver", f"/v1/grants/{held[0]}/mature", None, "outcome", "points", "seq")
    await do("approver", f"/v1/grants/{held[1]}/reject", None, "outcome", "points", "seq")
    # What was held back and is rejected now says so: it was decided again.
    del do.made[[name for name in do.made if name.startswith("POST /v1/grants ")][-1]]

    link = grant("linked") | {"destination": "https://shop.example/a", "short": True}
    minted = await do("messaging", "/v1/links", {"links": [link]}, "results.0.url", "results.0.short_url")
    batch = {"id": "packs", "campaign": "autumn", "action": "click", "channel": "web", "codes": 2}
    await do("messaging", "/v1/code-batches", batch, "id", "control_total", "made_at", "expires_at")
    codes = (await api.client("messaging").get("/v1/code-batches/packs/codes")).text.splitlines()
    await do("messaging", "/v1/code-claims", {"code": codes[1].split(",")[1], "customer": {"id": "c-1"}}, *decided)

    everything = ("redemption_id", "status", "authorized", "captured", "released", "refunded", "operations", "balance")
    wanted = {"customer": {"id": "c-1"}, "points": 40, "order_ref": "o-1"}
    redemption = (await do("storefront", "/v1/redemptions", wanted, *everything, idempotency="a"))["redemption_id"]
    path = f"/v1/redemptions/{redemption}"
    await do("storefront", f"{path}/capture", {"points": 10, "final": False}, *everything, idempotency="c")
    await do("storefront", f"{path}/void", {}, *everything)
    await do("storefront", f"{path}/refund", {"points": 4}, *everything, idempotency="r")

    await do("messaging", "/v1/grants", grant("m-3", customer="c-2"), *decided)
    await do("admin", "/v1/customers/c-1/merge", {"from": {"id": "c-2"}})
    await do("admin", "/v1/cuts", {"name": "close"}, "name", "seq", "posted_at")
    key = await api.client("admin").post("/v1/keys", json={"name": "till", "scopes": ["redemptions:read"]})
    assert key.status_code == 201, key.text
    key_id = next(each["id"] for each in (await api.client("admin").get("/v1/keys")).json()["items"] if each["name"] == "till")
    await do("admin", f"/v1/keys/{key_id}", None, "id", "revoked_at", method="DELETE")
    await do("messaging", "/v1/link-revocations", {"message_id": "a third"}, "id", "named", "revoked_at")
    brand = (await api.client("admin").get("/v1/brand")).json()
    worth = {"point_value": {"points": 1, "minor_units": 1}, "point_value_version": None}
    read = (await api.client("admin").put("/v1/brand", json=brand | worth)).json()
    changed = read | {"point_value": {"points": 2, "minor_units": 1}}
    await do("admin", "/v1/brand", changed, "point_value", "point_value_version", method="PUT")
    consent = {"status": "refused", "source": "test", "at": "2026-11-01T00:00:00Z"}
    await do("admin", "/v1/customers/c-1/consents/email", consent, method="PUT")

    # Everything that a repeated call could stumble over.
    await do("storefront", f"{path}/refund", {}, *everything, idempotency="r-2")
    await do("admin", "/v1/campaigns/autumn/versions", TERMS | OVER, "id")
    await do("admin", "/v1/campaigns/autumn/pause", None, "id", "paused_at")
    (await api.client("admin").post("/v1/test/clock/advance", json={"seconds": 40 * 86_400})).raise_for_status()

    assert minted["results"][0]["status"] == 201
    for name, made in do.made.items():
        again = await made.call()
        assert again.status_code == 200, f"{name}: {again.text}"
        for each in made.parts:
            assert part(again.json(), each) == part(made.first.json(), each), f"{name}: {each}"
    balance = (await api.client("storefront").get("/v1/customers/c-1/balance")).json()
    assert (balance["balance"], balance["held"]) == (4 * 50 + 5, 0)
