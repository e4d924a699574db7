"""The life of an offer: it goes as far as its messages, falls back when one will not arrive, and ends claimed or lapsed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest

from service.ingest.envelope_reader import EnvelopeReader
from service.offers.offer_lapser import LATE, OfferLapser
from service.services import Services
from service.settings import write_private
from tests.api_fixtures import Api
from tests.ingest.conftest import Owner, make_source
from tests.ingest.senders import SendGrid, click, send
from tests.ingest.test_reading import outcomes, read_all
from tests.ledger.conftest import assert_books_are_sound
from tests.links.conftest import Links
from tests.messages.conftest import Json, message, register
from tests.offers.conftest import CLAIMED, act, offer, short
from tests.real_worker import real_worker, until_waiting


@pytest.fixture
def lapser(agent_services: Services) -> OfferLapser:
    return OfferLapser(agent_services)


async def offer_of(api: Api, group: str = "o-1", **query: str) -> Json:
    answer = await api.client("messaging").get(f"/v1/offers/{group}", params=query)
    return answer.raise_for_status().json()


async def listed(api: Api, **query: Any) -> list[str]:
    """The groups of the offers that a list has, page by page of one."""
    found: list[str] = []
    after: str | None = None
    while True:
        asked = {"limit": 1, **query} | ({} if after is None else {"after": after})
        page = (await api.client("messaging").get("/v1/offers", params=asked)).raise_for_status().json()
        found += [each["offer_group"] for each in page["items"]]
        after = page["next"]
        if after is None:
            return found


async def told_of_offers(api: Api) -> list[Json]:
    """What the feed says of offers."""
    page = (await api.client("admin").get("/v1/events", params={"limit": 1000})).raise_for_status().json()
    return [each for each in page["items"] if each["type"].startswith("offer.")]


async def overdue(owner: Owner, *, since: timedelta = LATE) -> None:
    """Have all offers lapse."""
    await owner.execute("UPDATE rewards.offer SET lapses_at = clock_timestamp() - $1::interval", since + timedelta(minutes=1))


async def test_an_offer_that_nobody_claims_lapses_and_the_feed_says_so_once(
    links: Links, owner: Owner, lapser: OfferLapser
) -> None:
    api = links.api
    await offer(api, "m-1", "m-2")
    await overdue(owner, since=timedelta())
    # Acts of before may still be reported.
    assert await lapser.run_once() == 0
    await overdue(owner)
    assert await lapser.run_once() == 1
    [told] = await told_of_offers(api)
    assert (told["type"], told["offer_group"], told["campaign"], told["points"]) == ("offer.lapsed", "o-1", "autumn", 0)
    assert (told["grant_id"], told["message_id"], told["balance_change"]) == (None, None, 0)
    shown = await offer_of(api)
    assert (shown["state"], shown["claim"]) == ("lapsed", None)
    assert [each["state"] for each in shown["messages"]] == ["void", "void"]
    await owner.execute("UPDATE rewards.offer SET state = 1, ended_at = NULL")
    assert await lapser.run_once() == 1
    assert await lapser.run_once() == 0
    assert (await listed(api, state="lapsed"), len(await told_of_offers(api))) == (["o-1"], 1)
    # Reported when it is too late, of a time before it lapsed.
    earlier = (datetime.now(UTC) - LATE - timedelta(minutes=5)).isoformat()
    assert short(await act(api, "m-1", occurred_at=earlier)) == ("refused", "offer_lapsed", 0)
    assert short(await act(api, "m-2")) == ("refused", "offer_lapsed", 0)
    assert await links.balance("C-1") == 0
    await assert_books_are_sound(owner)


async def test_what_waited_or_was_refused_is_over_when_the_offer_lapses(
    links: Links, owner: Owner, lapser: OfferLapser
) -> None:
    api = links.api
    await offer(api, "m-1", "m-2")
    waits = await act(api, "m-1", "open")
    assert short(waits) == ("waiting", "stronger_evidence_needed", 0)
    await overdue(owner)
    await lapser.run_once()
    assert len(await told_of_offers(api)) == 1
    grant = (await api.client("messaging").get(f"/v1/grants/{waits['grant_id']}")).json()
    assert (short(grant), grant["message_id"]) == (("refused", "offer_lapsed", 0), "m-1")
    earlier = (datetime.now(UTC) - LATE - timedelta(minutes=5)).isoformat()
    assert short(await act(api, "m-2", "reply", occurred_at=earlier)) == ("refused", "offer_lapsed", 0)
    await assert_books_are_sound(owner)


async def test_an_offer_that_was_claimed_does_not_lapse(links: Links, owner: Owner, lapser: OfferLapser) -> None:
    api = links.api
    await offer(api, "m-1", "m-2")
    claim = await act(api, "m-2", "reply")
    assert await listed(api, state="claimed") == ["o-1"]
    # A process was killed after the claim was posted.
    await owner.execute("UPDATE rewards.offer SET state = 1, ended_at = NULL")
    shown = await offer_of(api)
    assert (shown["state"], shown["claim"]["grant_id"], shown["claim"]["points"]) == ("claimed", claim["grant_id"], 50)
    assert [each["state"] for each in shown["messages"]] == ["void", "claimed"]
    await overdue(owner)
    await lapser.run_once()
    assert (await listed(api, state="claimed"), await told_of_offers(api)) == (["o-1"], [])
    await assert_books_are_sound(owner)


@pytest.mark.parametrize("round_", range(5))
async def test_a_lapse_and_claims_at_once_are_one_or_the_other(
    links: Links, owner: Owner, lapser: OfferLapser, round_: int
) -> None:
    api, groups = links.api, [f"o-{n}" for n in range(6)]
    for group in groups:
        await offer(api, f"{group}-a", f"{group}-b", group=group)
    await overdue(owner)
    earlier = (datetime.now(UTC) - LATE - timedelta(minutes=5)).isoformat()
    claims = [act(api, f"{group}-{which}", occurred_at=earlier) for group in groups for which in "ab"]
    answers, _ = await asyncio.gather(asyncio.gather(*claims), lapser.run_once())
    paid = [each for each in answers if each["outcome"] == "granted"]
    lapsed = {each["offer_group"] for each in await told_of_offers(api)}
    assert len(paid) + len(lapsed) == len(groups)
    assert await links.balance("C-1") == 25 * len(paid)
    await lapser.run_once()
    assert set(await listed(api, state="lapsed")) == lapsed
    assert set(await listed(api, state="claimed")) == set(groups) - lapsed
    await assert_books_are_sound(owner)


async def test_a_killed_workers_lapse_is_noted_once_by_the_next(links: Links, owner: Owner, lapser: OfferLapser) -> None:
    api = links.api
    write_private(api.settings.secrets_path, msgspec.json.encode(api.secrets))
    for group in ("o-1", "o-2", "o-3"):
        await offer(api, f"m-{group}", group=group)
    await act(api, "m-o-2")
    await owner.execute("UPDATE rewards.offer SET state = 1")
    await overdue(owner)
    async with owner.transaction():
        # The last thing it does for a batch is to note what has ended.
        await owner.execute("LOCK TABLE rewards.offer IN SHARE MODE")
        # The retention keeper is not to wait for it as well.
        with real_worker(msgspec.structs.replace(api.settings, messages_days=0)) as worker:
            await until_waiting(owner, "SET state = ended.state", worker)
            worker.kill()
            worker.wait()
    assert {each["offer_group"] for each in await told_of_offers(api)} == {"o-1", "o-3"}
    assert await listed(api, state="lapsed") == []
    await lapser.run_once()
    assert (await listed(api, state="lapsed"), await listed(api, state="claimed")) == (["o-1", "o-3"], ["o-2"])
    assert len(await told_of_offers(api)) == 2
    await assert_books_are_sound(owner)


@pytest.mark.parametrize("claimed", [False, True])
async def test_merged_customers_offers_lapse_together_at_the_later_time(
    links: Links, owner: Owner, lapser: OfferLapser, *, claimed: bool
) -> None:
    api = links.api
    await offer(api, "m-1", customer="C-1")
    await overdue(owner)
    await offer(api, "m-2", customer="C-2")
    (await api.client("admin").post("/v1/customers/C-1/merge", json={"from": {"id": "C-2"}})).raise_for_status()
    await lapser.run_once()
    assert await told_of_offers(api) == []
    if claimed:
        assert short(await act(api, "m-2")) == ("granted", None, 25)
    await overdue(owner)
    await lapser.run_once()
    assert len(await told_of_offers(api)) == (0 if claimed else 1)
    assert await listed(api, state="claimed" if claimed else "lapsed") == ["o-1", "o-1"]
    await assert_books_are_sound(owner)


BOUNCE = {"event": "bounce", "type": "bounce"}
BLOCKED = {"event": "bounce", "type": "blocked"}


class Mails:
    """What SendGrid reports of the mail ``mail-1``, which offers what ``sms-1`` does."""

    def __init__(self, api: Api, reader: EnvelopeReader, owner: Owner, url: str, sender: SendGrid) -> None:
        self._api, self._reader, self._owner, self._url, self._sender = api, reader, owner, url, sender

    async def report(self, **fields: Any) -> tuple[str, str | None]:
        """What became of an event."""
        await send(self._api, self._url, self._sender.signed([click("c1@example.org", "sg-1", **fields)]))
        await read_all(self._reader)
        last = (await outcomes(self._owner))[-1]
        return last.outcome, last.reason


@pytest.fixture
async def mails(links: Links, issuer: httpx.AsyncClient, reader: EnvelopeReader, owner: Owner) -> Mails:
    api, sender = links.api, SendGrid()
    url = (await make_source(issuer, sender))["ingest_url"]
    (await api.client("admin").put("/v1/customers/C-1", json={"email": "c1@example.org"})).raise_for_status()
    mail = message("mail-1", channel="email", provider="sendgrid", provider_message_id="sg-1", offer_group="o-1")
    await register(api, mail, message("sms-1", offer_group="o-1"))
    return Mails(api, reader, owner, url, sender)


async def test_a_bounce_lets_the_offer_fall_back_on_the_next_channel(links: Links, owner: Owner, mails: Mails) -> None:
    api = links.api
    assert await mails.report(event="delivered") == ("ignored", "kind")
    assert (await offer_of(api))["state"] == "delivered"
    assert await mails.report(**BOUNCE) == ("recorded", "offer_fell_back")
    for _ in range(2):
        assert await mails.report(**BOUNCE) == ("duplicate", "offer_fell_back")
    [told] = await told_of_offers(api)
    assert (told["type"], told["offer_group"], told["channel"], told["message_id"]) == (
        "offer.fell_back",
        "o-1",
        "email",
        "mail-1",
    )
    shown = await offer_of(api)
    assert (shown["state"], [(each["message_id"], each["state"]) for each in shown["messages"]]) == (
        "offered",
        [("mail-1", "failed"), ("sms-1", "sent")],
    )
    assert short(await act(api, "sms-1", "reply")) == ("granted", None, 50)
    assert (await offer_of(api))["claim"]["message_id"] == "sms-1"
    await assert_books_are_sound(owner)


async def test_a_bounce_that_may_pass_or_comes_after_the_claim_is_no_event(links: Links, mails: Mails) -> None:
    api = links.api
    assert await mails.report(**BLOCKED) == ("ignored", "kind")
    assert [each["state"] for each in (await offer_of(api))["messages"]] == ["sent", "sent"]
    assert short(await act(api, "sms-1")) == ("granted", None, 25)
    assert await mails.report(**BOUNCE) == ("ignored", "kind")
    assert await told_of_offers(api) == []
    shown = await offer_of(api)
    assert (shown["state"], [each["state"] for each in shown["messages"]]) == ("claimed", ["failed", "claimed"])


async def test_a_bounce_after_the_lapse_is_no_event(links: Links, owner: Owner, mails: Mails, lapser: OfferLapser) -> None:
    await overdue(owner)
    await lapser.run_once()
    assert await mails.report(**BOUNCE) == ("ignored", "kind")
    assert [each["type"] for each in await told_of_offers(links.api)] == ["offer.lapsed"]


async def test_an_offer_goes_as_far_as_its_furthest_message(links: Links, mails: Mails) -> None:
    api = links.api
    await mails.report(event="delivered")
    await mails.report(event="open")
    shown = await offer_of(api)
    assert (shown["state"], [each["state"] for each in shown["messages"]]) == ("opened", ["opened", "sent"])
    # No rule pays for it, and it proves nobody.
    await act(api, "sms-1", "shrug", evidence="D")
    shown = await offer_of(api)
    assert (shown["state"], [each["state"] for each in shown["messages"]]) == ("clicked", ["opened", "clicked"])
    assert await listed(api, state="clicked") == ["o-1"]
    assert await mails.report(event="click", url="https://shop.example/") == ("granted", None)
    assert (await offer_of(api))["state"] == "claimed"
    assert short(await act(api, "sms-1")) == CLAIMED


async def test_who_is_proved_to_have_opened_it_has_claimed_it(links: Links, owner: Owner, mails: Mails) -> None:
    assert await mails.report(event="open") == ("waiting", "stronger_evidence_needed")
    # No rule pays for it, and it proves a person.
    assert short(await act(links.api, "sms-1", "shrug")) == ("ignored", "no_rule", 0)
    assert short(await act(links.api, "sms-1")) == CLAIMED
    shown = await offer_of(links.api)
    assert (shown["claim"]["message_id"], shown["claim"]["points"]) == ("mail-1", 1)
    assert await links.balance("C-1") == 1
    await assert_books_are_sound(owner)


async def test_the_trail_of_a_message_shows_the_offer_with_its_siblings_and_who_claimed_it(links: Links, mails: Mails) -> None:
    api = links.api
    await mails.report(**BOUNCE)
    claim = await act(api, "sms-1", "reply")
    for path in ("mail-1/trail", "sms-1/trail"):
        trail = (await api.client("messaging").get(f"/v1/messages/{path}")).raise_for_status().json()
        [told] = trail["offers"]
        assert (told["offer"]["state"], told["offer"]["claim"]["grant_id"]) == ("claimed", claim["grant_id"])
        assert (told["offer"]["claim"]["source"], told["offer"]["claim"]["message_id"]) == ("api", "sms-1")
        assert [(each["verb"], each["points"]) for each in told["postings"]] == [("grant", 50)]
        assert [(each["message_id"], each["state"]) for each in told["offer"]["messages"]] == [
            ("mail-1", "failed"),
            ("sms-1", "claimed"),
        ]
        assert trail["complete"]


async def test_offers_are_found_by_group_state_and_customer(links: Links) -> None:
    api = links.api
    for customer in ("C-1", "C-2"):
        await offer(api, "m-1", customer=customer)
    await offer(api, "m-2", group="o-2")
    await act(api, "m-2")
    assert await listed(api) == ["o-1", "o-1", "o-2"]
    assert await listed(api, offer_group="o-1") == ["o-1", "o-1"]
    assert await listed(api, state="offered") == ["o-1", "o-1"]
    assert await listed(api, customer="C-1") == ["o-1", "o-2"]
    assert await listed(api, customer="C-1", state="claimed") == ["o-2"]
    assert await listed(api, offer_group="o-1", state="claimed", customer="C-2") == []
    client = api.client("messaging")
    assert (await client.get("/v1/offers/o-1")).json()["errors"][0]["pointer"] == "?customer"
    assert (await offer_of(api, customer="C-2"))["offer_group"] == "o-1"
    assert (await client.get("/v1/offers/o-9")).status_code == 404
    assert (await client.get("/v1/offers/o-1", params={"customer": "C-9"})).status_code == 404
    assert (await client.get("/v1/offers", params={"state": "lost"})).status_code == 422
    assert (await client.get("/v1/offers", params={"colour": "red"})).status_code == 422


async def test_a_brand_sees_its_own_offers_alone(links: Links, owner: Owner) -> None:
    await offer(links.api, "m-1")
    await owner.execute("UPDATE rewards.offer SET brand_id = 2")
    assert await listed(links.api) == []
    assert (await links.api.client("messaging").get("/v1/offers/o-1")).status_code == 404
