"""A brand mends its mapping: what was never paid is posted by a replay, what is keyed otherwise by an approved correction."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from service.auth.actions import create_key
from service.auth.roles import Role
from service.auth.scopes import Scope
from service.ingest import envelope_pruner
from service.ingest.envelope_reader import EnvelopeReader
from service.ingest.replays import correcting, dry_running
from service.services import Services
from service.settings import write_private
from tests.api_fixtures import make_brand
from tests.erasure.test_erasing import everything
from tests.ingest.conftest import Owner
from tests.ingest.senders import send
from tests.ingest.test_reading import read_all
from tests.ledger.conftest import assert_books_are_sound
from tests.links.campaigns import make_campaign
from tests.links.conftest import Links
from tests.people import client_of
from tests.real_worker import real_worker, until_waiting

Json = dict[str, Any]

SECRET = "s" * 32
WRONG = {"fields": {"customer": "$.sender"}, "channel": "email"}
RIGHT = {"fields": {"customer": "$.person"}, "channel": "email"}


class Shop:
    """A brand's own system, which sends JSON of its own."""

    def __init__(self, links: Links, issuer: httpx.AsyncClient, owner: Owner, services: Services) -> None:
        self.links, self._issuer, self.owner, self.services = links, issuer, owner, services
        self._url = ""

    async def open(self, shape: Json = WRONG, **fields: Any) -> None:
        wanted = {"provider": "signed_json", "name": "shop", "secrets": {"shared_secret": [SECRET]}, "campaign": "autumn"}
        made = await self._issuer.post("/v1/sources", json={**wanted, "shape": shape, **fields})
        self._url = made.raise_for_status().json()["ingest_url"]

    async def sends(self, *events: Json) -> None:
        """A request comes and is read."""
        await self.sends_whole(events)

    async def sends_whole(self, request: Any) -> None:
        body = json.dumps(request).encode()
        signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        answer = await send(self.links.api, self._url, (body, {"X-Signature": f"sha256={signature}"}))
        assert answer.status_code == 200, answer.text
        await self.reads()

    async def reads(self) -> None:
        await read_all(EnvelopeReader(self.services))

    async def changes(self, **fields: Any) -> None:
        (await self._issuer.patch("/v1/sources/src_1", json=fields)).raise_for_status()

    async def orders(self, first: int = 1, last: int | None = None, *, dry_run: bool = False) -> int:
        wanted = {"first": first, "last": last or first, "dry_run": dry_run}
        return (await self._issuer.post("/v1/sources/src_1/replay", json=wanted)).raise_for_status().json()["replay"]

    async def replays(self, first: int = 1, last: int | None = None, *, dry_run: bool = False) -> Json:
        replay = await self.orders(first, last, dry_run=dry_run)
        await self.reads()
        return await self.replay(replay)

    async def replay(self, replay: int) -> Json:
        return (await self._issuer.get(f"/v1/sources/src_1/replays/{replay}")).raise_for_status().json()

    async def differences(self, replay: int, query: str = "") -> list[Json]:
        path = f"/v1/sources/src_1/replays/{replay}/differences{query}"
        return (await self._issuer.get(path)).raise_for_status().json()["items"]

    async def told(self, delivery: int = 1) -> list[tuple[str, str | None]]:
        """What became of the events of a delivery at its last reading."""
        events = (await self._issuer.get(f"/v1/sources/src_1/deliveries/{delivery}/events")).raise_for_status().json()["items"]
        return [(each["outcome"], each["reason"]) for each in events]

    async def balances(self, *customers: str) -> list[int]:
        return [await self.links.balance(each) for each in customers]

    async def asks(self, replay: int, name: str = "care") -> httpx.Response:
        path = f"/v1/sources/src_1/replays/{replay}/correct"
        return await self.links.api.client(name).post(path, json={"reason": "wrong_mapping"})

    async def corrects(self, replay: int) -> Json:
        """One person asks for a correction, and another approves."""
        asked = await self.asks(replay)
        assert asked.status_code == 202, asked.text
        return await self.approves(asked.json())

    async def approves(self, approval: Json) -> Json:
        checker = await client_of(self.links.api, self.owner, Role.APPROVER, name="Cy")
        # Nobody approves of what was asked for before they came.
        await self.owner.execute("UPDATE rewards.person SET enrolled_at = enrolled_at - interval '1 day'")
        answer = await checker.post(f"/v1/approvals/{approval['id']}/approve", json={"digest": approval["digest"]})
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
async def shop(links: Links, issuer: httpx.AsyncClient, owner: Owner, agent_services: Services) -> Shop:
    return Shop(links, issuer, owner, agent_services)


