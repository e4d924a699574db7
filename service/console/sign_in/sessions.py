"""Sessions: a random id in a cookie, of which the database keeps the SHA-256.

    begin     sign a person in; what their browser is to keep
    find      who is signed in
    end       sign out, here or everywhere

A session ends twelve hours after it began, an hour after it was last used, or when its person is disabled. Over TLS the cookie
is ``__Host-``: no other host can set it, and it never leaves by plain HTTP. Without TLS there is a console only in a demo and
on this machine's loopback.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from service.auth.principal import Principal
from service.egress.hosts import is_loopback
from service.settings import Settings

if TYPE_CHECKING:
    from service.services import Services

LIFE_S = 12 * 3600
IDLE_S = 3600
_TOKEN_BYTES = 32

_BEGIN = "SELECT rewards.start_console_session_v1($1, $2, $3, $4, $5)"
_FIND = "SELECT person_id, roles, key_hash FROM rewards.console_session_v1($1, $2)"
_END = "SELECT rewards.end_console_session_v1($1, $2)"


class Session(msgspec.Struct, frozen=True):
    """Somebody who is signed in. ``csrf`` is what their own forms say."""

    token: str
    principal: Principal
    person_id: int
    roles: Sequence[str]
    key_hash: bytes
    csrf: str


def is_offered(settings: Settings) -> bool:
    """Whether anybody can sign in here: not where a password would cross a network in the clear."""
    address = urlsplit(settings.base_url)
    return address.scheme == "https" or settings.demo or is_loopback(address.hostname or "")


async def begin(services: Services, person_id: int, *, method: str, totp_step: int | None = None) -> str | None:
    """Sign a person in and return their cookie; ``None`` if they are disabled, or their one-time code was used."""
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    until = datetime.now(UTC) + timedelta(seconds=LIFE_S)
    began = await services.pool.fetchval(_BEGIN, person_id, _hash(token), method, totp_step, until)
    return _cookie(services.settings, token, LIFE_S) if began else None


async def find(services: Services, cookies: Mapping[str, str]) -> Session | None:
    """Who is signed in, if anybody is."""
    token = cookies.get(_name(services.settings), "")
    if not token:
        return None
    row = await services.pool.fetchrow(_FIND, _hash(token), IDLE_S)
    principal = None if row is None else await services.principals.by_hash(row["key_hash"])
    if row is None or principal is None:
        return None
    return Session(token, principal, row["person_id"], row["roles"], row["key_hash"], _csrf(token))


async def end(services: Services, session: Session, *, everywhere: bool) -> str:
    """Sign a person out, and return what takes the place of their cookie."""
    await services.pool.fetchval(_END, hash_of(session), everywhere)
    return _cookie(services.settings, "", 0)


def hash_of(session: Session) -> bytes:
    """What the database knows a session by."""
    return _hash(session.token)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _csrf(token: str) -> str:
    return base64.urlsafe_b64encode(hmac.digest(token.encode(), b"form", "sha256")[:16]).rstrip(b"=").decode()


def is_over_tls(settings: Settings) -> bool:
    """Whether browsers reach the console over TLS."""
    return settings.base_url.startswith("https://")


def _name(settings: Settings) -> str:
    return cookie_name(settings, "console")


def cookie(settings: Settings, name: str, content: str, life_s: int) -> str:
    """A cookie that no script reads and no other site's page has sent. Over TLS its name has to begin with ``__Host-``."""
    # That demands the path and Secure, and forbids a domain (RFC 6265bis, 4.1.3.2).
    secure = "; Secure" if is_over_tls(settings) else ""
    return f"{name}={content}; Path=/; Max-Age={life_s}; HttpOnly; SameSite=Lax{secure}"


def cookie_name(settings: Settings, name: str) -> str:
    """What a cookie is called here."""
    return f"__Host-{name}" if is_over_tls(settings) else name


def _cookie(settings: Settings, token: str, life_s: int) -> str:
    return cookie(settings, _name(settings), token, life_s)
