"""A brand's app reports what happened on the phone, signed by the phone: each act earns once, and nothing else does."""

from __future__ import annotations

import base64
import itertools
import time
from datetime import timedelta
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from service.admission.failed_attempts import MISSES_MAX
from service.app_receipts.receipts import AGE_MAX, AHEAD_MAX, RECEIPTS_A_DAY_MAX
from service.app_receipts.signatures import is_signed, public_key_of, signed_bytes
from service.ingest.envelope_reader import EnvelopeReader
from service.observability import metrics
from tests.api_fixtures import Api
from tests.app_receipts.conftest import Json, Owner, Phone, balance, sent, told
from tests.customers.calls import merge
from tests.ingest.conftest import agent_services, issuer, make_source, reader
from tests.ingest.senders import StandardWebhooks, send
from tests.ledger.conftest import assert_books_are_sound
from tests.links.campaigns import make_campaign

__all__ = ["agent_services", "issuer", "reader"]

ALL_POINTS = 25 + 5 + 2


def counted(outcome: str) -> float:
    """How many receipts came to this."""
    return metrics.REGISTRY.get_sample_value("rewards_app_receipts_total", {"outcome": outcome}) or 0.0


async def test_a_tap_earns_once_however_often_it_is_reported(push: Api, owner: Owner) -> None:
    await sent(push, "push-1")
    phone = await Phone(push).enrolled()
    tap = phone.receipt("push-1")
    (first,) = await phone.send(tap)
    assert first == {"index": 0, "status": 201, "outcome": "granted", "reason": None, "points": 25, "replayed": False}
    again = await phone.send(tap, phone.receipt("push-1"), tap)
    assert [(each["status"], each["points"], each["replayed"]) for each in again] == [(200, 25, True)] * 3
    assert await balance(push) == 25
    (event,) = await owner.fetch("SELECT source, grade, channel FROM ledger.event")
    assert tuple(event) == ("app", b"B", "push")
    await assert_books_are_sound(owner)


async def test_ed25519_and_every_form_of_a_key_will_do(push: Api) -> None:
    await sent(push, "push-1", customer="C-2")
    phone = await Phone(push, Ed25519PrivateKey.generate()).enrolled("C-2")
    assert told(await phone.send(phone.receipt("push-1"))) == ["granted"]


async def test_a_shown_message_waits_for_a_tap_by_which_it_is_paid_too(push: Api) -> None:
    await sent(push, "push-1")
    phone = await Phone(push).enrolled()
    assert told(await phone.send(phone.receipt("push-1", "open"), phone.receipt("push-1", "read"))) == ["waiting", "granted"]
    assert told(await phone.send(phone.receipt("push-1"))) == ["granted"]
    assert await balance(push) == ALL_POINTS


ORDERS = list(itertools.permutations(["app", "app again", "link", "provider", "api"]))


@pytest.mark.parametrize("order", ORDERS[::7], ids=" ".join)
async def test_one_act_is_one_grant_by_the_app_our_link_a_provider_and_the_api(
    push: Api, issuer: httpx.AsyncClient, owner: Owner, reader: EnvelopeReader, order: tuple[str, ...]
) -> None:
    link = {"campaign": "autumn", "message_id": "push-1", "customer": {"id": "C-1"}, "action": "click", "channel": "push"}
    link |= {"destination": "https://shop.example/"}
    (minted,) = (await push.client("messaging").post("/v1/links", json={"links": [link]})).json()["results"]
    token, phone, sender = minted["url"].rpartition("/")[2], await Phone(push).enrolled(), StandardWebhooks()
    url = (await make_source(issuer, sender))["ingest_url"]
    tap = phone.receipt({"token": token})

    async def by_link() -> None:
        await push.client(None).post(minted["url"], headers={"Sec-Fetch-Site": "same-origin"})

    async def by_provider() -> None:
        event = {"type": "message.clicked", "data": {"reward_token": token, "channel": "push"}}
        await send(push, url, sender.signed(event))
        while await reader.run_once():
            pass

    async def by_api() -> None:
        act = {name: link[name] for name in ("campaign", "message_id", "customer", "action", "channel")}
        (await push.client("messaging").post("/v1/grants", json=act)).raise_for_status()

    ways = {"app": lambda: phone.send(tap), "app again": lambda: phone.send(phone.receipt({"token": minted["url"]}))}
    ways |= {"link": by_link, "provider": by_provider, "api": by_api}
    for who in order:
        await ways[who]()
    assert await balance(push) == 25
    first = {"app": "app", "app again": "app", "link": "link", "provider": "src_1", "api": "api"}[order[0]]
    assert [row[0] for row in await owner.fetch("SELECT source FROM ledger.event")] == [first]