def click(key: str, person: str, message: str = "m-1", **fields: Any) -> Json:
    """A click of a person; the wrong mapping takes its sender for them."""
    return {"event": "message.clicked", "id": key, "person": person, "sender": "S-1", "message_id": message, **fields}


REKEYED = ("ignored", "needs_correction")
GRANTED = ("granted", None)
DUPLICATE = ("duplicate", None)


async def test_a_replay_over_another_mapping_posts_only_what_was_never_paid(shop: Shop) -> None:
    await shop.open()
    await shop.sends(click("e-1", "C-1"), click("e-2", "C-2", "m-2"), {**click("e-3", "C-3", "m-3"), "sender": None})
    assert await shop.told() == [GRANTED, GRANTED, ("ignored", "no_recipient")]
    await shop.changes(shape=RIGHT)
    for _ in range(2):
        await shop.replays()
    assert await shop.told() == [REKEYED, REKEYED, DUPLICATE]
    assert await shop.balances("S-1", "C-1", "C-2", "C-3") == [50, 0, 0, 25]
    await assert_books_are_sound(shop.owner)


async def test_what_decided_each_reading_is_said(shop: Shop, issuer: httpx.AsyncClient) -> None:
    await shop.open()
    await shop.sends(click("e-1", "C-1"))
    await shop.changes(name="another name")
    assert (await issuer.get("/v1/sources/src_1")).json()["mapping"] == 1
    await shop.changes(shape=RIGHT)
    await shop.changes(shape=RIGHT)
    await shop.changes(campaign=None)
    assert (await issuer.get("/v1/sources/src_1")).json()["mapping"] == 3
    await shop.replays()
    (delivery,) = (await issuer.get("/v1/sources/src_1/deliveries")).json()["items"]
    assert [each["mapping"] for each in delivery["readings"]] == [1, 3]


async def test_an_act_is_not_paid_again_for_another_campaign(shop: Shop) -> None:
    await make_campaign(shop.links.api.client("admin"), id="winter")
    await shop.open(RIGHT)
    await shop.sends(click("e-1", "C-1"))
    await shop.changes(campaign="winter")
    await shop.replays()
    assert await shop.told() == [REKEYED]
    assert await shop.balances("C-1") == [25]


NOT_POSTED = {
    "rewards.source_replay",
    "rewards.replayed_event",
    "rewards.audit_trail",
    "rewards.api_key",
    "rewards.spool_report",
}


async def test_a_dry_run_says_what_would_become_of_each_and_writes_nothing(shop: Shop) -> None:
    await shop.open()
    await shop.sends(
        click("e-1", "C-1"),
        click("e-2", "S-1", "m-2"),
        {**click("e-3", "C-3", "m-3"), "sender": None},
        {**click("e-4", "C-4"), "event": "message.unsubscribed", "sender": None},
        {**click("e-5", "C-5", "m-5"), "person": None},
        click("e-6", "C-6", "m-6", event="message.delivered"),
        {"event": "message.clicked"},
    )
    await shop.changes(shape=RIGHT)
    before = await everything(shop.owner)
    replay = await shop.replays(dry_run=True)
    after = await everything(shop.owner)
    assert {table for table in after if after[table] != before[table]} <= NOT_POSTED
    assert replay["mode"] == "dry_run"
    assert (replay["read"], replay["error"]) == (1, None)
    assert replay["totals"] == {
        "events": 6,
        "same": 2,
        "new": 1,
        "changed": 1,
        "rekeyed": 1,
        "no_longer": 1,
        "new_points": 25,
        "taken_points": 50,
        "given_points": 25,
    }
    found = await shop.differences(replay["replay"])
    shown = [(each["index"], each["change"], each["then_outcome"], each["now_outcome"], each["now_points"]) for each in found]
    assert shown == [
        (0, "rekeyed", "granted", "granted", 25),
        (2, "new", "ignored", "granted", 25),
        (3, "changed", "ignored", "recorded", 0),
        (4, "no_longer", "granted", "ignored", 0),
    ]
    assert [each["taken_back"] for each in found] == [True, False, False, True]
    assert (found[0]["then_points"], found[0]["then_grant_id"] is not None, found[0]["customer"]) == (25, True, "cus_1")
    assert [each["index"] for each in await shop.differences(replay["replay"], "?change=same")] == [1, 5]
    paged = await shop.differences(replay["replay"], "?limit=2&after=1.0")
    assert [each["index"] for each in paged] == [2, 3]


