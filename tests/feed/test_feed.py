"""The feed: whoever stops and resumes sees each thing once and misses none, also while others write."""

from __future__ import annotations

import asyncio
import random
from typing import Any, get_args

import asyncpg
import pytest

from ledger import Verb
from service.feed.schemas import Type
from tests.api_fixtures import Api, make_brand, make_keys

CAMPAIGN: dict[str, Any] = {
    "id": "autumn",
    "name": "Autumn",
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2099-01-01T00:00:00Z",
    "budget": 10_000,
    "rules": [{"action": "open", "points": 1}, {"action": "click", "points": 5}],
    "caps": [{"action": "click", "per": "customer", "window": "day", "max_grants": 4}],
}


@pytest.fixture
async def funded(api: Api) -> Api:
    """A campaign of which a customer is paid four clicks a day."""
    (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN)).raise_for_status()
    return api


POSTED = {"grant", "authorize", "capture", "void", "refund", "expire"}


async def report(api: Api, customer: str, message: str, action: str = "click", **changed: Any) -> Any:
    body = {
        "campaign": "autumn",
        "message_id": message,
        "customer": {"id": customer},
        "action": action,
        "channel": "email",
        **changed,
    }
    answer = await api.client("messaging").post("/v1/grants", json=body)
    assert answer.status_code in {200, 201}, answer.text
    return answer.json()


async def step(api: Api, path: str, key: str, **body: Any) -> Any:
    answer = await api.client("storefront").post(path, json=body, headers={"Idempotency-Key": key})
    return answer.json() if answer.status_code == 201 else None


async def feed(api: Api, after: str | None = None, limit: int = 1_000) -> Any:
    query = {"limit": limit} | ({} if after is None else {"after": after})
    return (await api.client("finance").get("/v1/events", params=query)).raise_for_status().json()


async def test_the_feed_tells_what_happened_in_order(funded: Api) -> None:
    granted = [(await report(funded, "c-1", f"m-{n}"))["grant_id"] for n in range(4)]
    refused = await report(funded, "c-1", "m-5")
    weak = await report(funded, "c-1", "m-6", "open")
    assert (refused["reason"], weak["outcome"]) == ("cap_reached", "waiting")
    quiet = await feed(funded)
    assert [entry["grant_id"] for entry in quiet["items"]] == [*granted, refused["grant_id"], weak["grant_id"]]
    assert (quiet["items"][5]["type"], quiet["items"][5]["reason"]) == ("waiting", "stronger_evidence_needed")

    order = {"customer": {"id": "c-1"}, "points": 12, "order_ref": "order-1"}
    held = await step(funded, "/v1/redemptions", "a", **order)
    path = f"/v1/redemptions/{held['redemption_id']}"
    await step(funded, f"{path}/capture", "b", points=10)
    await step(funded, f"{path}/refund", "c", points=3)
    assert (await report(funded, "c-1", "m-6", "open", evidence="B"))["outcome"] == "granted"

    entries = (await feed(funded))["items"]
    # What waited has been paid: who had not read that it waits reads only that it was paid.
    types = ["grant"] * 4 + ["refused", "authorize", "capture", "void", "refund", "grant"]
    assert [entry["type"] for entry in entries] == types
    assert [entry["points"] for entry in entries] == [5, 5, 5, 5, 0, 12, 10, 2, 3, 1]
    assert [entry["balance_change"] for entry in entries] == [5, 5, 5, 5, 0, -12, 0, 2, 3, 1]
    assert entries[4]["grant_id"] == refused["grant_id"]
    assert (entries[4]["reason"], entries[4]["message_id"], entries[4]["action"]) == ("cap_reached", "m-5", "click")
    assert {entry["redemption_id"] for entry in entries[5:9]} == {held["redemption_id"]}
    assert entries[9]["grant_id"] == weak["grant_id"]
    assert len({entry["customer"] for entry in entries}) == 1
    assert entries[6]["transaction_id"] == entries[7]["transaction_id"]
    balance = (await funded.client("storefront").get("/v1/customers/c-1/balance")).json()["balance"]
    assert sum(entry["balance_change"] for entry in entries) == balance


async def test_the_feed_goes_on_where_it_was_left(funded: Api) -> None:
    empty = await feed(funded)
    assert (empty["items"], empty["next"], empty["more"]) == ([], "0.0", False)
    for n in range(3):
        await report(funded, "c-1", f"m-{n}")
    whole = await feed(funded, empty["next"])
    assert whole["next"] == whole["items"][-1]["position"]
    first = await feed(funded, limit=1)
    assert (first["items"], first["more"]) == (whole["items"][:1], True)
    assert (await feed(funded, first["next"]))["items"] == whole["items"][1:]
    end = await feed(funded, whole["next"])
    assert (end["items"], end["next"], end["more"]) == ([], whole["next"], False)


async def test_what_is_refused_is_told_at_once_also_while_no_points_move(funded: Api) -> None:
    for n in range(4):
        await report(funded, "c-1", f"m-{n}")
    kept = (await feed(funded))["next"]
    for n in range(12):
        # All of them have the same seq, and keys in any order.
        refused = await report(funded, "c-1", f"refused-{n}")
        page = await feed(funded, kept)
        assert [(entry["grant_id"], entry["type"]) for entry in page["items"]] == [(refused["grant_id"], "refused")]
        kept = page["next"]
    await report(funded, "c-2", "m-last")
    page = await feed(funded, kept)
    assert [entry["type"] for entry in page["items"]] == ["grant"]
    types = [entry["type"] for entry in (await feed(funded))["items"]]
    assert types == ["grant"] * 4 + ["refused"] * 12 + ["grant"]