async def test_what_an_app_kept_while_it_was_offline_counts_when_it_happened(push: Api, owner: Owner) -> None:
    names = [f"push-{n}" for n in range(40)]
    await sent(push, *names)
    phone = await Phone(push).enrolled()
    now = int(time.time() * 1_000)
    taps = [phone.receipt(name, at_ms=now - n * 3_600_000) for n, name in enumerate(names)]
    for part in (taps[20:], taps[:30], taps[::-1]):
        assert set(told(await phone.send(*part))) == {"granted"}
    assert await balance(push) == 25 * len(names)
    await assert_books_are_sound(owner)


# ---- What earns nothing


def changed(receipt: Json, **fields: Any) -> Json:
    """A receipt with other fields, under the signature of what it was."""
    return receipt | fields


async def test_what_the_phone_did_not_sign_earns_nothing_and_is_counted(push: Api, owner: Owner) -> None:
    await sent(push, "push-1", "push-2")
    phone, other = await Phone(push).enrolled(), await Phone(push).enrolled("C-2")
    tap = phone.receipt("push-1")
    stolen = Phone(push)
    stolen.device = phone.device
    before = counted("receipt_refused")
    forged = [
        changed(tap, message_id="push-2"),
        changed(tap, nonce="another-nonce-of-it"),
        changed(tap, at_ms=tap["at_ms"] + 1),
        changed(tap, action="open"),
        changed(tap, signature=phone.sign(b"something else")),
        changed(tap, signature=tap["signature"][:-8] + "AAAAAAA="),
        stolen.receipt("push-1"),
        other.receipt("push-1"),
    ]
    assert told(await phone.send(*forged)) == ["receipt_refused"] * len(forged)
    other.device = phone.device
    assert told(await other.send(other.receipt("push-1"))) == ["receipt_refused"]
    phone.device = "dev_" + "0" * 24
    assert told(await phone.send(phone.receipt("push-1"))) == ["receipt_refused"]
    assert counted("receipt_refused") == before + len(forged) + 2
    assert await owner.fetchval("SELECT count(*) FROM ledger.event") == 0


async def test_an_unknown_device_is_answered_as_a_wrong_signature_is(push: Api) -> None:
    known = await Phone(push).enrolled()
    unknown = Phone(push)
    unknown.device = "dev_" + "1" * 24
    answers = [await phone.send(known.receipt("push-1") | {"nonce": "x" * 16}) for phone in (known, unknown)]
    for (answer,) in answers:
        answer["problem"].pop("request_id")
    assert answers[0] == answers[1]
    for _ in range(MISSES_MAX):
        await unknown.post(known.receipt("push-1"))
    for phone in (known, unknown):
        refused = await phone.post(known.receipt("push-1") | {"nonce": "x" * 16})
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_guesses")
    # Whoever signs is heard, whoever else guesses behind the same address.
    assert told(await known.send(known.receipt("push-1"))) == ["not_found"]


async def test_the_message_has_to_be_the_customers(push: Api, owner: Owner) -> None:
    await sent(push, "to-both")
    await sent(push, "to-both", "to-ben", customer="C-2")
    await sent(push, "by-mail", campaign="autumn", channel="email")
    link = {"campaign": "autumn", "message_id": "m", "customer": {"id": "C-2"}, "action": "click", "channel": "push"}
    link |= {"destination": "https://shop.example/"}
    (of_ben,) = (await push.client("messaging").post("/v1/links", json={"links": [link]})).json()["results"]
    phone = await Phone(push).enrolled()
    taps = [
        phone.receipt(each)
        for each in ("to-both", "to-ben", "nowhere", {"token": of_ben["url"]}, {"token": "a.b.c"}, "by-mail")
    ]
    assert told(await phone.send(*taps)) == ["granted", "not_found", "not_found", "not_found", "not_found", "granted"]
    assert await balance(push) == 50
    assert {row[0] for row in await owner.fetch("SELECT channel FROM ledger.event")} == {"push", "email"}


