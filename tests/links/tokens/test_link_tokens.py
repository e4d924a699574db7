"""A token is ours exactly as we made it, or it is nothing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from service.settings import LinkKey
from service.tokens import link as link_tokens
from service.tokens.link import LinkClaims, LinkKind, LinkMode, LinkRefusal, LinkRefused

HOST = "links.shop.example"
NOW = 1_795_000_000
OLD_KEY = LinkKey(kid="2026-01-01-1", private_key=bytes(range(32)), retired_at=datetime(2026, 11, 1, tzinfo=UTC))
KEY = LinkKey(kid="2026-11-01-1", private_key=bytes(range(32, 64)))
KEYS = link_tokens.link_keys([OLD_KEY, KEY])
CLAIMS = LinkClaims(
    brand="bluebird",
    host=HOST,
    link_id=bytes.fromhex("0000000700112233445566778899aabbccddeeff"),
    customer=4711,
    message_id="newsletter-0412",
    campaign_no=7,
    campaign_version=2,
    action="click",
    destination_no=3,
    issued_at=NOW - 3600,
    sent_at=NOW - 1800,
    expires_at=NOW + 86_400,
)
TOKEN = link_tokens.sign(CLAIMS, KEYS)
HEADER: dict[str, Any] = jwt.get_unverified_header(TOKEN)
PAYLOAD: dict[str, Any] = jwt.decode(TOKEN, options={"verify_signature": False})


def verify(
    token: str, *, now: int = NOW, host: str = HOST, brand: str | None = None, kind: LinkKind = LinkKind.CLAIM
) -> LinkClaims:
    return link_tokens.verify(token, KEYS, hosts=[host], now=now, brand=brand, kind=kind)


def encode(part: dict[str, Any] | bytes) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def ours(header: dict[str, Any] | None = None, payload: Any = None) -> str:
    """Any header and payload, really signed with our key: what is wrong is only what is in it."""
    signing_input = f"{encode(HEADER if header is None else header)}.{encode(PAYLOAD if payload is None else payload)}"
    return f"{signing_input}.{encode(KEYS.signing.sign(signing_input.encode()))}"


def of_kind(kind: LinkKind, mode: LinkMode) -> LinkClaims:
    destination_no = 0 if kind is LinkKind.OPEN else CLAIMS.destination_no
    return msgspec.structs.replace(CLAIMS, kind=kind, mode=mode, destination_no=destination_no)


KINDS = [  # what it is for, and its `k`
    (of_kind(LinkKind.CLAIM, LinkMode.PAGE), None),
    (of_kind(LinkKind.CLAIM, LinkMode.HANDOFF), "h"),
    (of_kind(LinkKind.CLAIM, LinkMode.REDIRECT), "r"),
    (of_kind(LinkKind.OPEN, LinkMode.PAGE), "o"),
]


@pytest.mark.parametrize(("claims", "k"), KINDS)
def test_a_token_says_what_it_is_for_and_is_nothing_else(claims: LinkClaims, k: str | None) -> None:
    token = link_tokens.sign(claims, KEYS)
    assert jwt.decode(token, options={"verify_signature": False}).get("k") == k
    assert link_tokens.verify(token, KEYS, hosts=[HOST], now=NOW, kind=claims.kind) == claims
    other = LinkKind.CLAIM if claims.kind is LinkKind.OPEN else LinkKind.OPEN
    assert refusal_of(token, kind=other) is LinkRefusal.FORGED


def refusal_of(token: str, **asked: Any) -> LinkRefusal:
    with pytest.raises(LinkRefused) as refused:
        verify(token, **asked)
    return refused.value.refusal


def test_what_was_signed_comes_back() -> None:
    assert verify(TOKEN) == CLAIMS
    assert verify(TOKEN, brand="bluebird") == CLAIMS


def test_the_same_claims_always_give_the_same_token() -> None:
    assert link_tokens.sign_many([CLAIMS, CLAIMS], KEYS) == [TOKEN, TOKEN]


def test_a_token_is_spelled_as_ever() -> None:
    """A link that was minted before must be the same when it is minted again."""
    named = msgspec.structs.replace(CLAIMS, message_id='Grüße "1" ☀')
    assert link_tokens.sign(named, KEYS) == jwt.encode(
        {**PAYLOAD, "m": named.message_id}, KEYS.signing, algorithm="EdDSA", headers={"kid": KEY.kid, "typ": "rl+jwt"}
    )
    assert hashlib.sha256(TOKEN.encode()).hexdigest() == "38d49154881a37e535549b4cde62281e2ec5fdb27d86c7f56326eba40f1360b1"


def test_a_token_is_exactly_this() -> None:
    assert HEADER == {"alg": "EdDSA", "kid": "2026-11-01-1", "typ": "rl+jwt"}
    assert PAYLOAD == {
        "iss": "bluebird",
        "aud": "links.shop.example",
        "jti": "0000000700112233445566778899aabbccddeeff",
        "sub": "4711",
        "m": "newsletter-0412",
        "c": "7.2",
        "a": "click",
        "d": 3,
        "iat": NOW - 3600,
        "sent_at": NOW - 1800,
        "exp": NOW + 86_400,
    }
    assert len(TOKEN) < 500


def test_a_retired_key_verifies_and_no_longer_signs() -> None:
    before_rotation = link_tokens.link_keys([msgspec.structs.replace(OLD_KEY, retired_at=None)])
    assert verify(link_tokens.sign(CLAIMS, before_rotation)) == CLAIMS
    assert KEYS.kid == KEY.kid


def test_the_published_keys_verify_without_us() -> None:
    published = {key["kid"]: jwt.PyJWK.from_dict(key) for key in link_tokens.jwks(KEYS)["keys"]}
    assert published.keys() == {OLD_KEY.kid, KEY.kid}
    assert jwt.decode(TOKEN, published[KEY.kid], algorithms=["EdDSA"], audience=HOST, options={"verify_exp": False}) == PAYLOAD
    assert "d" not in link_tokens.jwks(KEYS)["keys"][0]


def test_an_expired_token_says_what_it_was() -> None:
    assert verify(TOKEN, now=CLAIMS.expires_at - 1) == CLAIMS
    with pytest.raises(LinkRefused) as refused:
        verify(TOKEN, now=CLAIMS.expires_at)
    assert (refused.value.refusal, refused.value.claims) == (LinkRefusal.EXPIRED, CLAIMS)


def test_another_brands_token_is_foreign() -> None:
    assert refusal_of(TOKEN, brand="another") is LinkRefusal.FOREIGN


def test_a_token_for_another_host_is_forged() -> None:
    assert refusal_of(TOKEN, host="links.another.example") is LinkRefusal.FORGED


def test_only_what_is_ours_can_be_expired() -> None:
    assert refusal_of(ours(payload={**PAYLOAD, "aud": "elsewhere", "exp": NOW - 1})) is LinkRefusal.FORGED


@pytest.mark.parametrize("position", range(0, len(TOKEN), 7))
def test_no_character_of_a_token_can_be_changed(position: int) -> None:
    for other in "A", "_", "x", ".", "=", "é", "\n":
        if TOKEN[position] != other:
            assert refusal_of(TOKEN[:position] + other + TOKEN[position + 1 :]) is LinkRefusal.FORGED


def test_the_last_characters_spare_bits_give_no_second_spelling() -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    accepted = [last for last in alphabet if _is_accepted(TOKEN[:-1] + last)]
    assert accepted == [TOKEN[-1]]


def _is_accepted(token: str) -> bool:
    try:
        verify(token)
    except LinkRefused:
        return False
    return True


def _hmac_with(secret: bytes) -> str:
    signing_input = f"{encode({**HEADER, 'alg': 'HS256'})}.{encode(PAYLOAD)}"
    return f"{signing_input}.{encode(hmac.digest(secret, signing_input.encode(), hashlib.sha256))}"


def _rs256() -> str:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    return jwt.encode(PAYLOAD, key, algorithm="RS256", headers={"kid": KEY.kid, "typ": "rl+jwt"})


def _signed_by_a_stranger(**header: Any) -> str:
    return jwt.encode(
        PAYLOAD, Ed25519PrivateKey.generate(), algorithm="EdDSA", headers={"kid": KEY.kid, "typ": "rl+jwt", **header}
    )


_public: Ed25519PublicKey = KEYS.honoured[KEY.kid].public_key()
_jwk = link_tokens.jwks(KEYS)["keys"][1]
_body, _signature = TOKEN.rsplit(".", 1)

FORGERIES: dict[str, Callable[[], str]] = {
    "nothing": lambda: "",
    "no token at all": lambda: "hello",
    "two dots": lambda: "..",
    "too long": lambda: "A" * 5_000,
    "no signature": lambda: f"{_body}.",
    "signature missing": lambda: _body,
    "a fourth part": lambda: f"{TOKEN}.AAAA",
    "signed by a stranger": _signed_by_a_stranger,
    "a stranger brings his key": lambda: _signed_by_a_stranger(jwk=_jwk),
    "alg none, unsigned": lambda: f"{encode({**HEADER, 'alg': 'none'})}.{encode(PAYLOAD)}.",
    "alg None, signature kept": lambda: f"{encode({**HEADER, 'alg': 'None'})}.{encode(PAYLOAD)}.{_signature}",
    "alg none, signed": lambda: ours(header={**HEADER, "alg": "none"}),
    "alg missing": lambda: ours(header={"kid": KEY.kid, "typ": "rl+jwt"}),
    "alg is a list": lambda: ours(header={**HEADER, "alg": ["EdDSA"]}),
    "alg spelled otherwise": lambda: ours(header={**HEADER, "alg": "eddsa"}),
    "HS256 with the public key's bytes": lambda: _hmac_with(_public.public_bytes(Encoding.Raw, PublicFormat.Raw)),
    "HS256 with the public key's PEM": lambda: _hmac_with(
        _public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    ),
    "HS256 with the JWK's text": lambda: _hmac_with(_jwk["x"].encode()),
    "HS256 with nothing": lambda: _hmac_with(b""),
    "RS256": _rs256,
    "typ missing": lambda: ours(header={"alg": "EdDSA", "kid": KEY.kid}),
    "typ JWT": lambda: ours(header={**HEADER, "typ": "JWT"}),
    "typ in capitals": lambda: ours(header={**HEADER, "typ": "RL+JWT"}),
    "kid missing": lambda: ours(header={"alg": "EdDSA", "typ": "rl+jwt"}),
    "kid unknown": lambda: ours(header={**HEADER, "kid": "2026-12-01-1"}),
    "kid of another key": lambda: ours(header={**HEADER, "kid": OLD_KEY.kid}),
    "kid a number": lambda: ours(header={**HEADER, "kid": 1}),
    "kid a path": lambda: ours(header={**HEADER, "kid": "../../dev/null"}),
    "jku": lambda: ours(header={**HEADER, "jku": "https://evil.example/jwks.json"}),
    "x5u": lambda: ours(header={**HEADER, "x5u": "https://evil.example/cert"}),
    "jwk": lambda: ours(header={**HEADER, "jwk": _jwk}),
    "crit": lambda: ours(header={**HEADER, "crit": ["exp"]}),
    "b64": lambda: ours(header={**HEADER, "b64": False, "crit": ["b64"]}),
    "zip": lambda: ours(header={**HEADER, "zip": "DEF"}),
    "payload no object": lambda: ours(payload=b"[]"),
    "payload no JSON": lambda: ours(payload=b"{"),
    "payload not UTF-8": lambda: ours(payload=b"\xff\xfe"),
    "an extra claim": lambda: ours(payload={**PAYLOAD, "email": "someone@mail.example"}),
    "nbf": lambda: ours(payload={**PAYLOAD, "nbf": NOW}),
    "sub a number": lambda: ours(payload={**PAYLOAD, "sub": 4711}),
    "sub no number": lambda: ours(payload={**PAYLOAD, "sub": "4711; --"}),
    "sub with a zero before": lambda: ours(payload={**PAYLOAD, "sub": "04711"}),
    "sub in other digits": lambda: ours(payload={**PAYLOAD, "sub": "٤٧١١"}),
    "aud a list": lambda: ours(payload={**PAYLOAD, "aud": [HOST]}),
    "jti too short": lambda: ours(payload={**PAYLOAD, "jti": "00112233"}),
    "jti in capitals": lambda: ours(payload={**PAYLOAD, "jti": PAYLOAD["jti"].upper()}),
    "c without a version": lambda: ours(payload={**PAYLOAD, "c": "7"}),
    "c a number": lambda: ours(payload={**PAYLOAD, "c": 7.2}),
    "d true": lambda: ours(payload={**PAYLOAD, "d": True}),
    "d a text": lambda: ours(payload={**PAYLOAD, "d": "3"}),
    "d a URL": lambda: ours(payload={**PAYLOAD, "d": "https://evil.example/"}),
    "k page": lambda: ours(payload={**PAYLOAD, "k": "p"}),
    "k wallet": lambda: ours(payload={**PAYLOAD, "k": "wallet"}),
    "k null": lambda: ours(payload={**PAYLOAD, "k": None}),
    "an open that leads somewhere": lambda: ours(payload={**PAYLOAD, "k": "o"}),
    "d nought": lambda: ours(payload={**PAYLOAD, "d": 0}),
    "exp a fraction": lambda: ours(payload={**PAYLOAD, "exp": NOW + 0.5}),
    "exp a whole fraction": lambda: ours(payload={**PAYLOAD, "exp": float(NOW + 86_400)}),
    "exp beyond our numbers": lambda: ours(payload={**PAYLOAD, "exp": 2**63}),
    "c with a line end": lambda: ours(payload={**PAYLOAD, "c": "7.2\n"}),
    "exp a text": lambda: ours(payload={**PAYLOAD, "exp": str(NOW + 60)}),
    "exp beyond all years": lambda: ours(payload={**PAYLOAD, "exp": 10**30}),
    "exp null": lambda: ours(payload={**PAYLOAD, "exp": None}),
    "m null": lambda: ours(payload={**PAYLOAD, "m": None}),
    **{
        f"without {name}": (lambda name=name: ours(payload={k: v for k, v in PAYLOAD.items() if k != name})) for name in PAYLOAD
    },
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_token_is_forged_and_nothing_more(forgery: str) -> None:
    with pytest.raises(LinkRefused) as refused:
        verify(FORGERIES[forgery]())
    assert (refused.value.refusal, refused.value.claims) == (LinkRefusal.FORGED, None)


_ORDER = 2**252 + 27742317777372353535851937790883648493
"""Of the group in which Ed25519 computes (RFC 8032, 5.1)."""


def test_of_signatures_that_the_public_key_accepts_only_the_one_we_make_is_ours() -> None:
    seed = hashlib.sha512(KEY.private_key).digest()
    # What a key's public half is made of is as good a nonce as any other.
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    commitment = other.public_key().public_bytes_raw()
    nonce = _clamped(hashlib.sha512(bytes(32)).digest())
    challenge = int.from_bytes(hashlib.sha512(commitment + _public.public_bytes_raw() + _body.encode()).digest(), "little")
    answer = (nonce + challenge * _clamped(seed)) % _ORDER
    second = commitment + answer.to_bytes(32, "little")
    _public.verify(second, _body.encode())
    with pytest.raises(LinkRefused):
        verify(f"{_body}.{encode(second)}")


def _clamped(hashed: bytes) -> int:
    return int.from_bytes(hashed[:32], "little") & ((1 << 254) - 8) | 1 << 254


def test_a_signature_with_any_bit_changed_is_none() -> None:
    signature = base64.urlsafe_b64decode(_signature + "==")
    for bit in range(8 * len(signature)):
        changed = (int.from_bytes(signature, "big") ^ 1 << bit).to_bytes(len(signature), "big")
        with pytest.raises(LinkRefused):
            verify(f"{_body}.{encode(changed)}")


def test_the_helper_signs_what_we_accept() -> None:
    assert verify(ours()) == CLAIMS