async def test_a_correction_takes_back_what_was_wrong_and_pays_what_is_right(shop: Shop) -> None:
    await shop.open()
    await shop.sends(click("e-1", "C-1"), click("e-2", "C-2", "m-2"))
    await shop.sends(click("e-3", "C-3", "m-3"), click("e-1", "C-1"), {**click("e-4", "C-4", "m-4"), "person": None})
    assert await shop.balances("S-1") == [100]
    await shop.changes(shape=RIGHT)
    replay = await shop.replays(1, 2, dry_run=True)
    assert replay["totals"] | {"rekeyed": 4, "no_longer": 1, "taken_points": 100, "given_points": 75} == replay["totals"]
    done = await shop.corrects(replay["replay"])
    assert (done["state"], done["result"]["mode"], done["result"]["corrects"]) == ("executed", "correction", replay["replay"])
    assert await shop.balances("S-1", "C-1") == [100, 0]
    await shop.reads()
    assert await shop.balances("S-1", "C-1", "C-2", "C-3") == [0, 25, 25, 25]
    assert [await shop.told(n) for n in (1, 2)] == [[GRANTED] * 2, [GRANTED, DUPLICATE, ("ignored", "no_recipient")]]
    assert {each["correction"] for each in await shop.differences(replay["replay"])} == {"begun"}
    # Again is nothing: neither by a replay nor by another dry run or correction.
    await shop.replays(1, 2)
    again = await shop.replays(1, 2, dry_run=True)
    assert await shop.balances("S-1", "C-1", "C-2", "C-3") == [0, 25, 25, 25]
    assert again["totals"]["rekeyed"] == 0
    assert (await shop.asks(replay["replay"])).json()["code"] == "replay_outdated"
    taken = await shop.owner.fetch("SELECT reason, reference FROM ledger.correction")
    assert {tuple(row) for row in taken} == {("wrong_mapping", "src_1 replay 2")}
    await assert_books_are_sound(shop.owner)


async def test_copies_of_one_act_that_were_told_apart_are_one_grant_again(shop: Shop) -> None:
    """The message was read from the wrong place, so a click that came twice was paid twice; and another click not at all."""
    await shop.open({"fields": {"message_id": "$.attempt", "customer": "$.person"}})
    await shop.sends(
        click("e-1", "C-1", attempt="a-1"), click("e-1", "C-1", attempt="a-2"), click("e-2", "C-1", "m-2", attempt="a-1")
    )
    assert await shop.balances("C-1") == [50]
    await shop.changes(shape={"fields": {"customer": "$.person"}})
    replay = await shop.replays(dry_run=True)
    assert [each["change"] for each in await shop.differences(replay["replay"])] == ["rekeyed"] * 3
    assert [each["taken_back"] for each in await shop.differences(replay["replay"])] == [True, True, False]
    assert [replay["totals"][name] for name in ("rekeyed", "taken_points", "given_points")] == [3, 50, 50]
    await shop.corrects(replay["replay"])
    await shop.reads()
    assert await shop.told() == [GRANTED, DUPLICATE, GRANTED]
    assert await shop.balances("C-1") == [50]
    await assert_books_are_sound(shop.owner)