async def test_a_nonce_is_of_one_receipt(push: Api) -> None:
    await sent(push, "push-1", "push-2")
    phone = await Phone(push).enrolled()
    first, second = (phone.receipt(each, nonce="0123456789abcdef") for each in ("push-1", "push-2"))
    assert told(await phone.send(first, second, first)) == ["granted", "nonce_taken", "granted"]
    assert told(await phone.send(second, first)) == ["nonce_taken", "granted"]
    # It is the device's: another one may use the same.
    other = await Phone(push).enrolled()
    assert told(await other.send(other.receipt("push-2", nonce="0123456789abcdef"))) == ["granted"]
    assert await balance(push) == 50


async def test_what_is_too_old_or_ahead_is_stale(push: Api) -> None:
    names = ["old", "nearly", "now", "ahead", "far"]
    await sent(push, *names)
    phone = await Phone(push).enrolled()
    minute = timedelta(minutes=1)
    ages = [AGE_MAX + minute, AGE_MAX - minute, timedelta(), minute - AHEAD_MAX, -AHEAD_MAX - minute]
    now = time.time()
    taps = [phone.receipt(name, at_ms=int((now - age.total_seconds()) * 1_000)) for name, age in zip(names, ages, strict=True)]
    assert told(await phone.send(*taps)) == ["receipt_stale", "granted", "granted", "granted", "receipt_stale"]


async def test_a_device_that_is_revoked_earns_nothing_more(push: Api, owner: Owner) -> None:
    await sent(push, "push-1", "push-2")
    phone = await Phone(push).enrolled()
    assert told(await phone.send(phone.receipt("push-1"))) == ["granted"]
    messaging = push.client("messaging")
    revoked = [(await messaging.post(f"/v1/app-devices/{phone.device}/revoke")).json() for _ in range(2)]
    assert revoked[0]["revoked_at"] is not None
    assert revoked[0] == revoked[1]
    assert told(await phone.send(phone.receipt("push-2"))) == ["device_revoked"]
    # To whoever cannot sign for it, it is no other than one that does not exist.
    stolen = Phone(push)
    stolen.device = phone.device
    assert told(await stolen.send(stolen.receipt("push-2"))) == ["receipt_refused"]
    assert await balance(push) == 25


async def test_what_a_key_enrolled_goes_when_what_it_made_is_taken_back(push: Api, owner: Owner) -> None:
    await sent(push, "push-1")
    phone = await Phone(push).enrolled()
    number = await owner.fetchval("SELECT enrolled_by FROM rewards.app_device")
    subject = {"key": f"key_{number}", "reason": "leaked"}
    (await push.client("admin").post("/v1/link-revocations", json=subject)).raise_for_status()
    assert told(await phone.send(phone.receipt("push-1"))) == ["device_revoked"]


# ---- Limits


async def test_a_device_earns_no_more_than_it_may_in_a_day(push: Api, owner: Owner) -> None:
    names = [f"push-{n}" for n in range(5)]
    await sent(push, *names)
    phone = await Phone(push).enrolled(daily_points_max=60)
    taps = [phone.receipt(each) for each in names]
    assert told(await phone.send(taps[0], taps[0], taps[1])) == ["granted"] * 3
    answers = await phone.send(taps[2], taps[0], phone.receipt(names[3], "read"))
    assert [(each["outcome"], each["reason"]) for each in answers] == [
        ("ignored", "source_limit_reached"),
        ("granted", None),
        ("ignored", "source_limit_reached"),
    ]
    assert told(await phone.send(phone.receipt(names[3], "read"))) == ["granted"]
    (shown,) = (await push.client("messaging").get("/v1/app-devices", params={"customer": "C-1"})).json()["items"]
    assert (shown["points_today"], shown["daily_points_max"]) == (52, 60)
    # The next day it may again, and what it kept is paid.
    await push.client("admin").post("/v1/test/clock/advance", json={"seconds": 86_400})
    assert told(await phone.send(taps[2], taps[1])) == ["granted", "granted"]
    assert await owner.fetchval("SELECT sum(points)::int FROM ledger.event") == 77


async def test_a_device_reports_so_much_in_a_day_and_no_more(push: Api) -> None:
    phone = await Phone(push).enrolled()
    names = [f"push-{n}" for n in range(RECEIPTS_A_DAY_MAX + 1)]
    await sent(push, *names)
    taps = [phone.receipt(each) for each in names]
    for start in range(0, RECEIPTS_A_DAY_MAX, 100):
        assert set(told(await phone.send(*taps[start : start + 100]))) == {"granted"}
    (refused, again) = await phone.send(taps[-1], taps[0])
    assert (refused["problem"]["code"], refused["problem"]["retryable"]) == ("too_many_receipts", True)
    assert again["replayed"]
    await push.client("admin").post("/v1/test/clock/advance", json={"seconds": 86_400})
    assert told(await phone.send(taps[-1])) == ["granted"]


