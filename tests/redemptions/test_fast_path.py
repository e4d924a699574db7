"""A plain authorization or capture does not pass through the framework: nobody may notice."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest

from ledger import Overloaded
from service.admission.limits import SINGLE_BYTES_MAX
from service.auth.actions import create_key
from service.auth.scopes import Scope
from service.redemptions import actions
from tests.api_fixtures import Api
from tests.auth.test_quotas import within_a_minute
from tests.both_paths import Watch, watching

CAMPAIGN: dict[str, Any] = {
    "id": "autumn",
    "name": "Autumn",
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2099-01-01T00:00:00Z",
    "budget": 1_000_000,
    "rules": [{"action": "click", "points": 1000}],
}
NOBODYS = "red_00000001" + "0" * 13 + "fff"


@dataclass
class Sent:
    """A request; ``SIDE`` in it is another text for each path, so that both are told of the same for the first time.

    Without a ``path`` it authorizes; ``capture`` captures what was just authorized for it.
    """

    body: str | bytes
    headers: dict[str, str] = field(default_factory=dict[str, str])
    path: str = ""
    key: str | None = "storefront"
    idempotent: str | None = "k-SIDE"
    times: int = 1
    more: tuple[tuple[str, str], ...] = ()
    fast: bool = True
    """Whether the fast path takes it, and does not leave it to the framework."""


def held(**changed: Any) -> str:
    return json.dumps({"customer": {"id": "c-SIDE"}, "points": 60, "order_ref": "order-1"} | changed)


def without(name: str) -> str:
    return json.dumps({key: value for key, value in json.loads(held()).items() if key != name})


REQUESTS: dict[str, Sent] = {
    "an authorization": Sent(held()),
    "again": Sent(held(), times=2),
    "captured at once": Sent(held(capture=True, store_id="s-1", terminal_id="t-1", expires_in_s=60)),
    "all there is": Sent(held(points="max")),
    "a value": Sent(held(value=5)),
    "a value alone": Sent(held(points=None, value=5)),
    "neither points nor value": Sent(held(points=None)),
    "too many points": Sent(held(points=5000)),
    "too many points, again": Sent(held(points=5000), times=2),
    "whom nobody knows": Sent(held(customer={"id": "c-404"})),
    "who is not confirmed": Sent(held(customer={"email": "SIDE@example.org"})),
    "our number of nobody": Sent(held(customer={"id": "cus_404"})),
    "nobody": Sent(held(customer={})),
    "an order that is not ASCII": Sent(held(order_ref="ü-1").encode()),
    "a capture": Sent("{}", path="capture"),
    "a part": Sent('{"points": 40, "ref": "invoice-1", "store_id": "s-1"}', path="capture"),
    "a part, and more to come": Sent('{"points": 40, "final": false}', path="capture"),
    "a capture again": Sent("{}", path="capture", times=2),
    "more than is held": Sent('{"points": 61}', path="capture"),
    "an unknown field of a capture": Sent('{"colour": "red"}', path="capture"),
    "nobody's redemption": Sent("{}", path=f"/{NOBODYS}/capture"),
    "another book's": Sent("{}", path="/red_000000ff0000000000000001/capture"),
    "no redemption's id": Sent("{}", path="/red_1/capture", fast=False),
    "an empty capture": Sent("", path="capture", fast=False),
    "a void": Sent("{}", path=f"/{NOBODYS}/void", fast=False),
    "a refund": Sent("{}", path=f"/{NOBODYS}/refund", fast=False),
    "a quote": Sent(held(), path="/quote", fast=False),
    "no idempotency key": Sent(held(), idempotent=None, fast=False),
    "an empty idempotency key": Sent(held(), idempotent="", fast=False),
    "an idempotency key that is too long": Sent(held(), idempotent="x" * 256, fast=False),
    "an idempotency key in quotes": Sent(held(), idempotent='"k-SIDE"'),
    "two idempotency keys": Sent(held(), more=(("idempotency-key", "k-2"),), fast=False),
    "no idempotency key and no JSON": Sent("{", idempotent=None, fast=False),
    "no key": Sent(held(), key=None),
    "another scheme": Sent(held(), {"authorization": "Basic abc"}),
    "an unknown key": Sent(held(), {"authorization": "Bearer rk_test_" + "x" * 43}),
    "two keys": Sent(held(), more=(("authorization", "Bearer rk_test_" + "x" * 43),)),
    "a key without the scope": Sent(held(), key="messaging"),
    "no key and no JSON": Sent("{", key=None),
    "charset": Sent(held(), {"content-type": "application/json; charset=utf-8"}),
    "another type": Sent(held(), {"content-type": "text/plain"}, fast=False),
    "gzip that is none": Sent(held(), {"content-encoding": "gzip"}, fast=False),
    "a host that is none": Sent(held(), {"host": "a b"}, fast=False),
    "nothing": Sent("", fast=False),
    "only spaces": Sent("  \n "),
    "no JSON": Sent("points, please"),
    "two bodies": Sent(held() + held()),
    "not UTF-8": Sent(held().encode() + b"\xff"),
    "a NUL": Sent(held(order_ref="a\0b")),
    "half a pair": Sent(held().replace("order-1", "\\ud800")),
    "an array": Sent(f"[{held()}]"),
    "an unknown field": Sent(held(colour="red")),
    **{f"without {name}": Sent(without(name)) for name in ("customer", "points", "order_ref")},
    "no points": Sent(held(points=0)),
    "too many to be points": Sent(held(points=10**10)),
    "points that are none": Sent(held(points="many")),
    "held too long": Sent(held(expires_in_s=10**9)),
    "an order of too many bytes": Sent(held(order_ref="ü" * 200)),
    "almost too large": Sent(held() + " " * (SINGLE_BYTES_MAX - len(held()) - 64)),
    "too large": Sent(held() + " " * SINGLE_BYTES_MAX, fast=False),
}

# Numbers of redemptions, of transfers, and times.
_NEW_EACH_TIME = re.compile(rb'red_[0-9a-f]{24}|(?<=seq":)\d+|\d{4}-\d\d-\d\dT[\d:.]+Z')


class Paths:
    """Both paths, and what the fast one has taken."""

    def __init__(self, api: Api, watch: Watch) -> None:
        self.api = api
        self.watch = watch

    async def both(self, sent: Sent) -> tuple[Any, Any]:
        """What each of them answers, and logs, without what is new each time."""
        answers: list[Any] = []
        for side, query in (("fast", ""), ("full", "?&")):
            answers.append(await self._one(sent, side, query))
        fast, framework = answers
        return fast, framework

    async def _one(self, sent: Sent, side: str, query: str) -> Any:
        side = f"{side}-{next(_numbers)}"
        body = sent.body.encode("utf-8", "surrogatepass") if isinstance(sent.body, str) else sent.body
        body = body.replace(b"SIDE", side.encode())
        await self._earn({"id": f"c-{side}"})
        if b"@" in body:
            await self._earn({"email": f"{side}@example.org"})
        path = f"/v1/redemptions{sent.path}{query}"
        if sent.path == "capture":
            path = f"/v1/redemptions/{await self._hold(side)}/capture{query}"
        headers = {"content-type": "application/json", "x-request-id": "req-1"} | sent.headers
        if sent.idempotent is not None:
            headers["idempotency-key"] = sent.idempotent.replace("SIDE", side)
        client = self.api.client(sent.key)
        for _ in range(sent.times - 1):
            await client.post(path, content=body, headers=[*headers.items(), *sent.more])
        self.watch.taken.clear()
        self.watch.clear_log()
        answer = await client.post(path, content=body, headers=[*headers.items(), *sent.more])
        assert int(answer.headers.pop("content-length")) == len(answer.content)
        line = self.watch.last_line()
        assert bool(self.watch.taken) == (sent.fast and not query)
        shown = _NEW_EACH_TIME.sub(b"new", answer.content.replace(side.encode(), b"SIDE"))
        return answer.status_code, sorted(answer.headers.items()), shown, line

    async def _earn(self, customer: dict[str, str]) -> None:
        report = {"campaign": "autumn", "message_id": "m", "customer": customer, "action": "click", "channel": "sms"}
        (await self.api.client("messaging").post("/v1/grants", json=report)).raise_for_status()

    async def _hold(self, side: str) -> str:
        answer = await self.api.client("storefront").post(
            "/v1/redemptions", content=held().replace("SIDE", side), headers={**JSON, "idempotency-key": f"hold {side}"}
        )
        number: str = answer.json()["redemption_id"]
        return number


JSON = {"content-type": "application/json"}
_numbers = itertools.count(100)


@pytest.fixture
async def paths(api: Api, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Paths]:
    (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN)).raise_for_status()
    with watching(monkeypatch) as watch:
        yield Paths(api, watch)


async def test_both_paths_answer_alike(paths: Paths) -> None:
    differ: dict[str, Any] = {}
    for name, sent in REQUESTS.items():
        fast, framework = await paths.both(sent)
        if fast != framework:
            differ[name] = (fast, framework)
    assert not differ


async def test_points_are_held_and_spent(paths: Paths) -> None:
    (status, _, body, line), _ = await paths.both(REQUESTS["an authorization"])
    shown = json.loads(body.replace(b":new", b":0"))
    assert (status, shown["status"], shown["authorized"], shown["balance"]) == (201, "authorized", 60, 940)
    assert (line["route"], line["brand"], line["status"]) == ("/v1/redemptions", "lumen", 201)
    (status, _, body, line), _ = await paths.both(REQUESTS["a part"])
    shown = json.loads(body.replace(b":new", b":0"))
    assert (status, shown["status"], shown["captured"], shown["balance"]) == (201, "captured", 40, 960)
    assert line["route"] == "/v1/redemptions/{redemption_id}/capture"


async def test_a_step_of_one_path_is_a_replay_on_the_other(paths: Paths) -> None:
    await paths.both(REQUESTS["an authorization"])
    client = paths.api.client("storefront")
    (
        await paths.api.client("messaging").post(
            "/v1/grants",
            json={"campaign": "autumn", "message_id": "m", "customer": {"id": "c-1"}, "action": "click", "channel": "sms"},
        )
    ).raise_for_status()
    body = held(customer={"id": "c-1"})
    first = await client.post("/v1/redemptions", content=body, headers={**JSON, "idempotency-key": "one"})
    again = await client.post("/v1/redemptions?&", content=body, headers={**JSON, "idempotency-key": "one"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["idempotency-replayed"] == "true"
    assert first.content == again.content


async def test_a_quota_is_spent_and_told_on_both(paths: Paths, owner: asyncpg.Connection[Any]) -> None:
    async def attempt() -> None:
        paths.api.keys["small"] = (
            await create_key(owner, "lumen", "small", [Scope.REDEMPTIONS_WRITE], "A", quota_per_minute=3)
        )[0]
        seen: list[tuple[int, str]] = []
        for path in ("/v1/redemptions", "/v1/redemptions?&") * 2:
            answer = await paths.api.client("small").post(
                path, content=held(customer={"id": "c-404"}), headers={**JSON, "idempotency-key": "k"}
            )
            seen.append((answer.status_code, answer.headers["ratelimit"].split(";")[1]))
        assert seen == [(402, "r=2"), (402, "r=1"), (402, "r=0"), (429, "r=0")]

    await within_a_minute(owner, attempt)


@pytest.mark.parametrize("error", [Overloaded(7), OSError("away"), RuntimeError("our fault")])
async def test_what_fails_below_is_told_alike(paths: Paths, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    async def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(actions, "authorize", fail)
    fast, framework = await paths.both(REQUESTS["an authorization"])
    assert fast == framework
    assert fast[0] in {500, 503}