async def test_a_grant_that_another_event_is_still_stays(shop: Shop) -> None:
    await shop.open({"fields": {"customer": "$.person", "message_id": "$.newsletter"}})
    await shop.sends(click("e-1", "C-1", "n-1", newsletter="n-1"), click("e-2", "C-1", "n-2", newsletter="n-1"))
    assert await shop.told() == [GRANTED, DUPLICATE]
    await shop.sends(click("e-3", "C-1", "n-3", newsletter="n-1"))
    await shop.changes(shape={"fields": {"customer": "$.person"}})
    # The one in the same request was a copy of nothing; of the other that is not known without the whole range.
    await shop.replays(1, 2)
    assert [await shop.told(n) for n in (1, 2)] == [[DUPLICATE, GRANTED], [REKEYED]]
    replay = await shop.replays(1, 2, dry_run=True)
    (line,) = await shop.differences(replay["replay"])
    assert (line["change"], line["taken_back"]) == ("rekeyed", False)
    await shop.corrects(replay["replay"])
    await shop.reads()
    assert await shop.balances("C-1") == [75]
    await assert_books_are_sound(shop.owner)


async def test_what_somebody_else_reported_first_is_not_taken_back(shop: Shop) -> None:
    await shop.open()
    report = {"campaign": "autumn", "message_id": "m-1", "customer": {"id": "S-1"}, "action": "click", "channel": "email"}
    (await shop.links.api.client("messaging").post("/v1/grants", json=report)).raise_for_status()
    await shop.sends(click("e-1", "C-1"))
    assert await shop.told() == [DUPLICATE]
    await shop.changes(shape=RIGHT)
    await shop.replays()
    assert await shop.told() == [REKEYED]
    replay = await shop.replays(dry_run=True)
    assert (replay["totals"]["taken_points"], replay["totals"]["given_points"]) == (0, 25)
    await shop.corrects(replay["replay"])
    await shop.reads()
    assert await shop.balances("S-1", "C-1") == [25, 25]
    await assert_books_are_sound(shop.owner)


async def test_events_that_are_found_elsewhere_in_the_request_are_the_same_acts(shop: Shop) -> None:
    """The list of events was taken from the wrong place: the places of the events say nothing about what was paid for them."""
    await shop.open({"events": "$.copies", "fields": {"customer": "$.sender"}})
    first, second = click("e-1", "C-1"), click("e-2", "C-2", "m-2")
    body = {"copies": [second, first], "events": [first, second, click("e-3", "C-3", "m-3")]}
    await shop.sends_whole(body)
    assert await shop.balances("S-1") == [50]
    await shop.changes(shape={"events": "$.events", "fields": {"customer": "$.person"}})
    await shop.replays()
    assert await shop.told() == [REKEYED] * 3
    replay = await shop.replays(dry_run=True)
    found = [(each["index"], each["change"]) for each in await shop.differences(replay["replay"])]
    assert found == [(0, "rekeyed"), (1, "rekeyed"), (2, "new")]
    await shop.corrects(replay["replay"])
    await shop.reads()
    assert await shop.told() == [GRANTED] * 3
    assert await shop.balances("S-1", "C-1", "C-2", "C-3") == [0, 25, 25, 25]
    await assert_books_are_sound(shop.owner)


async def test_what_has_changed_since_the_dry_run_is_left_as_it_is(shop: Shop) -> None:
    await shop.open()
    await shop.sends(click("e-1", "C-1"), click("e-2", "C-2", "m-2"))
    await shop.changes(shape=RIGHT)
    replay = await shop.replays(dry_run=True)
    report = {"campaign": "autumn", "message_id": "m-2", "customer": {"id": "C-2"}, "action": "click", "channel": "email"}
    (await shop.links.api.client("messaging").post("/v1/grants", json=report)).raise_for_status()
    await shop.corrects(replay["replay"])
    await shop.reads()
    assert [each["correction"] for each in await shop.differences(replay["replay"])] == ["begun", "outdated"]
    assert await shop.told() == [GRANTED, DUPLICATE]
    assert await shop.balances("S-1", "C-1", "C-2") == [25, 25, 25]
    await assert_books_are_sound(shop.owner)


