"""Signatures that are a JWT (RFC 7519) with a hash of the body among its claims.

Only the algorithms that a scheme names are read, whatever the token says; the hash is compared, which the vendor's own library
does not do.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import datetime

import msgspec

from service.providers.reading import Fields, Unreadable, json_of, object_of
from service.providers.schemes import Context
from service.providers.signed_bytes import Header
from service.providers.types import ProviderRequest, Trust, Verdict, Verification

_ALGORITHMS = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}
_TOKEN_BYTES_MAX = 8_192


class BodyJwt(msgspec.Struct, frozen=True, kw_only=True):
    """A JWT over the SHA-256 of the body, in hex."""

    place: Header
    secret: str
    issuer: str
    prefix: str = ""
    algorithms: tuple[str, ...] = ("HS256",)
    body_claim: str = "payload_hash"
    url_claim: str | None = None
    """The claim with the SHA-256 of the URL, where there is one."""
    trust: Trust = Trust.SIGNED_BODY

    def check(self, request: ProviderRequest, context: Context) -> Verification:
        """Whether one of the secrets made the token, and it is of this body."""
        written = self.place.read(request) or b""
        head, _, rest = written.partition(b" ") if self.prefix else (b"", b"", written)
        if not written or head.lower() != self.prefix.lower().encode():
            return Verification(Verdict.UNSIGNED, "the header with the token is missing")
        keys = [secret.encode(errors="replace") for secret in context.secrets.get(self.secret, ()) if secret]
        claims = self._claims(rest, keys)
        if claims is None:
            return Verification(Verdict.FORGED, "no secret of the source made this token")
        if not self._is_of(claims, request):
            return Verification(Verdict.FORGED, "the token is of another body, URL or issuer")
        return Verification(Verdict.VERIFIED) if _is_current(claims, context.now) else _STALE

    def problem_of(self, secret: str) -> str | None:
        """Any text will do."""
        return None

    def _claims(self, token: bytes, keys: list[bytes]) -> Fields | None:
        parts = token.split(b".")
        if len(parts) != 3 or len(token) > _TOKEN_BYTES_MAX:
            return None
        try:
            header, claims, signature = (base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)) for part in parts)
            algorithm = object_of(json_of(header)).text("alg") or ""
            read = object_of(json_of(claims))
        except (ValueError, Unreadable):
            return None
        if algorithm not in self.algorithms:
            return None
        signed = parts[0] + b"." + parts[1]
        made = [hmac.digest(key, signed, _ALGORITHMS[algorithm]) for key in keys]
        return read if any(hmac.compare_digest(each, signature) for each in made) else None

    def _is_of(self, claims: Fields, request: ProviderRequest) -> bool:
        if claims.evidence("iss") != self.issuer or not _is_hash(claims, self.body_claim, request.body):
            return False
        return self.url_claim is None or _is_hash(claims, self.url_claim, request.url.encode(errors="replace"))


_STALE = Verification(Verdict.STALE, "the token is of another time")


def _is_hash(claims: Fields, claim: str, content: bytes) -> bool:
    stated = (claims.evidence(claim) or "").lower().encode()
    return hmac.compare_digest(stated, hashlib.sha256(content).hexdigest().encode())


def _is_current(claims: Fields, now: datetime) -> bool:
    """Whether it is between ``nbf`` and ``exp``, where the token says so."""
    try:
        begins, ends = claims.seconds("nbf"), claims.seconds("exp")
    except Unreadable:
        return False
    return (begins is None or begins <= now) and (ends is None or now < ends)
