"""Enrolling devices: a key is one customer's, and a customer has at most ten."""

from __future__ import annotations

import asyncio
import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, EllipticCurvePublicKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from service.app_receipts.devices import DEVICES_MAX
from service.auth.actions import create_key
from service.auth.scopes import Scope
from tests.api_fixtures import Api
from tests.app_receipts.conftest import Owner, Phone, enrol
from tests.customers.calls import merge


async def test_the_same_key_is_the_same_device(push: Api) -> None:
    phone = Phone(push)
    first = await enrol(push, phone.public_key, daily_points_max=500)
    again = await enrol(push, phone.public_key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    shown = first.json()
    assert (shown["algorithm"], shown["daily_points_max"], shown["points_today"], shown["revoked_at"]) == (
        "es256",
        500,
        0,
        None,
    )
    assert shown["customer"].startswith("cus_")


async def test_a_key_in_each_form_that_phones_export(push: Api) -> None:
    p256, ed25519 = Phone(push), Phone(push, Ed25519PrivateKey.generate())
    key = p256.key.public_key()
    assert isinstance(key, EllipticCurvePublicKey)
    point = base64.b64encode(key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)).decode()
    raw = base64.b64encode(ed25519.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
    devices = [(await enrol(push, each)).json() for each in (p256.public_key, point, raw, ed25519.public_key, raw.rstrip("="))]
    assert [each["algorithm"] for each in devices] == ["es256", "es256", "ed25519", "ed25519", "ed25519"]
    assert len({each["device"] for each in devices}) == 2


BROKEN = [base64.b64encode(b"\x04" + bytes(64)).decode(), base64.b64encode(bytes(91)).decode(), "A" * 60]


async def test_what_is_no_such_key_is_refused(push: Api) -> None:
    other_curve = generate_private_key(SECP384R1()).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for key in (*BROKEN, base64.b64encode(other_curve).decode()):
        answer = await enrol(push, key)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/public_key"), key


async def test_a_key_is_one_customers_and_not_enrolled_again_once_it_is_revoked(push: Api) -> None:
    phone = await Phone(push).enrolled("C-1")
    assert (await enrol(push, phone.public_key, "C-2")).json()["code"] == "device_taken"
    (await push.client("messaging").post(f"/v1/app-devices/{phone.device}/revoke")).raise_for_status()
    assert (await enrol(push, phone.public_key, "C-1")).json()["code"] == "device_taken"


async def test_a_customer_has_at_most_ten_also_at_once_and_when_merged(push: Api) -> None:
    await asyncio.gather(*(enrol(push, Phone(push).public_key, "C-2") for _ in range(2)))
    answers = await asyncio.gather(*(enrol(push, Phone(push).public_key) for _ in range(DEVICES_MAX + 3)))
    assert sorted(answer.status_code for answer in answers) == [201] * DEVICES_MAX + [409] * 3
    assert {each.json()["code"] for each in answers if each.status_code == 409} == {"too_many_devices"}
    messaging = push.client("messaging")
    listed = (await messaging.get("/v1/app-devices", params={"customer": "C-1", "limit": 6})).json()
    rest = (await messaging.get("/v1/app-devices", params={"customer": "C-1", "after": listed["next"]})).json()
    devices = [each["device"] for each in listed["items"] + rest["items"]]
    assert len(set(devices)) == DEVICES_MAX
    await messaging.post(f"/v1/app-devices/{devices[0]}/revoke")
    assert (await enrol(push, Phone(push).public_key)).status_code == 201
    (await merge(push, "C-2", id="C-1")).raise_for_status()
    assert (await enrol(push, Phone(push).public_key, "C-2")).json()["code"] == "too_many_devices"


async def test_another_brands_devices_do_not_exist(push: Api, owner: Owner) -> None:
    phone = await Phone(push).enrolled()
    await owner.execute("UPDATE rewards.app_device SET brand_id = brand_id + 1")
    assert (await push.client("messaging").post(f"/v1/app-devices/{phone.device}/revoke")).status_code == 404
    assert (await push.client("messaging").get("/v1/app-devices", params={"customer": "C-1"})).json()["items"] == []


@pytest.mark.parametrize("name", ["dev_1", "dev_" + "g" * 24, "x", "dev_" + "0" * 24, "src_" + "0" * 24])
async def test_what_is_no_device_is_not_found(push: Api, name: str) -> None:
    assert (await push.client("messaging").post(f"/v1/app-devices/{name}/revoke")).status_code == 404
    assert (await push.client("messaging").get("/v1/app-devices", params={"customer": "nobody"})).status_code == 404


async def test_enrolling_is_minting_and_not_for_a_key_with_a_quota(push: Api, owner: Owner) -> None:
    for name in ("storefront", "admin", "finance"):
        refused = await push.client(name).post("/v1/app-devices", json={"customer": {"id": "C-1"}, "public_key": BROKEN[0]})
        assert refused.json()["code"] == "missing_scope"
    key, _ = await create_key(owner, "lumen", "limited", [Scope.LINKS_WRITE], "A", quota_per_minute=5)
    body = {"customer": {"id": "C-1"}, "public_key": Phone(push).public_key}
    assert (await push.client(key=key).post("/v1/app-devices", json=body)).json()["code"] == "beyond_this_key"