async def test_a_correction_is_of_the_mapping_that_there_is(shop: Shop) -> None:
    await shop.open()
    await shop.sends(click("e-1", "C-1"))
    await shop.changes(shape=RIGHT)
    replay = await shop.orders(dry_run=True)
    assert (await shop.asks(replay)).json()["code"] == "replay_not_done"
    await shop.reads()
    waits = (await shop.asks(replay)).json()
    await shop.changes(shape=WRONG)
    done = await shop.approves(waits)
    assert (done["state"], done["error"]["code"]) == ("failed", "replay_outdated")
    assert (await shop.asks(replay)).json()["code"] == "replay_outdated"
    same = await shop.replays(dry_run=True)
    assert same["totals"]["same"] == 1
    assert (await shop.asks(same["replay"])).status_code == 422
    ordinary = await shop.replays()
    assert (await shop.asks(ordinary["replay"])).status_code == 422
    assert await shop.balances("S-1", "C-1") == [25, 0]


async def test_a_correction_ends_when_the_mapping_is_changed(shop: Shop) -> None:
    await shop.open()
    await shop.sends(click("e-1", "C-1"))
    await shop.changes(shape=RIGHT)
    done = await shop.corrects((await shop.replays(dry_run=True))["replay"])
    # Nobody has approved of paying this one.
    await shop.changes(shape={"fields": {"customer": "$.other"}, "channel": "email"})
    await shop.services.sources.refresh(1)
    await shop.reads()
    ended = await shop.replay(done["result"]["replay"])
    assert (ended["error"], ended["done_at"] is not None) == (correcting.OTHER_MAPPING, True)
    assert await shop.balances("S-1", "C-1") == [25, 0]
    await assert_books_are_sound(shop.owner)


async def test_lines_that_were_tampered_with_are_not_carried_out(shop: Shop) -> None:
    await shop.open()
    await shop.sends(click("e-1", "C-1"), click("e-2", "C-2", "m-2"))
    await shop.changes(shape=RIGHT)
    replay = (await shop.replays(dry_run=True))["replay"]
    waits = (await shop.asks(replay)).json()
    await shop.owner.execute("UPDATE rewards.replayed_event SET takes = false WHERE line = 1")
    assert (await shop.approves(waits))["error"]["code"] == "replay_outdated"


async def test_nobody_asks_and_approves(shop: Shop, issuer: httpx.AsyncClient) -> None:
    await shop.open()
    await shop.sends(click("e-1", "C-1"))
    await shop.changes(shape=RIGHT)
    replay = (await shop.replays(dry_run=True))["replay"]
    path = f"/v1/sources/src_1/replays/{replay}/correct"
    # Whoever sets the mapping does not ask for it, and nobody who asks may approve.
    assert (await issuer.post(path, json={"reason": "x"})).status_code == 403
    asker = await client_of(shop.links.api, shop.owner, Role.CARE, name="Bo")
    asked = await asker.post(path, json={"reason": "x"})
    assert asked.status_code == 202
    later = await client_of(shop.links.api, shop.owner, Role.APPROVER, name="Cy")
    for client, code in ((asker, "missing_scope"), (issuer, "missing_scope"), (later, "enrolled_later")):
        answer = await client.post(f"/v1/approvals/{asked.json()['id']}/approve", json={"digest": asked.json()["digest"]})
        assert (answer.status_code, answer.json()["code"]) == (403, code)
    await shop.reads()
    assert await shop.balances("S-1", "C-1") == [25, 0]


