"""Passkeys, signed by a device of our own: whose they are, and that what one has signed is good once."""

from __future__ import annotations

import hashlib
import secrets
from html import unescape
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData

from service.auth.roles import Role
from service.console.sign_in import passkeys
from service.persons.actions import invite_again
from tests.api_fixtures import BASE_URL, Api
from tests.console.visitors import HERE, Owner, Visitor, enrolling, stranger, visitor_as

HOST = "rewards.test"
SIGNED = AuthenticatorData.FLAG.USER_PRESENT | AuthenticatorData.FLAG.USER_VERIFIED


authenticator_data: Any = getattr(AuthenticatorData, "create")  # noqa: B009 - its parameters have no whole types


class Device:
    """What makes passkeys and signs with them."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.passkey_id = secrets.token_bytes(32)

    def made(self, wanted: dict[str, Any], **changed: Any) -> str:
        """A new passkey, as a browser sends it."""
        public: Any = ES256.from_cryptography_key(self._key.public_key())
        credential = AttestedCredentialData.create(bytes(16), self.passkey_id, public)
        flags = SIGNED | AuthenticatorData.FLAG.ATTESTED
        data = authenticator_data(hashlib.sha256(HOST.encode()).digest(), flags, 0, bytes(credential))
        attested = AttestationObject.create("none", data, {})
        response = {
            "clientDataJSON": _client_data("webauthn.create", wanted, **changed),
            "attestationObject": websafe_encode(bytes(attested)),
        }
        return self._answer(response)

    def signed(self, wanted: dict[str, Any], *, flags: AuthenticatorData.FLAG = SIGNED, **changed: Any) -> str:
        """What a passkey signs, as a browser sends it."""
        client_data = _client_data("webauthn.get", wanted, **changed)
        data = authenticator_data(hashlib.sha256(HOST.encode()).digest(), flags, 0)
        hashed = hashlib.sha256(passkeys._decoded(client_data)).digest()  # pyright: ignore[reportPrivateUsage]
        response = {
            "clientDataJSON": client_data,
            "authenticatorData": websafe_encode(bytes(data)),
            "signature": websafe_encode(self._key.sign(bytes(data) + hashed, ec.ECDSA(SHA256()))),
        }
        return self._answer(response)

    def _answer(self, response: dict[str, str]) -> str:
        passkey_id = websafe_encode(self.passkey_id)
        return msgspec.json.encode({"id": passkey_id, "rawId": passkey_id, "type": "public-key", "response": response}).decode()


def _client_data(kind: str, wanted: dict[str, Any], *, origin: str = BASE_URL, challenge: str = "") -> str:
    said = {"type": kind, "challenge": challenge or wanted["challenge"], "origin": origin, "crossOrigin": False}
    return websafe_encode(msgspec.json.encode(said))


async def wanted_on(visitor: Visitor, path: str) -> dict[str, Any]:
    """What a page asks a browser for."""
    page = (await visitor.get(path)).text
    return msgspec.json.decode(unescape(page.partition('data-passkey="')[2].partition('"')[0]))


async def with_passkey(api: Api, owner: Owner) -> tuple[Visitor, Device]:
    ada, device = await visitor_as(api, owner, Role.FINANCE), Device()
    response = device.made(await wanted_on(ada, "/console/account"))
    added = await ada.send("/console/account/passkeys", {"name": "phone", "response": response}, of="/console/account")
    assert added.status_code == 303, added.text
    return ada, device


async def sent(visitor: Visitor, response: str) -> bool:
    answer = await visitor.browser.post("/console/passkey", data={"response": response}, headers=HERE)
    assert answer.status_code in {303, 422}, answer.text
    return answer.status_code == 303


async def test_a_passkey_signs_its_person_in(api: Api, owner: Owner) -> None:
    _, device = await with_passkey(api, owner)
    visitor = stranger(api)
    assert await sent(visitor, device.signed(await wanted_on(visitor, "/console/sign-in")))
    assert "Ada" in (await visitor.get("/console")).text
    acts = [row["act"] for row in await owner.fetch("SELECT act FROM rewards.audit_trail ORDER BY entry_no")]
    assert acts[-2:] == ["person.passkey_add", "person.sign_in"]


async def test_what_was_signed_is_good_once(api: Api, owner: Owner) -> None:
    _, device = await with_passkey(api, owner)
    visitor = stranger(api)
    response = device.signed(await wanted_on(visitor, "/console/sign-in"))
    assert await sent(visitor, response)
    assert not await sent(stranger(api), response)


@pytest.mark.parametrize(
    "changed",
    [
        {"origin": "https://elsewhere.example"},
        {"challenge": websafe_encode(secrets.token_bytes(48))},
        {"flags": AuthenticatorData.FLAG.USER_PRESENT},
    ],
    ids=["another site", "another challenge", "nobody verified"],
)
async def test_what_is_signed_otherwise_signs_nobody_in(api: Api, owner: Owner, changed: dict[str, Any]) -> None:
    _, device = await with_passkey(api, owner)
    visitor = stranger(api)
    wanted = await wanted_on(visitor, "/console/sign-in")
    assert not await sent(visitor, device.signed(wanted, **changed))
    assert await sent(visitor, device.signed(wanted))


async def test_another_devices_signature_signs_nobody_in(api: Api, owner: Owner) -> None:
    _, device = await with_passkey(api, owner)
    other = Device()
    other.passkey_id = device.passkey_id
    visitor = stranger(api)
    assert not await sent(visitor, other.signed(await wanted_on(visitor, "/console/sign-in")))


@pytest.mark.parametrize("response", ["", "{}", "[]", '{"rawId": 7}', '{"response": {"clientDataJSON": "e30"}}', "\0"])
async def test_what_is_no_passkey_is_refused(api: Api, response: str) -> None:
    assert not await sent(stranger(api), response)


async def test_a_challenge_to_sign_in_adds_no_passkey(api: Api, owner: Owner) -> None:
    ada = await visitor_as(api, owner, Role.FINANCE)
    response = Device().made(await wanted_on(stranger(api), "/console/sign-in"))
    added = await ada.send("/console/account/passkeys", {"name": "phone", "response": response}, of="/console/account")
    assert added.status_code == 422
    assert await owner.fetchval("SELECT count(*) FROM rewards.console_passkey") == 0


async def test_a_passkey_is_removed_by_its_person_alone(api: Api, owner: Owner) -> None:
    ada, device = await with_passkey(api, owner)
    bob = await visitor_as(api, owner, Role.CARE, name="Bob", login="bob")
    passkey = {"passkey": websafe_encode(device.passkey_id)}
    assert (await bob.send("/console/account/passkeys/remove", passkey)).status_code == 404
    assert (await ada.send("/console/account/passkeys/remove", passkey)).status_code == 303
    visitor = stranger(api)
    assert not await sent(visitor, device.signed(await wanted_on(visitor, "/console/sign-in")))


@pytest.mark.usefixtures("remembers_shortly")
async def test_a_disabled_persons_passkey_signs_nobody_in(api: Api, owner: Owner) -> None:
    _, device = await with_passkey(api, owner)
    await owner.execute("SELECT rewards.disable_person_v1(brand_id, person_id, NULL) FROM rewards.person")
    visitor = stranger(api)
    assert not await sent(visitor, device.signed(await wanted_on(visitor, "/console/sign-in")))


async def test_a_person_who_enrols_again_has_no_passkeys(api: Api, owner: Owner) -> None:
    ada, device = await with_passkey(api, owner)
    person_id = await owner.fetchval("SELECT person_id FROM rewards.person")
    await enrolling(api, (await invite_again(owner, "lumen", person_id)).text, ada.login)
    visitor = stranger(api)
    assert not await sent(visitor, device.signed(await wanted_on(visitor, "/console/sign-in")))
