"""Public keys that verify signatures nobody made, or that have two spellings, are not registered."""

from __future__ import annotations

import base64
from typing import Any

import asyncpg
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from service.tokens.ed25519_keys import is_good
from service.tokens.link import LinkRefused
from service.tokens.offline import verify
from tests.links.conftest import Links
from tests.links.test_offline_links import Signer

# The eight points of low order and all their encodings, as libsodium and the IETF's CFRG list them.
LOW_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",  # order 1
    "0100000000000000000000000000000000000000000000000000000000000080",  # the same with the sign of a zero
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  # y = p + 1
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  # order 2
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "0000000000000000000000000000000000000000000000000000000000000000",  # order 4
    "0000000000000000000000000000000000000000000000000000000000000080",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  # y = p
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",  # order 8
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
]
OTHERS = [
    "0200000000000000000000000000000000000000000000000000000000000000",  # not on the curve
    "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  # y = p + 3, which is on it
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "839a0d127aec8a77252b9041f540f8dd7f1ea5af4ff086e40f9a59152b4860f3",  # a good key plus a point of order 8
]
# RFC 8032, 7.1, tests 1 to 3.
GOOD = [
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
]


def base64url(key: str) -> str:
    return base64.urlsafe_b64encode(bytes.fromhex(key)).rstrip(b"=").decode()


@pytest.mark.parametrize("key", LOW_ORDER + OTHERS)
def test_a_key_that_anybody_can_sign_for_is_refused(key: str) -> None:
    assert not is_good(bytes.fromhex(key))


@pytest.mark.parametrize("key", GOOD)
def test_the_keys_of_the_standard_are_taken(key: str) -> None:
    assert is_good(bytes.fromhex(key))


def test_every_key_that_is_made_is_taken() -> None:
    for _ in range(20):
        assert is_good(Ed25519PrivateKey.generate().public_key().public_bytes_raw())
    for length in (0, 31, 33):
        assert not is_good(bytes(length))


async def test_no_request_registers_one(links: Links) -> None:
    minter = links.api.client("minter")
    for key in LOW_ORDER + OTHERS:
        answer = await minter.post("/v1/minting-keys", json={"name": "weak", "public_key": base64url(key)})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/public_key"), key
    # Only the text of 32 bytes is taken: no whole JSON Web Key, and no PEM.
    for form in ({"kty": "OKP", "crv": "Ed25519", "x": base64url(GOOD[0])}, f"{base64url(GOOD[0])}=", GOOD[0], None, 7):
        answer = await minter.post("/v1/minting-keys", json={"name": "weak", "public_key": form})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/public_key"), form
    assert (await minter.get("/v1/minting-keys")).json()["items"] == []


async def test_one_that_was_registered_before_signs_nothing(links: Links, owner: asyncpg.Connection[Any]) -> None:
    neutral = bytes.fromhex(LOW_ORDER[0])
    # What makes it dangerous: a signature that no private key has made.
    try:
        Ed25519PublicKey.from_public_bytes(neutral).verify(neutral + bytes(32), b"anything")
    except InvalidSignature:
        pytest.skip("this library refuses such a key by itself")
    signer = await Signer(links).register()
    await owner.execute("UPDATE rewards.minting_key SET public_key = $1", neutral)
    signed = signer.path().removeprefix("/r/").rpartition(".")[0]
    forged = f"{signed}.{base64url((neutral + bytes(32)).hex())}"
    with pytest.raises(LinkRefused):
        verify(forged, 1, neutral)
    assert (await links.api.client(None).get(f"/r/{forged}")).status_code == 404
