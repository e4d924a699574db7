"""Signing a request as its provider would, for tests and for `rewards simulate`: the schemes, read the other way round."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding as KeyEncoding
from cryptography.hazmat.primitives.serialization import PublicFormat

from service.providers.schemes import Algorithm, Encoding, Presented, Signature
from service.providers.signed_bytes import Header, JsonField, Place, signed_bytes
from service.providers.types import ProviderRequest

_NAME = b"simulated provider"
_SEED = hashlib.sha256(_NAME).digest()
_EC_KEY = ec.derive_private_key(int.from_bytes(_SEED) >> 1, ec.SECP256R1())
_ED_KEY = ed25519.Ed25519PrivateKey.from_private_bytes(_SEED)


def simulated_secret(scheme: Signature | Presented) -> str:
    """What a source holds so that what we sign for a scheme verifies. Of key pairs it is the public key."""
    if isinstance(scheme, Presented):
        return "simulated:provider" if scheme.encoding is Encoding.BASE64 else "simulated-provider"
    if scheme.algorithm is Algorithm.ECDSA_P256:
        return _text_of(_EC_KEY.public_key().public_bytes(KeyEncoding.DER, PublicFormat.SubjectPublicKeyInfo))
    if scheme.algorithm is Algorithm.ED25519:
        return scheme.key_prefix + _text_of(_ED_KEY.public_key().public_bytes_raw())
    return scheme.key_prefix + (_text_of(_SEED) if scheme.key is Encoding.BASE64 else _SEED.hex())


def sign(scheme: Signature | Presented, request: ProviderRequest, secret: str, now: datetime) -> ProviderRequest:
    """The request with its signature. A header that is signed and missing is the time."""
    if isinstance(scheme, Presented):
        shown = secret if scheme.encoding is Encoding.TEXT else _text_of(secret.encode())
        return _with(scheme.place, request, scheme.prefix + shown)
    for piece in scheme.signed:
        if isinstance(piece, Header) and piece.name not in request.headers:
            request = _with(piece, request, str(int(now.timestamp())))
    signed = signed_bytes(scheme.signed, request)
    assert signed is not None, "a sample has all that is signed"
    made = _SIGNERS.get(scheme.algorithm, _mac)(scheme, secret, signed)
    written = made.hex() if scheme.encoding is Encoding.HEX else _text_of(made)
    return _with(scheme.place, request, scheme.prefix + written)


def _mac(scheme: Signature, secret: str, signed: bytes) -> bytes:
    key = scheme.key.decode(secret.removeprefix(scheme.key_prefix).encode())
    assert key is not None, "the secret is written as the scheme wants it"
    return hmac.digest(key, signed, scheme.algorithm.value)


_SIGNERS: dict[Algorithm, Callable[[Signature, str, bytes], bytes]] = {
    Algorithm.ECDSA_P256: lambda scheme, secret, signed: _EC_KEY.sign(signed, ec.ECDSA(SHA256())),
    Algorithm.ED25519: lambda scheme, secret, signed: _ED_KEY.sign(signed),
}


def _with(place: Place, request: ProviderRequest, value: str) -> ProviderRequest:
    if isinstance(place, Header):
        return msgspec.structs.replace(request, headers={**request.headers, place.name: value})
    assert isinstance(place, JsonField), "no scheme that we sign for writes anywhere else"
    body: dict[str, Any] = msgspec.json.decode(request.body)
    inner = body
    for name in place.path[:-1]:
        inner = inner.setdefault(name, {})
    inner[place.path[-1]] = value
    return msgspec.structs.replace(request, body=msgspec.json.encode(body))


def _text_of(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
