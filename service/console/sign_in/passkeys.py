"""Passkeys (WebAuthn, level 2): a key in a person's device or password manager, which it uses once it has verified them.

    offered      what a browser is asked for, or ``None`` where no passkey can be used
    add          take on a passkey that a browser has made
    sign_in      sign somebody in by what their passkey has signed

A challenge is ours by its MAC, for five minutes, and good once: a passkey that has signed one signs no earlier one again. So
nothing of it is kept until it comes back.
"""

from __future__ import annotations

import base64
import binascii
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
from fido2.server import Fido2Server
from fido2.webauthn import AttestedCredentialData, PublicKeyCredentialRpEntity

from service.console.sign_in import actions, sessions
from service.console.sign_in.actions import Refused
from service.console.sign_in.sessions import Session
from service.crypto.derived_keys import derived_keys
from service.crypto.macs import with_mac, without_mac
from service.egress.hosts import is_address

if TYPE_CHECKING:
    from service.services import Services

LIFE_S = 300
NAME_BYTES_MAX = 256
_PURPOSE = "console passkeys 1"
_ES256, _EDDSA, _RS256 = -7, -8, -257
_TICKS = 1_000_000

_ADD = "SELECT rewards.add_console_passkey_v1($1, $2, $3, $4)"
_REMOVE = "SELECT rewards.remove_console_passkey_v1($1, $2)"
_LIST = "SELECT credential_id, name, added_at, last_used_at FROM rewards.console_passkeys_v1($1)"
_FIND = "SELECT person_id, credential FROM rewards.console_passkey_v1($1)"
_USE = "SELECT rewards.use_console_passkey_v1($1, $2)"


class Passkey(msgspec.Struct, frozen=True):
    """A passkey, as its person sees it."""

    id: str
    name: str
    added_at: datetime
    last_used_at: datetime | None


def host_of(services: Services) -> str | None:
    """The host that passkeys are of; ``None`` where it is an address, for which there are none."""
    host = urlsplit(services.settings.base_url).hostname or ""
    return None if not host or is_address(host) else host


def to_sign_in(services: Services) -> str | None:
    """What a browser is asked for on the page to sign in, as JSON."""
    host = host_of(services)
    if host is None:
        return None
    wanted = {"challenge": _challenge(services, 0), "rpId": host, "userVerification": "required", "timeout": LIFE_S * 1_000}
    return msgspec.json.encode(wanted).decode()


async def to_add(services: Services, session: Session) -> str | None:
    """What a browser is asked for to make a passkey, as JSON."""
    host = host_of(services)
    if host is None:
        return None
    known = [{"type": "public-key", "id": each.id} for each in await passkeys_of(services, session)]
    wanted: dict[str, Any] = {
        "challenge": _challenge(services, session.person_id),
        "rp": {"id": host, "name": session.principal.brand.name},
        # It says whose it is to nobody but us.
        "user": {
            "id": _encoded(b"%d" % session.person_id),
            "name": session.principal.name,
            "displayName": session.principal.name,
        },
        "pubKeyCredParams": [{"type": "public-key", "alg": each} for each in (_EDDSA, _ES256, _RS256)],
        "authenticatorSelection": {"residentKey": "required", "userVerification": "required"},
        "excludeCredentials": known,
        "attestation": "none",
        "timeout": LIFE_S * 1_000,
    }
    return msgspec.json.encode(wanted).decode()


async def passkeys_of(services: Services, session: Session) -> list[Passkey]:
    """The passkeys of the person who is signed in."""
    rows = await services.pool.fetch(_LIST, sessions.hash_of(session))
    return [Passkey(_encoded(row["credential_id"]), row["name"], row["added_at"], row["last_used_at"]) for row in rows]


async def add(services: Services, session: Session, name: str, response: str) -> None:
    """Take on what a browser has made. Raises `Refused`."""
    if not name or len(name.encode(errors="surrogatepass")) > NAME_BYTES_MAX or not name.isprintable():
        raise Refused(f"Give the passkey a name of at most {NAME_BYTES_MAX} bytes.")
    sent = _read(response)
    state, _ = _state(services, sent, session.person_id)
    try:
        credential = _server(services).register_complete(state, sent).credential_data
    except Exception as error:
        # What a stranger's program sends in the place of a browser fails in the library in many ways.
        raise Refused(_NOT_A_PASSKEY) from error
    assert credential is not None
    row = (sessions.hash_of(session), credential.credential_id, bytes(credential), name)
    if not await services.pool.fetchval(_ADD, *row):
        raise Refused("This passkey was added before, or there are ten already.")


async def remove(services: Services, session: Session, passkey_id: str) -> bool:
    """Remove a passkey of the person who is signed in."""
    return await services.pool.fetchval(_REMOVE, sessions.hash_of(session), _decoded(passkey_id))


async def sign_in(services: Services, response: str) -> str:
    """Sign somebody in and return their cookie. Raises `Refused`."""
    sent = _read(response)
    state, made_at = _state(services, sent, 0)
    passkey_id = _decoded(str(sent.get("rawId", "")))
    found = await services.pool.fetchrow(_FIND, passkey_id)
    if found is None:
        raise Refused("This passkey is not known here. It may have been removed.")
    try:
        credential = AttestedCredentialData(found["credential"])
        _server(services).authenticate_complete(state, [credential], sent)
    except Exception as error:
        raise Refused(_NOT_A_PASSKEY) from error
    cookie = None
    if await services.pool.fetchval(_USE, passkey_id, made_at):
        cookie = await sessions.begin(services, found["person_id"], method="passkey")
    if cookie is None:
        raise Refused(actions.WRONG)
    return cookie


_NOT_A_PASSKEY = "That was no passkey of this console. Open the page again and try once again."


def _server(services: Services) -> Any:
    address = urlsplit(services.settings.base_url)
    origin = f"{address.scheme}://{address.netloc}"
    relying_party = PublicKeyCredentialRpEntity(id=host_of(services) or "", name="Atomic Rewards")
    return Fido2Server(relying_party, verify_origin=lambda sent: sent == origin)


def _challenge(services: Services, person_id: int) -> str:
    """A challenge: when it was made, for whom (0: to sign in), and what makes it one of its kind, behind our MAC."""
    ticks = int(datetime.now(UTC).timestamp() * _TICKS)
    return _encoded(with_mac(b"%d %d " % (ticks, person_id) + os.urandom(16), _keys(services)[0]))


def _state(services: Services, sent: dict[str, Any], person_id: int) -> tuple[dict[str, Any], datetime]:
    """What the library compares with, and when the challenge was made. Raises `Refused` for one that is not ours any more."""
    try:
        client_data = msgspec.json.decode(_decoded(str(sent["response"]["clientDataJSON"])))
        challenge = _decoded(client_data["challenge"])
    except (KeyError, TypeError, msgspec.DecodeError, UnicodeDecodeError):
        raise Refused(_NOT_A_PASSKEY) from None
    record = without_mac(challenge, _keys(services))
    ticks, person, _ = (b"0", b"", b"") if record is None else record.split(b" ", 2)
    made_at = datetime.fromtimestamp(int(ticks) / _TICKS, UTC)
    if int(person or b"-1") != person_id or datetime.now(UTC) - made_at > timedelta(seconds=LIFE_S):
        raise Refused("This took too long. Open the page again and try once again.")
    return {"challenge": _encoded(challenge), "user_verification": "required"}, made_at


def _read(response: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(response, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise Refused(_NOT_A_PASSKEY) from None


def _keys(services: Services) -> tuple[bytes, ...]:
    return derived_keys(services.secrets.link_keys, _PURPOSE)


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return b""
