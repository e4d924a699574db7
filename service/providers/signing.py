"""Signing a request as its provider would, for tests and for `rewards simulate`: the schemes, read the other way round.

The keys are made from a constant: what is signed with them verifies only where somebody has set up our secrets.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding as KeyEncoding
from cryptography.hazmat.primitives.serialization import PublicFormat
from cryptography.x509.oid import NameOID

from service.providers.jwt import BodyJwt
from service.providers.reading import json_of, object_of
from service.providers.schemes import Algorithm, Encoding, Presented, Scheme, Signature
from service.providers.signed_bytes import FormField, Header, JsonField, Place, Query, signed_bytes
from service.providers.sns import SnsSignature, string_to_sign
from service.providers.types import ProviderRequest

CERTIFICATE_URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"

_SEED = hashlib.sha256(b"simulated provider").digest()
_EC_KEY = ec.derive_private_key(int.from_bytes(_SEED) >> 1, ec.SECP256R1())
_ED_KEY = ed25519.Ed25519PrivateKey.from_private_bytes(_SEED)


def simulated_secret(scheme: Scheme) -> str:
    """What a source holds so that what we sign for a scheme verifies. Of key pairs it is the public key."""
    if isinstance(scheme, Presented):
        return "simulated:provider" if scheme.encoding is Encoding.BASE64 else "simulated-provider"
    if not isinstance(scheme, Signature):
        return "simulated-provider"
    if scheme.algorithm is Algorithm.ECDSA_P256:
        return _text_of(_EC_KEY.public_key().public_bytes(KeyEncoding.DER, PublicFormat.SubjectPublicKeyInfo))
    if scheme.algorithm is Algorithm.ED25519:
        return scheme.key_prefix + _text_of(_ED_KEY.public_key().public_bytes_raw())
    return scheme.key_prefix + (_text_of(_SEED) if scheme.key is Encoding.BASE64 else _SEED.hex())


def simulated_certificate(url: str) -> bytes:
    """The certificate that goes with what we sign as SNS does."""
    if url != CERTIFICATE_URL:
        raise FileNotFoundError(url)
    return _rsa_certificate()


def sign(scheme: Scheme, request: ProviderRequest, secret: str, now: datetime) -> ProviderRequest:
    """The request with its signature, or as it is where the scheme signs nothing of its kind."""
    if isinstance(scheme, Presented):
        shown = secret if scheme.encoding is Encoding.TEXT else _text_of(secret.encode())
        return _with(scheme.place, request, scheme.prefix + shown)
    if isinstance(scheme, SnsSignature):
        return _sign_as_sns(request)
    if isinstance(scheme, BodyJwt):
        return _with(scheme.place, request, f"{scheme.prefix} {_jwt(scheme, request, secret, now)}".strip())
    return _sign(scheme, request, secret, now) if isinstance(scheme, Signature) else request


def _sign(scheme: Signature, request: ProviderRequest, secret: str, now: datetime) -> ProviderRequest:
    for piece in scheme.signed:
        # A header that is signed and missing is the time.
        if isinstance(piece, Header) and piece.name not in request.headers:
            request = _with(piece, request, str(int(now.timestamp())))
    signed = signed_bytes(scheme.signed, request)
    if signed is None:
        return request
    made = _SIGNERS.get(scheme.algorithm, _mac)(scheme, secret, signed)
    written = made.hex() if scheme.encoding is Encoding.HEX else _text_of(made)
    return _with(scheme.place, request, scheme.prefix + written)


def _mac(scheme: Signature, secret: str, signed: bytes) -> bytes:
    key = scheme.key.decode(secret.removeprefix(scheme.key_prefix).encode()) or b""
    return hmac.digest(key, signed, scheme.algorithm.value)


_SIGNERS: dict[Algorithm, Callable[[Signature, str, bytes], bytes]] = {
    Algorithm.ECDSA_P256: lambda scheme, secret, signed: _EC_KEY.sign(signed, ec.ECDSA(SHA256())),
    Algorithm.ED25519: lambda scheme, secret, signed: _ED_KEY.sign(signed),
}


def _with(place: Place, request: ProviderRequest, value: str) -> ProviderRequest:
    if isinstance(place, Header):
        return msgspec.structs.replace(request, headers={**request.headers, place.name: value})
    if isinstance(place, Query):
        return msgspec.structs.replace(request, url=f"{request.url}?{urlencode({place.name: value})}")
    if isinstance(place, FormField):
        fields = {**dict(parse_qsl(request.body.decode(), keep_blank_values=True)), place.name: value}
        return msgspec.structs.replace(request, body=urlencode(fields).encode())
    return _with_json(place, request, value)


def _with_json(place: JsonField, request: ProviderRequest, value: str) -> ProviderRequest:
    body: dict[str, Any] = json_of(request.body)
    inner = body
    for name in place.path[:-1]:
        inner = inner.setdefault(name, {})
    inner[place.path[-1]] = value
    return msgspec.structs.replace(request, body=msgspec.json.encode(body))


def _jwt(scheme: BodyJwt, request: ProviderRequest, secret: str, now: datetime) -> str:
    claims: dict[str, Any] = {"iat": int(now.timestamp()), "iss": scheme.issuer, "jti": request.url}
    claims[scheme.body_claim] = hashlib.sha256(request.body).hexdigest()
    signed = b".".join(_part(msgspec.json.encode(part)) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return (signed + b"." + _part(hmac.digest(secret.encode(), signed, "sha256"))).decode()


def _part(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def _sign_as_sns(request: ProviderRequest) -> ProviderRequest:
    message = object_of(json_of(request.body))
    made = _rsa_key().sign(string_to_sign(message), padding.PKCS1v15(), SHA256())
    body = {**message.values, "Signature": _text_of(made)}
    return msgspec.structs.replace(request, body=msgspec.json.encode(body))


@functools.cache
def _rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


@functools.cache
def _rsa_certificate() -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "simulated provider")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(_rsa_key().public_key())
    builder = builder.serial_number(1).not_valid_before(datetime(2000, 1, 1, tzinfo=UTC))
    made = builder.not_valid_after(datetime(2100, 1, 1, tzinfo=UTC)).sign(_rsa_key(), SHA256())
    return made.public_bytes(KeyEncoding.PEM)


def _text_of(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