async def test_merged_customers_share_their_devices_and_messages(push: Api) -> None:
    await sent(push, "push-1", customer="C-1")
    await sent(push, "push-2", customer="C-2")
    phone = await Phone(push).enrolled("C-1")
    assert told(await phone.send(phone.receipt("push-2"))) == ["not_found"]
    (await merge(push, "C-1", id="C-2")).raise_for_status()
    assert told(await phone.send(phone.receipt("push-1"), phone.receipt("push-2"))) == ["granted", "granted"]
    assert await balance(push, "C-2") == 50


# ---- Bad input


WRONG: list[tuple[Json, str]] = [
    ({"nonce": "short"}, "/receipts/0/nonce"),
    ({"nonce": "x" * 16 + "\n"}, "/receipts/0/nonce"),
    ({"at_ms": "now"}, "/receipts/0/at_ms"),
    ({"at_ms": -1}, "/receipts/0/at_ms"),
    ({"action": "purchase"}, "/receipts/0/action"),
    ({"message_id": 7}, "/receipts/0/message_id"),
    ({"message_id": ""}, "/receipts/0/message_id"),
    ({"token": "a\nb"}, "/receipts/0/token"),
    ({"signature": "?"}, "/receipts/0/signature"),
    ({"points": 5}, "/receipts/0/points"),
]


@pytest.mark.parametrize(("fields", "pointer"), WRONG, ids=str)
async def test_what_is_malformed_is_named(push: Api, fields: Json, pointer: str) -> None:
    phone = await Phone(push).enrolled()
    answer = await phone.post(phone.receipt("push-1") | fields)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer), answer.text


async def test_too_many_at_once_and_both_or_no_message_are_refused(push: Api) -> None:
    await sent(push, "push-1")
    phone = await Phone(push).enrolled()
    assert (await phone.post(*[phone.receipt("push-1")] * 101)).status_code == 422
    assert (await phone.post()).status_code == 422
    both = phone.receipt({"message_id": "push-1", "token": "a.b.c"})
    assert told(await phone.send(both, phone.receipt({}), phone.receipt("push-1"))) == [
        "invalid_field",
        "invalid_field",
        "granted",
    ]


# ---- The bytes that are signed


def test_the_documented_bytes_and_a_computed_vector() -> None:
    device = "dev_0123456789abcdef01234567"
    covered = signed_bytes(device, "Zk3tq0W8m1xR5c7B", 1_796_040_000_123, "click", None, "push-77")
    assert covered == b"atomic-rewards-receipt-v1\n%s\nZk3tq0W8m1xR5c7B\n1796040000123\nclick\n\npush-77" % device.encode()
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    phone = Phone(None, key)  # pyright: ignore[reportArgumentType]
    public = public_key_of(phone.public_key)
    assert public is not None
    # Ed25519 has one signature of these bytes: an app's can be compared with it.
    signature = "1xrZN3g5dOl7js0wgWVuInlYzkoG/44VPWeii5Fn/5UVVY2JNGWurGVoZ2tPqKfW8zjUl8nHMbdTRrEBMWpOAg=="
    assert phone.sign(covered) == signature
    assert is_signed(public, signature, covered)
    assert not is_signed(public, signature, covered + b"\n")


@given(st.text(max_size=80), st.binary(max_size=40))
def test_no_signature_of_anybody_passes_or_breaks_it(signature: str, signed: bytes) -> None:
    for key in (derive_private_key(7, SECP256R1()), Ed25519PrivateKey.from_private_bytes(bytes(32))):
        public = public_key_of(Phone(None, key).public_key)  # pyright: ignore[reportArgumentType]
        assert public is not None
        assert not is_signed(public, signature, signed)


@given(st.text(max_size=200) | st.binary(max_size=150).map(lambda raw: base64.b64encode(raw).decode()))
def test_any_text_as_a_public_key_is_a_key_or_none(text: str) -> None:
    key = public_key_of(text)
    assert key is None or not is_signed(key, "AAAA", b"x")


async def test_a_campaign_of_its_own_pays_by_its_own_rules(push: Api) -> None:
    await make_campaign(push.client("admin"), id="spring", rules=[{"action": "click", "points": 3, "min_evidence": "A"}])
    await sent(push, "push-1", campaign="spring")
    phone = await Phone(push).enrolled()
    assert told(await phone.send(phone.receipt("push-1"))) == ["waiting"]
