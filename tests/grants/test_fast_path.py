"""The fast path of single grants answers as the framework does, whatever it is sent: status, headers, body, log line."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

import asyncpg
import pytest

from ledger import Overloaded
from service.admission.limits import SINGLE_BYTES_MAX
from service.auth.actions import create_key
from service.auth.scopes import Scope
from service.grants import actions
from tests.api_fixtures import Api
from tests.auth.test_quotas import within_a_minute
from tests.both_paths import Watch, watching

CAMPAIGN: dict[str, Any] = {
    "id": "autumn",
    "name": "Autumn",
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2099-01-01T00:00:00Z",
    "budget": 1_000_000,
    "rules": [{"action": "click", "points": 5}, {"action": "visit", "points": 2, "hold_back_days": 3}],
}
LAST_MONTH = datetime.now(timezone(timedelta(hours=1))) - timedelta(days=29)
OVER = CAMPAIGN | {"id": "over", "ends_at": "2026-01-02T00:00:00Z"}


@dataclass
class Sent:
    """A request; ``SIDE`` in its body is another text for each path, so that both are told of the same for the first time."""

    body: str | bytes
    headers: dict[str, str] = field(default_factory=dict[str, str])
    key: str | None = "messaging"
    times: int = 1
    more: tuple[tuple[str, str], ...] = ()
    packed: bool = False
    fast: bool = True
    """Whether the fast path takes it, and does not leave it to the framework."""


def click(**changed: Any) -> str:
    return json.dumps(
        {"campaign": "autumn", "message_id": "m-SIDE", "customer": {"id": "c-SIDE"}, "action": "click", "channel": "email"}
        | changed
    )


def without(name: str) -> str:
    return json.dumps({key: value for key, value in json.loads(click()).items() if key != name})


REQUESTS: dict[str, Sent] = {
    "a click": Sent(click()),
    "again": Sent(click(), times=2),
    "with a ref": Sent(click(ref="r-1")),
    "again with a ref": Sent(click(ref="r-1"), times=2),
    "held back": Sent(click(action="visit")),
    "no rule": Sent(click(action="open", ref="r")),
    "a machine": Sent(click(evidence="X")),
    "weak evidence": Sent(click(evidence="D")),
    "over": Sent(click(campaign="over")),
    "in time": Sent(click(occurred_at=LAST_MONTH.isoformat())),
    "metadata": Sent(click(metadata={"a": 1, "b": None, "c": "ü"})),
    "three names": Sent(click(customer={"id": "c-SIDE", "email": "SIDE@example.org"})),
    "texts that are not ASCII": Sent(click(message_id="ü-SIDE").encode()),
    "charset": Sent(click(), {"content-type": "application/json; charset=utf-8"}),
    "charset spelt otherwise": Sent(click(), {"content-type": 'Application/JSON;  Charset="UTF-8"'}, fast=False),
    "an encoding that is none": Sent(click(), {"content-encoding": "identity"}, fast=False),
    "gzip": Sent(click(), {"content-encoding": "gzip"}, packed=True, fast=False),
    "broken gzip": Sent(b"no gzip", {"content-encoding": "gzip"}, fast=False),
    "another encoding": Sent(click(), {"content-encoding": "br"}, fast=False),
    "no key": Sent(click(), key=None),
    "another scheme": Sent(click(), {"authorization": "Basic abc"}),
    "an unknown key": Sent(click(), {"authorization": "Bearer rk_test_" + "x" * 43}),
    "two keys": Sent(click(), more=(("authorization", "Bearer rk_test_" + "x" * 43),)),
    "a key without the scope": Sent(click(), key="storefront"),
    "no key and no JSON": Sent("{", key=None),
    "another type": Sent(click(), {"content-type": "text/plain"}, fast=False),
    "another charset": Sent(click(), {"content-type": "application/json; charset=latin-1"}, fast=False),
    "two types": Sent(click(), more=(("content-type", "application/json"),), fast=False),
    "a host that is none": Sent(click(), {"host": "a b"}, fast=False),
    "nothing": Sent("", fast=False),
    "only spaces": Sent("  \n "),
    "no JSON": Sent("points, please"),
    "cut short": Sent(click()[:-5]),
    "two bodies": Sent(click() + click()),
    "not UTF-8": Sent(click().encode() + b"\xff"),
    "a broken text": Sent(click().encode().replace(b"email", b"em\xffail")),
    "a NUL": Sent(click(message_id="a\0b")),
    "half a pair": Sent(click().replace("m-SIDE", "\\ud800")),
    "too deep": Sent("[" * 100_000),
    "an array": Sent(f"[{click()}]"),
    "null": Sent("null"),
    "an unknown field": Sent(click(colour="red")),
    "an unknown name": Sent(click(customer={"id": "c", "fax": "1"})),
    "a field twice": Sent(click()[:-1] + ', "action": "visit"}'),
    **{f"without {name}": Sent(without(name)) for name in ("campaign", "message_id", "customer", "action", "channel")},
    "a number for a text": Sent(click(message_id=1)),
    "an empty text": Sent(click(message_id="")),
    "a text too long": Sent(click(message_id="x" * 257)),
    "a text of too many bytes": Sent(click(message_id="ü" * 200)),
    "control characters": Sent(click(message_id="a\tb")),
    "no slug": Sent(click(action="Click!")),
    "no such grade": Sent(click(evidence="E")),
    "a time without zone": Sent(click(occurred_at="2026-11-01T00:00:00")),
    "too long ago": Sent(click(occurred_at="2001-01-01T00:00:00Z")),
    "to come": Sent(click(occurred_at="2098-01-01T00:00:00Z")),
    "metadata too large": Sent(click(metadata={"a": "x" * 2_100})),
    "nested metadata": Sent(click(metadata={"a": {"b": 1}})),
    "no such campaign": Sent(click(campaign="winter")),
    "nobody": Sent(click(customer={})),
    "no email": Sent(click(customer={"email": "ada"})),
    "no phone": Sent(click(customer={"phone": "123"})),
    "almost too large": Sent(click() + " " * (SINGLE_BYTES_MAX - len(click()))),
    "too large": Sent(click() + " " * SINGLE_BYTES_MAX, fast=False),
}


@dataclass
class Paths:
    """Both paths, and what the fast one has taken."""

    api: Api
    watch: Watch

    async def both(self, sent: Sent, *, prepare: Callable[[], None] | None = None) -> tuple[Any, Any]:
        """What each of them answers, and logs, without what is new each time."""
        answers: list[Any] = []
        for side, path in (("fast", "/v1/grants"), ("full", "/v1/grants?&")):
            if prepare is not None:
                prepare()
            body = sent.body.encode("utf-8", "surrogatepass") if isinstance(sent.body, str) else sent.body
            body = body.replace(b"SIDE", side.encode())
            if sent.packed:
                body = gzip.compress(body)
            headers = {"content-type": "application/json", "x-request-id": "req-1"} | sent.headers
            client = self.api.client(sent.key)
            for _ in range(sent.times - 1):
                await client.post(path, content=body, headers=[*headers.items(), *sent.more])
            self.watch.clear_log()
            answer = await client.post(path, content=body, headers=[*headers.items(), *sent.more])
            shown = answer.json()
            for name in ("grant_id", "balance_seq"):
                if shown.get(name):
                    shown[name] = "some"
            line = self.watch.last_line()
            length = int(answer.headers.pop("content-length")) - len(str(answer.json().get("balance_seq")))
            answers.append((answer.status_code, sorted(answer.headers.items()), length, shown, line))
        fast, framework = answers
        return fast, framework


@pytest.fixture
async def paths(api: Api, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Paths]:
    for campaign in (CAMPAIGN, OVER):
        (await api.client("admin").post("/v1/campaigns", json=campaign)).raise_for_status()
    with watching(monkeypatch) as watch:
        yield Paths(api, watch)


async def test_both_paths_answer_alike(paths: Paths) -> None:
    differ: dict[str, Any] = {}
    for name, sent in REQUESTS.items():
        paths.watch.taken.clear()
        fast, framework = await paths.both(sent)
        if fast != framework or bool(paths.watch.taken) != sent.fast:
            differ[name] = (fast, framework, paths.watch.taken)
    assert not differ


async def test_what_is_new_is_paid_on_both(paths: Paths) -> None:
    fast, _ = await paths.both(REQUESTS["a click"])
    assert fast[0] == 201
    assert (fast[3]["points"], fast[3]["balance"], fast[3]["replayed"]) == (5, 5, False)
    assert (fast[4]["route"], fast[4]["brand"], fast[4]["status"]) == ("/v1/grants", "lumen", 201)


async def test_a_grant_of_one_route_is_a_replay_on_the_other(paths: Paths) -> None:
    client = paths.api.client("messaging")
    headers = {"content-type": "application/json"}
    first = await client.post("/v1/grants", content=click(), headers=headers)
    again = await client.post("/v1/grants?&", content=click(), headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() | {"replayed": True} == again.json()


async def test_a_quota_is_spent_and_told_on_both(paths: Paths, owner: asyncpg.Connection[Any]) -> None:
    async def attempt() -> None:
        key, _ = await create_key(owner, "lumen", "small", [Scope.GRANTS_WRITE], "A", quota_per_minute=3)
        paths.api.keys["small"] = key
        # A message of its own: told of again, an earlier attempt's would be a replay.
        body = click(message_id=f"m-{key[-8:]}")
        seen: list[tuple[int, str]] = []
        for path in ("/v1/grants", "/v1/grants?&") * 2:
            answer = await paths.api.client("small").post(path, content=body, headers={"content-type": "application/json"})
            seen.append((answer.status_code, answer.headers["ratelimit"].split(";")[1]))
        assert seen == [(201, "r=2"), (200, "r=1"), (200, "r=0"), (429, "r=0")]
        fast, framework = await paths.both(Sent(body, key="small"))
        assert fast[0] == 429
        assert [name for name, _ in fast[1]] == [name for name, _ in framework[1]]
        assert "retry-after" in dict(fast[1])

    await within_a_minute(owner, attempt)


@pytest.mark.parametrize("error", [Overloaded(7), OSError("away"), RuntimeError("our fault")])
async def test_what_fails_below_is_told_alike(paths: Paths, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    async def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(actions, "report_one", fail)
    fast, framework = await paths.both(REQUESTS["a click"])
    assert fast == framework
    assert fast[0] in {500, 503}
    assert paths.watch.taken


async def test_a_caller_who_goes_away_while_sending_is_no_fault_of_ours(paths: Paths) -> None:
    messages: list[Any] = []
    parts: list[Any] = [{"type": "http.request", "body": b'{"camp', "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> Any:
        return parts.pop(0)

    async def send(message: Any) -> None:
        messages.append(message)

    scope: Any = {
        "type": "http",
        "method": "POST",
        "path": "/v1/grants",
        "query_string": b"",
        "headers": [
            (b"authorization", f"Bearer {paths.api.keys['messaging']}".encode()),
            (b"content-type", b"application/json"),
            (b"content-length", b"100"),
        ],
    }
    await paths.api.app(scope, receive, send)
    assert messages[0]["status"] == 400
    assert json.loads(messages[1]["body"])["code"] == "malformed_body"


async def test_a_body_in_chunks_is_left_to_the_framework(paths: Paths) -> None:
    async def chunks() -> AsyncGenerator[bytes]:
        yield click()[:10].encode()
        yield click()[10:].encode()

    answer = await paths.api.client("messaging").post(
        "/v1/grants", content=chunks(), headers={"content-type": "application/json"}
    )
    assert (answer.status_code, paths.watch.taken) == (201, [])
