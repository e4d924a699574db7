"""An offer that several messages make is paid once: for whichever is answered first, whoever reports it, in any order."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from service.ingest.envelope_reader import EnvelopeReader
from tests.api_fixtures import another
from tests.ingest.conftest import Owner, make_source
from tests.ingest.senders import SendGrid, click, send
from tests.ingest.test_reading import outcomes, read_all
from tests.ledger.conftest import assert_books_are_sound
from tests.links.conftest import Links
from tests.messages.conftest import Json, message, register
from tests.offers.conftest import CLAIMED, act, offer, short


async def test_the_first_claim_wins_and_the_others_are_told_who_it_was(links: Links, owner: Owner) -> None:
    api = links.api
    await offer(api, "sms-1", "mail-1")
    first = await act(api, "sms-1", "reply")
    assert short(first) == ("granted", None, 50)
    second = await act(api, "mail-1", channel="email")
    assert short(second) == CLAIMED
    assert not second["replayed"]
    winner = {
        "offer_group": "o-1",
        "grant_id": first["grant_id"],
        "message_id": "sms-1",
        "channel": "sms",
        "action": "reply",
    }
    assert (second["offer"], second["grant_id"], second["balance"]) == (winner, first["grant_id"], 50)
    # The same act is the same grant, as ever.
    again = await act(api, "sms-1", "reply")
    assert (short(again), again["replayed"], "offer" in again) == (("granted", None, 50), True, False)
    # Another act on the message that won is no second claim.
    assert short(await act(api, "sms-1")) == CLAIMED
    assert await links.balance("C-1") == 50
    await assert_books_are_sound(owner)


async def test_an_offer_is_one_customers_and_others_claim_their_own(links: Links) -> None:
    for customer in ("C-1", "C-2"):
        await offer(links.api, "sms-1", "mail-1", customer=customer)
    assert short(await act(links.api, "sms-1")) == ("granted", None, 25)
    assert short(await act(links.api, "mail-1", customer="C-2")) == ("granted", None, 25)


async def test_what_makes_no_offer_is_paid_as_ever(links: Links) -> None:
    await offer(links.api, "sms-1")
    for message_id in ("other-1", "other-2", "sms-1"):
        assert short(await act(links.api, message_id)) == ("granted", None, 25)
        assert short(await act(links.api, message_id, "reply")) == (("granted", None, 50) if "other" in message_id else CLAIMED)


DOORS = ("link", "provider", "api")


@pytest.mark.parametrize("order", list(itertools.permutations(DOORS)), ids="-".join)
async def test_three_doors_on_three_channels_are_one_grant_in_any_order(
    links: Links, issuer: httpx.AsyncClient, reader: EnvelopeReader, owner: Owner, order: tuple[str, ...]
) -> None:
    api, sender = links.api, SendGrid()
    url = (await make_source(issuer, sender))["ingest_url"]
    (await api.client("admin").put("/v1/customers/C-1", json={"email": "c1@example.org"})).raise_for_status()
    mail = message("mail-1", channel="email", provider="sendgrid", provider_message_id="sg-1", offer_group="o-1")
    await register(api, mail, message("chat-1", channel="whatsapp", offer_group="o-1"))
    [minted] = await links.mint(links.item("C-1", message_id="sms-1", channel="sms", offer_group="o-1"))

    async def by_link() -> None:
        await api.client(None).post(minted["url"], headers={"Sec-Fetch-Site": "same-origin"})

    async def by_provider() -> None:
        for _ in range(3):
            await send(api, url, sender.signed([click("c1@example.org", "sg-1")]))
        await read_all(reader)

    async def by_api() -> None:
        await act(api, "chat-1", channel="whatsapp")

    for who in order:
        await {"link": by_link, "provider": by_provider, "api": by_api}[who]()
    assert await links.balance("C-1") == 25
    [grant] = (await api.client("messaging").get("/v1/grants", params={"customer": "C-1"})).json()["items"]
    assert grant["message_id"] == {"link": "sms-1", "provider": "mail-1", "api": "chat-1"}[order[0]]
    told = {(each.outcome, each.reason) for each in await outcomes(owner)}
    assert told == ({("granted", None), ("duplicate", None)} if order[0] == "provider" else {("ignored", "offer_claimed")})
    await assert_books_are_sound(owner)


@pytest.mark.parametrize("round_", range(5))
async def test_two_siblings_claimed_at_once_in_two_processes_are_one_grant(links: Links, owner: Owner, round_: int) -> None:
    async with another(links.api) as other:
        await offer(links.api, *(f"m-{n}" for n in range(8)))
        answers = await asyncio.gather(*(act((links.api, other)[n % 2], f"m-{n}") for n in range(8)))
    paid = [each for each in answers if each["outcome"] == "granted"]
    assert len(paid) == 1
    assert [short(each) for each in answers if each not in paid] == [CLAIMED] * 7
    assert {each["grant_id"] for each in answers} == {paid[0]["grant_id"]}
    assert await links.balance("C-1") == 25
    await assert_books_are_sound(owner)


async def test_siblings_in_one_batch_are_one_grant(links: Links) -> None:
    await offer(links.api, "m-1", "m-2")
    items = [
        {"campaign": "autumn", "message_id": each, "customer": {"id": "C-1"}, "action": "click", "channel": "sms"}
        for each in ("m-1", "m-2", "m-1", "none")
    ]
    answer = await links.api.client("messaging").post("/v1/grants/batch", json=items)
    results = answer.raise_for_status().json()["results"]
    assert [short(each) for each in results] == [("granted", None, 25), CLAIMED, ("granted", None, 25), ("granted", None, 25)]
    assert (results[1]["status"], results[1]["offer"]["message_id"]) == (200, "m-1")
    assert await links.balance("C-1") == 50


@pytest.mark.parametrize("claimed_after", [False, True])
async def test_after_a_merge_the_offer_to_both_is_one(links: Links, owner: Owner, *, claimed_after: bool) -> None:
    api = links.api
    await offer(api, "m-1", "m-2", customer="C-1")
    await offer(api, "m-3", "m-4", customer="C-2")
    async with another(api) as other:
        # The other process knows both customers as they are now.
        await act(other, "none-1", customer="C-1")
        await act(other, "none-2", customer="C-2")
        if not claimed_after:
            await act(api, "m-3", customer="C-2")
        merged = await api.client("admin").post("/v1/customers/C-1/merge", json={"from": {"id": "C-2"}})
        merged.raise_for_status()
        if claimed_after:
            assert short(await act(other, "m-4", customer="C-2")) == ("granted", None, 25)
        for message_id, customer in (("m-1", "C-1"), ("m-2", "C-2"), ("m-4" if not claimed_after else "m-3", "C-1")):
            assert short(await act(other, message_id, customer=customer)) == CLAIMED, message_id
    assert await links.balance("C-1") == 75
    await assert_books_are_sound(owner)


async def test_what_was_claimed_together_counts_for_both_after_a_split(links: Links) -> None:
    api, admin = links.api, links.api.client("admin")
    await offer(api, "m-1", "m-2", customer="C-1")
    await offer(api, "m-3", customer="C-2")
    (await admin.post("/v1/customers/C-1/merge", json={"from": {"id": "C-2"}})).raise_for_status()
    assert short(await act(api, "m-1", customer="C-2")) == ("granted", None, 25)
    (await admin.post("/v1/customers/C-1/split", json={"customer": {"id": "C-2"}})).raise_for_status()
    for message_id, customer in (("m-2", "C-1"), ("m-3", "C-2")):
        assert short(await act(api, message_id, customer=customer)) == CLAIMED, message_id


@pytest.mark.parametrize("sibling", ["m-1", "m-2"])
async def test_what_was_decided_before_its_message_was_registered_has_claimed_the_offer(links: Links, sibling: str) -> None:
    assert short(await act(links.api, "m-1")) == ("granted", None, 25)
    await offer(links.api, "m-1", "m-2")
    again = await act(links.api, "m-1")
    assert (short(again), again["replayed"]) == (("granted", None, 25), True)
    assert short(await act(links.api, sibling, "reply")) == CLAIMED
    assert await links.balance("C-1") == 25


async def test_a_weak_report_claims_nothing_and_a_strong_one_of_a_sibling_does(links: Links, owner: Owner) -> None:
    await offer(links.api, "m-1", "m-2", "m-3")
    assert short(await act(links.api, "m-1", "open")) == ("waiting", "stronger_evidence_needed", 0)
    assert short(await act(links.api, "m-2", "open")) == ("waiting", "stronger_evidence_needed", 0)
    assert short(await act(links.api, "m-3")) == ("granted", None, 25)
    assert short(await act(links.api, "m-1", "open")) == CLAIMED
    assert await links.balance("C-1") == 25
    await assert_books_are_sound(owner)


async def test_the_page_of_a_siblings_link_says_that_the_offer_is_claimed(links: Links) -> None:
    api = links.api
    item = links.item("C-1", message_id="m-1", offer_group="o-1")
    [minted, other] = await links.mint(item, item | {"message_id": "m-2"})
    await act(api, "m-1", channel="email")
    browser = api.client(None)
    for answer in (
        await browser.get(other["url"]),
        await browser.post(other["url"], headers={"Sec-Fetch-Site": "same-origin"}, follow_redirects=True),
    ):
        assert "answered another of our messages" in answer.text
    assert "already paid you its 25" in (await browser.get(minted["url"])).text
    assert await links.balance("C-1") == 25


async def test_a_quote_knows_that_the_offer_is_claimed(links: Links) -> None:
    await offer(links.api, "m-1", "m-2")
    wanted = [
        {"campaign": "autumn", "message_id": each, "customer": {"id": "C-1"}, "action": "click", "channel": "sms"}
        for each in ("m-1", "m-2")
    ]

    async def quoted() -> list[Any]:
        answer = await links.api.client("messaging").post("/v1/grants/quote/batch", json=wanted)
        return [short(each) for each in answer.raise_for_status().json()["results"]]

    assert await quoted() == [("granted", None, 25)] * 2
    await act(links.api, "m-1")
    assert await quoted() == [("granted", None, 25), CLAIMED]


async def test_what_happens_after_an_offer_lapses_earns_nothing(links: Links, owner: Owner) -> None:
    ends = datetime.now(UTC) + timedelta(hours=1)
    await offer(links.api, "m-1", "m-2", lapses_at=ends.isoformat())
    await owner.execute("UPDATE rewards.offer SET lapses_at = clock_timestamp() - interval '1 minute'")
    assert short(await act(links.api, "m-1")) == ("ignored", "offer_lapsed", 0)
    [minted] = await links.mint(links.item("C-1", message_id="m-1"))
    page = await links.api.client(None).post(minted["url"], headers={"Sec-Fetch-Site": "same-origin"}, follow_redirects=True)
    assert "Nobody claimed it in time" in page.text
    # Reported late, and in time when it happened.
    earlier = (datetime.now(UTC) - timedelta(minutes=2)).isoformat()
    assert short(await act(links.api, "m-1", occurred_at=earlier)) == ("granted", None, 25)
    assert short(await act(links.api, "m-2")) == CLAIMED


@pytest.mark.one_process("counts what this process asks of the database")
async def test_campaigns_without_offers_ask_for_none(links: Links, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("service.grants.deciding.offers_of_messages", asked.append)
    assert short(await act(links.api, "m-1", campaign="winter")) == ("granted", None, 25)
    item = {"campaign": "winter", "message_id": "m-2", "customer": {"id": "C-1"}, "action": "click", "channel": "sms"}
    (await links.api.client("messaging").post("/v1/grants/batch", json=[item, item])).raise_for_status()
    assert not asked


async def test_a_refused_offer_is_redecided_as_one(links: Links, owner: Owner) -> None:
    api = links.api
    caps = [{"per": "customer", "window": "ever", "max_points": 30}]
    raised = [{"per": "customer", "window": "ever", "max_points": 60}]
    terms = (await api.client("admin").get("/v1/campaigns/autumn")).json()
    kept: Json = {name: terms[name] for name in ("name", "starts_at", "ends_at")}
    rules = [{"action": "click", "points": 25}]
    (
        await api.client("admin").post("/v1/campaigns/autumn/versions", json={**kept, "rules": rules, "caps": caps})
    ).raise_for_status()
    await act(api, "none")
    await offer(api, "m-1", "m-2")
    assert short(await act(api, "m-1")) == ("refused", "cap_reached", 0)
    assert short(await act(api, "m-2")) == ("refused", "cap_reached", 0)
    (
        await api.client("admin").post("/v1/campaigns/autumn/versions", json={**kept, "rules": rules, "caps": raised})
    ).raise_for_status()
    redecided = await api.client("approver").post("/v1/campaigns/autumn/redecide", json={})
    assert redecided.raise_for_status().json()["granted"] == 1
    assert short(await act(api, "m-2")) == CLAIMED
    assert await links.balance("C-1") == 50
    await assert_books_are_sound(owner)