async def test_another_brand_sees_no_replay(shop: Shop, owner: Owner) -> None:
    await shop.open()
    await shop.sends(click("e-1", "C-1"))
    replay = (await shop.replays(dry_run=True))["replay"]
    await make_brand(owner, "other")
    scopes = [Scope.GRANTS_READ, Scope.CORRECTIONS_WRITE]
    stranger = shop.links.api.client(key=(await create_key(owner, "other", "x", scopes, "A"))[0])
    path = f"/v1/sources/src_1/replays/{replay}"
    answers = [await stranger.get(path), await stranger.get(f"{path}/differences")]
    answers.append(await stranger.post(f"{path}/correct", json={"reason": "x"}))
    assert [answer.status_code for answer in answers] == [404] * 3


async def test_what_comes_is_read_before_a_dry_run_goes_on(shop: Shop) -> None:
    await shop.open()
    await shop.sends(click("e-1", "C-1"))
    replay = await shop.orders(dry_run=True)
    await shop.sends(click("e-2", "C-2", "m-2"))
    read_at = await shop.owner.fetchval("SELECT decided_at FROM rewards.envelope_outcome WHERE envelope_no = 2")
    done_at = await shop.owner.fetchval("SELECT done_at FROM rewards.source_replay WHERE replay_no = $1", replay)
    assert read_at < done_at


async def test_a_dry_run_of_too_many_events_is_given_up(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    await shop.open()
    await shop.sends(click("e-1", "C-1"))
    monkeypatch.setattr(dry_running, "LINES_MAX", 1)
    await shop.sends(click("e-2", "C-2", "m-2"), click("e-3", "C-2", "m-3"))
    given_up = await shop.replays(1, 2, dry_run=True)
    assert given_up["error"] == dry_running.TOO_MANY
    assert given_up["done_at"] is not None
    assert (await shop.asks(given_up["replay"])).status_code == 422


async def test_differences_go_with_the_deliveries(shop: Shop, worker_pool: asyncpg.Pool[Any]) -> None:
    await shop.open()
    await shop.sends(click("e-1", "C-1"))
    await shop.changes(shape=RIGHT)
    await shop.replays(dry_run=True)
    await envelope_pruner.run_once(worker_pool, days=3)
    assert await shop.owner.fetchval("SELECT count(*) FROM rewards.replayed_event") == 1
    await shop.owner.execute("UPDATE rewards.source_replay SET asked_at = asked_at - interval '4 days'")
    await envelope_pruner.run_once(worker_pool, days=3)
    assert await shop.owner.fetchval("SELECT count(*) FROM rewards.replayed_event") == 0


KILLED_AT = [
    # What the agent waits for, in which statement, and what it has posted by then.
    ("rewards.replayed_event", "rewards.replayed_event AS line SET state", [25, 25, 0, 0]),
    ("ledger.correction", "claw_back", [25, 25, 0, 0]),
    ("ledger.event", "post_grants", [0, 0, 0, 0]),
    ("rewards.envelope_outcome", "envelope_outcome", [0, 0, 25, 25]),
]


async def test_a_worker_that_is_killed_in_a_correction_leaves_it_to_the_next(shop: Shop) -> None:
    api = shop.links.api
    write_private(api.settings.secrets_path, msgspec.json.encode(api.secrets))
    await shop.open()
    await shop.sends(click("e-1", "C-1", sender="S-1"), click("e-2", "C-2", "m-2", sender="S-2"))
    await shop.changes(shape=RIGHT)
    replay = (await shop.replays(dry_run=True))["replay"]
    await shop.corrects(replay)
    for table, statement, posted in KILLED_AT:
        async with shop.owner.transaction():
            await shop.owner.execute(f"LOCK TABLE {table} IN SHARE MODE")
            with real_worker(api.settings) as worker:
                waiting = await until_waiting(shop.owner, statement, worker)
                worker.kill()
                worker.wait()
                # Nor does the database go on with what nobody waits for any more.
                await shop.owner.execute("SELECT pg_terminate_backend(pid) FROM unnest($1::integer[]) AS pid", waiting)
        assert await shop.balances("S-1", "S-2", "C-1", "C-2") == posted, table
    await shop.reads()
    assert await shop.told() == [GRANTED, GRANTED]
    assert await shop.balances("S-1", "S-2", "C-1", "C-2") == [0, 0, 25, 25]
    await assert_books_are_sound(shop.owner)