async def test_a_consumer_that_is_stopped_anywhere_sees_each_entry_once_and_misses_none(
    funded: Api, owner: asyncpg.Connection[Any]
) -> None:
    chance = random.Random(7)
    done = asyncio.Event()

    async def write(writer: int) -> None:
        dice = random.Random(writer)
        for n in range(60):
            customer, message = f"c-{dice.randrange(6)}", f"m-{writer}-{n}"
            match dice.randrange(5):
                case 0:
                    order = {"customer": {"id": customer}, "points": 2, "order_ref": message}
                    held = await step(funded, "/v1/redemptions", message, **order)
                    if held is not None:
                        end = dice.choice(["capture", "void"])
                        await step(funded, f"/v1/redemptions/{held['redemption_id']}/{end}", f"{message}-{end}")
                case 1:
                    await report(funded, customer, message, "open")
                    if dice.random() < 0.5:
                        await report(funded, customer, message, "open", evidence="B")
                case _:
                    await report(funded, customer, message)

    seen: list[Any] = []

    async def consume() -> None:
        kept: str | None = None
        while True:
            was_done = done.is_set()
            page = await feed(funded, kept, limit=chance.choice([1, 7, 1_000]))
            # Killed at random: only what was dealt with, and its position, is kept.
            for entry in page["items"]:
                seen.append(entry)
                kept = entry["position"]
                if chance.random() < 0.05:
                    break
            else:
                if was_done and not page["more"]:
                    return
            await asyncio.sleep(0)

    consuming = asyncio.create_task(consume())
    await asyncio.gather(*(write(writer) for writer in range(4)))
    done.set()
    await asyncio.wait_for(consuming, 60)

    positions = [tuple(map(int, entry["position"].split("."))) for entry in seen]
    assert len(set(positions)) == len(positions)
    # Neither goes back: what comes later is later in both.
    assert [sorted(numbers) for numbers in zip(*positions, strict=True)] == [list(n) for n in zip(*positions, strict=True)]
    posted = [position[0] for position, entry in zip(positions, seen, strict=True) if entry["type"] in POSTED]
    transfers = await owner.fetch("SELECT seq FROM ledger.transfer WHERE customer IS NOT NULL ORDER BY seq")
    assert posted == [row["seq"] for row in transfers]
    unpaid = await owner.fetch("SELECT campaign_no, encode(key, 'hex') AS key FROM ledger.event WHERE place IS NOT NULL")
    told = {entry["grant_id"] for entry in seen if entry["type"] not in POSTED}
    assert {f"grt_{row['campaign_no']:08x}{row['key']}" for row in unpaid} <= told
    refused = [entry["grant_id"] for entry in seen if entry["type"] == "refused"]
    assert len(set(refused)) == len(refused) > 0
    # Read again from the beginning, it is the same, but for what waited then and has been paid since.
    paid = {entry["grant_id"] for entry in seen if entry["type"] == "grant"}
    again = (await feed(funded))["items"]
    assert without_positions(again) == without_positions(
        [entry for entry in seen if entry["type"] != "waiting" or entry["grant_id"] not in paid]
    )


def without_positions(entries: list[Any]) -> list[Any]:
    """The entries but for how far a reader has come with each: who has read what waited has come further."""
    return [{name: value for name, value in entry.items() if name != "position"} for entry in entries]


@pytest.mark.parametrize(
    "after", ["", "x", "-1", "1", "1.", ".1", "1.1.1", "1." + "9" * 19, "9" * 19 + ".1", "1.1\n", "²", "1.²"]
)
async def test_a_place_that_is_none_is_refused(api: Api, after: str) -> None:
    for path in ("/v1/events", "/v1/grants"):
        answer = await api.client("messaging").get(path, params={"after": after})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")


async def test_a_position_that_the_feed_has_not_come_to_is_refused_by_name(funded: Api) -> None:
    """As after a restore: an empty page would let a reader wait there, and miss what is posted up to it."""
    end = (await feed(funded))["next"]
    assert (await feed(funded, end))["items"] == []
    seq, _, place = end.partition(".")
    for beyond in (f"{int(seq) + 100}.{place}", f"{seq}.{int(place) + 1}"):
        answer = await funded.client("messaging").get("/v1/events", params={"after": beyond})
        assert (answer.status_code, answer.json()["code"]) == (409, "position_beyond_end")


async def test_each_brand_reads_its_own_feed_with_the_right_scope(funded: Api, owner: asyncpg.Connection[Any]) -> None:
    await report(funded, "c-1", "m-1")
    others = await make_keys(owner, await make_brand(owner, "other"))
    assert (await funded.client(key=others["finance"]).get("/v1/events")).json()["items"] == []
    assert (await funded.client("storefront").get("/v1/events")).json()["code"] == "missing_scope"


def test_every_verb_that_happens_to_a_customer_is_a_type_of_entry() -> None:
    verbs = {verb.name.lower() for verb in Verb if verb not in (Verb.FUND, Verb.TIME_OUT)}
    assert set(get_args(Type)) == verbs | {"waiting", "refused", "offer.lapsed", "offer.fell_back"}
