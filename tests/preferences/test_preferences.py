"""Preferences: what a customer chooses on her page or through the brand's, what follows, and what her answer earns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from service.preferences.pages import read_form
from service.preferences.schemas import ChannelResponse, PreferencesResponse
from service.tokens.customer import LIFE_S, CustomerTokenKind
from tests.api_fixtures import Api
from tests.links.customer_pages import FORM, own_page

HTML = {"Accept": "text/html"}
JSON = {"Accept": "application/json"}


async def make_campaign(api: Api, name: str = "profile", *rules: dict[str, Any], **changed: Any) -> None:
    now = datetime.now(UTC)
    campaign: dict[str, Any] = {
        "id": name,
        "name": name.title(),
        "starts_at": (now - timedelta(days=1)).isoformat(),
        "ends_at": (now + timedelta(days=30)).isoformat(),
        "budget": 1_000,
        "rules": list(rules) or [{"action": "data.preferences", "points": 40}],
        **changed,
    }
    (await api.client("admin").post("/v1/campaigns", json=campaign)).raise_for_status()


@pytest.fixture
async def known(api: Api) -> Api:
    """C-1 is customer 1 of the brand; a campaign writes by email and text message."""
    (await api.client("admin").put("/v1/customers/C-1", json={"email": "someone@mail.example"})).raise_for_status()
    await make_campaign(
        api,
        "news",
        {"action": "click", "channel": "email", "points": 5},
        {"action": "reply", "channel": "sms", "points": 10},
        {"action": "visit", "channel": "web", "points": 1},
    )
    return api


async def read(api: Api) -> dict[str, Any]:
    answer = await api.client().get(own_page(api, CustomerTokenKind.PREFERENCES), headers=JSON)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def put(api: Api, channels: dict[str, str] | None = None, **wanted: Any) -> httpx.Response:
    if channels is not None:
        wanted["channels"] = [{"channel": channel, "status": status} for channel, status in channels.items()]
    return await api.client().put(own_page(api, CustomerTokenKind.PREFERENCES), json=wanted, headers=JSON)


async def send_form(api: Api, content: str, **headers: str) -> httpx.Response:
    path = own_page(api, CustomerTokenKind.PREFERENCES)
    return await api.client().post(path, content=content, headers={**FORM, "Sec-Fetch-Site": "same-origin", **headers})


def form(channels: Sequence[str], frequency: str = "any", *, rewards: bool = True) -> str:
    fields = [f"channel.{channel}={'granted' if channel in channels else 'refused'}" for channel in ("email", "sms")]
    return "&".join([*fields, f"frequency={frequency}", *(["rewards=yes"] if rewards else [])])


async def consents(api: Api) -> dict[str, tuple[str, str]]:
    answer = await api.client("storefront").get("/v1/customers/C-1/consents")
    return {said["channel"]: (said["status"], said["recorded_by"]) for said in answer.json()["current"]}


async def balance(api: Api) -> int:
    return (await api.client("storefront").get("/v1/customers/C-1/balance")).json()["balance"]


async def test_nothing_is_chosen_before_she_answers(known: Api) -> None:
    assert await read(known) == {
        "channels": [{"channel": "email", "status": "unsaid"}, {"channel": "sms", "status": "unsaid"}],
        "frequency": None,
        "rewards": True,
        "reward": None,
        "answered_at": None,
    }
    assert await consents(known) == {}


async def test_what_she_chooses_holds_and_the_brand_can_read_it(known: Api) -> None:
    answer = await put(known, channels={"email": "granted", "sms": "refused"}, frequency="weekly")
    assert answer.status_code == 200
    told = answer.json()["preferences"]
    assert told["channels"] == [{"channel": "email", "status": "granted"}, {"channel": "sms", "status": "refused"}]
    assert (told["frequency"], told["rewards"]) == ("weekly", True)
    assert await read(known) == told
    assert (await known.client("storefront").get("/v1/customers/C-1/preferences")).json() == told
    assert await consents(known) == {"email": ("granted", "customer"), "sms": ("refused", "customer")}
    # What is absent stays as it is.
    again = (await put(known, channels={"sms": "granted"})).json()["preferences"]
    assert (again["channels"][1]["status"], again["frequency"]) == ("granted", "weekly")


async def test_a_channel_she_refuses_is_not_paid(known: Api) -> None:
    await put(known, channels={"sms": "refused"})
    act = {"campaign": "news", "message_id": "m", "customer": {"id": "C-1"}, "action": "reply", "channel": "sms"}
    answer = (await known.client("messaging").post("/v1/grants", json=act)).json()
    assert (answer["outcome"], answer["reason"]) == ("ignored", "consent_refused")


async def test_who_wants_no_rewards_gets_none_and_keeps_what_she_has(known: Api) -> None:
    click = {"campaign": "news", "customer": {"id": "C-1"}, "action": "click", "channel": "email"}
    link = click | {"message_id": "kept", "destination": "https://shop.example/"}
    messaging = known.client("messaging")
    assert (await messaging.post("/v1/grants", json=click | {"message_id": "m1"})).json()["outcome"] == "granted"
    minted = (await messaging.post("/v1/links", json={"links": [link]})).json()["results"][0]["url"]

    assert (await put(known, rewards=False)).json()["preferences"]["rewards"] is False
    assert (await messaging.post("/v1/grants", json=click | {"message_id": "m2"})).json()["reason"] == "consent_refused"
    refused = (await messaging.post("/v1/links", json={"links": [link | {"message_id": "m3"}]})).json()["results"][0]
    assert refused["problem"]["code"] == "consent_refused"
    # Not even a link that was out before: she has said so of everything.
    assert "Nothing to earn just now" in (await known.client().get(minted, headers=HTML)).text
    await known.client().post(minted, headers=HTML)
    assert await balance(known) == 5

    assert (await put(known, rewards=True)).json()["preferences"]["rewards"] is True
    await known.client().post(minted, headers=HTML)
    assert await balance(known) == 10


async def test_an_answer_is_paid_once(known: Api) -> None:
    await make_campaign(known)
    assert (await read(known))["reward"] == 40
    first = (await put(known, frequency="monthly")).json()
    assert first["earned"] == {"outcome": "granted", "points": 40, "balance": 40, "replayed": False}
    assert first["preferences"]["reward"] is None
    second = (await put(known, frequency="any")).json()
    assert second["earned"] == {"outcome": "granted", "points": 40, "balance": 40, "replayed": True}
    assert await balance(known) == 40
    grants = (await known.client("messaging").get("/v1/grants", params={"customer": "C-1"})).json()["items"]
    assert [(grant["action"], grant["points"]) for grant in grants] == [("data.preferences", 40)]


async def test_of_many_answers_at_once_one_is_paid(known: Api) -> None:
    import asyncio

    await make_campaign(known)
    answers = await asyncio.gather(*(put(known, frequency="weekly") for _ in range(8)))
    assert [answer.status_code for answer in answers] == [200] * 8
    assert sum(not answer.json()["earned"]["replayed"] for answer in answers) == 1
    assert await balance(known) == 40


async def test_who_says_that_she_wants_no_rewards_gets_none_for_saying_so(known: Api) -> None:
    await make_campaign(known)
    assert (await put(known, rewards=False)).json()["earned"]["outcome"] == "ignored"
    assert await balance(known) == 0


async def test_no_campaign_pays_nothing(known: Api) -> None:
    assert (await put(known, frequency="any")).json()["earned"] == {
        "outcome": None,
        "points": 0,
        "balance": None,
        "replayed": False,
    }


async def test_a_campaign_that_is_over_or_paused_pays_nothing(known: Api) -> None:
    now = datetime.now(UTC)
    await make_campaign(known, "next", starts_at=(now + timedelta(days=1)).isoformat())
    await make_campaign(known, "paused")
    await known.client("admin").post("/v1/campaigns/paused/pause")
    assert (await read(known))["reward"] is None
    assert (await put(known, frequency="any")).json()["earned"]["outcome"] is None


async def test_the_form_does_the_same_and_its_end_has_no_token(known: Api) -> None:
    await make_campaign(known)
    page = await known.client().get(own_page(known, CustomerTokenKind.PREFERENCES), headers=HTML)
    assert "Your answer earns 40 Lumens, once." in page.text
    sent = await send_form(known, form(["email"], "weekly"))
    assert sent.status_code == 303
    assert sent.headers["location"].startswith("/r/done/")
    thanks = (await known.client().get(sent.headers["location"], headers=HTML)).text
    assert "40 Lumens added" in thanks
    assert await consents(known) == {"email": ("granted", "customer"), "sms": ("refused", "customer")}
    told = await read(known)
    assert (told["frequency"], told["rewards"], told["reward"]) == ("weekly", True, None)
    again = await send_form(known, form(["email", "sms"], "weekly"))
    assert "<h1>Saved</h1>" in (await known.client().get(again.headers["location"], headers=HTML)).text
    assert (await consents(known))["sms"] == ("granted", "customer")
    assert await balance(known) == 40


async def test_nothing_is_chosen_for_a_customer(known: Api) -> None:
    page = await known.client().get(own_page(known, CustomerTokenKind.PREFERENCES), headers=HTML)
    assert re.findall(r'name="(channel\.\w+)" value="(\w+)"( checked)?', page.text) == [
        (f"channel.{channel}", status, "") for channel in ("email", "sms") for status in ("granted", "refused")
    ]
    await send_form(known, "frequency=any&rewards=yes")
    assert await consents(known) == {}
    await send_form(known, form(["email"]))
    assert await consents(known) == {"email": ("granted", "customer"), "sms": ("refused", "customer")}
    page = await known.client().get(own_page(known, CustomerTokenKind.PREFERENCES), headers=HTML)
    assert re.findall(r'name="(channel\.\w+)" value="(\w+)" checked', page.text) == [
        ("channel.email", "granted"),
        ("channel.sms", "refused"),
    ]


async def test_another_sites_form_changes_nothing(known: Api) -> None:
    answer = await send_form(known, form([], rewards=False), **{"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert "Another page tried to change your choices." in answer.text
    assert (await read(known))["answered_at"] is None


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://elsewhere.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.example"}, 403),
        ({"Origin": "https://shop.example"}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://shop.example"}, 200),
        ({}, 200),
    ],
)
async def test_a_page_of_the_brands_own_may_take_it_down_and_no_other(known: Api, headers: dict[str, str], status: int) -> None:
    path = own_page(known, CustomerTokenKind.PREFERENCES)
    answer = await known.client().put(path, json={"frequency": "weekly"}, headers=headers)
    assert answer.status_code == status, answer.text
    assert status == 200 or answer.json()["code"] == "origin_not_allowed"
    assert (await read(known))["frequency"] == ("weekly" if status == 200 else None)


@pytest.mark.parametrize("content", ["", "frequency=daily", "frequency=any&frequency=weekly", "%ff=%ff", "a=1&" * 200])
async def test_what_is_no_form_of_ours_changes_nothing(known: Api, content: str) -> None:
    assert (await send_form(known, content)).status_code == 403
    assert (await read(known))["answered_at"] is None


@pytest.mark.parametrize(
    ("wanted", "pointer"),
    [
        ({"frequency": "daily"}, "/frequency"),
        ({"channels": {"Email": "granted"}}, "/channels/0/channel"),
        ({"channels": {"email": "maybe"}}, "/channels/0/status"),
        ({"channels": {"email": "granted", "rewards": "refused"}}, "/channels/1/channel"),
        ({"channels": {f"c{n}": "granted" for n in range(33)}}, "/channels"),
        ({"rewards": "no"}, "/rewards"),
        ({"reward": True}, "/reward"),
    ],
)
async def test_what_cannot_be_chosen_is_named(known: Api, wanted: dict[str, Any], pointer: str) -> None:
    answer = await put(known, **wanted)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"].startswith(pointer)
    assert (await read(known))["answered_at"] is None


async def test_the_page_opens_to_its_own_token_alone(known: Api) -> None:
    for path, status, code in (
        (own_page(known, CustomerTokenKind.PREFERENCES)[:-2], 404, "not_found"),
        (own_page(known, CustomerTokenKind.WALLET).replace("/wallet/", "/preferences/"), 404, "not_found"),
        (own_page(known, CustomerTokenKind.PREFERENCES, age_s=LIFE_S[CustomerTokenKind.PREFERENCES] + 1), 410, "link_expired"),
    ):
        for answer in (
            await known.client().get(path, headers=JSON),
            await known.client().put(path, json={"rewards": False}),
        ):
            assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert (await known.client().post(path, content=form([]), headers=FORM)).status_code == status
        # The token is looked at before anything is read of what came along.
        for method, content in (("PUT", b"{" * 1_000), ("POST", b"\xff" * 1_000)):
            sent = await known.client().request(method, path, content=content, headers=JSON | {"Content-Encoding": "x"})
            assert sent.status_code == status
    assert (await read(known))["answered_at"] is None
    nobody = await known.client("storefront").get("/v1/customers/C-404/preferences")
    assert nobody.status_code == 404


async def test_what_she_chose_comes_along_when_two_become_one(known: Api) -> None:
    await known.client("messaging").post(
        "/v1/grants",
        json={"campaign": "news", "message_id": "m", "customer": {"id": "C-2"}, "action": "click", "channel": "email"},
    )
    path = own_page(known, CustomerTokenKind.PREFERENCES, customer=2)
    await known.client().put(path, json={"frequency": "monthly", "channels": [{"channel": "sms", "status": "refused"}]})
    (await known.client("admin").post("/v1/customers/C-1/merge", json={"from": {"id": "C-2"}})).raise_for_status()
    told = await read(known)
    assert (told["frequency"], told["channels"][1]["status"]) == ("monthly", "refused")
    # Her old link is still hers.
    assert (await known.client().get(path, headers=JSON)).json() == told


async def test_the_application_changes_an_answer_and_never_whose_it_is(application_pool: asyncpg.Pool[Any]) -> None:
    for forbidden in ("UPDATE rewards.preference SET customer = 2", "DELETE FROM rewards.preference"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await application_pool.execute(forbidden)


def test_a_form_says_only_what_was_changed() -> None:
    stands = PreferencesResponse(
        channels=[ChannelResponse("email", "granted"), ChannelResponse("sms", "refused"), ChannelResponse("push", "unsaid")],
        frequency=None,
        rewards=True,
        reward=None,
        answered_at=None,
    )
    for chosen, said in (
        ("", {}),
        ("channel.email=granted&channel.sms=refused", {}),
        ("channel.email=granted&channel.sms=granted&channel.push=granted", {"sms": "granted", "push": "granted"}),
        ("channel.email=refused&channel.push=refused", {"email": "refused", "push": "refused"}),
        ("channel.fax=granted&channel.email=perhaps&channel.sms=granted&channel.sms=refused", {}),
    ):
        request = read_form(f"frequency=any&{chosen}".encode(), stands)
        assert request is not None
        assert {each.channel: each.status for each in request.channels} == said
    # The form of the version before had boxes, ticked for the customer.
    assert read_form(b"shown=email&frequency=any&channel=email", stands) is None
    request = read_form(b"frequency=any", stands)
    assert request is not None
    assert request.rewards is False
    assert re.fullmatch("any|weekly|monthly", request.frequency or "")
