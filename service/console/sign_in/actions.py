"""Signing in, and enrolling with an invitation.

    sign_in     with a login, a password and a one-time code
    invited     whom an invitation is for
    enrol       choose a login and a password, with an invitation and the first one-time code

Whether a login exists cannot be told from an answer, nor from how long it takes: a password is hashed either way.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec
from litestar import Request

from service.admission.client_networks import client_network
from service.auth.api_keys import hash_key
from service.brands.brand import Brand
from service.console.sign_in import one_time, passwords, sessions
from service.crypto.derived_keys import derived_keys
from service.crypto.sealing import SealBroken, opened, sealed

if TYPE_CHECKING:
    from service.services import Services

LOGIN_BYTES_MAX = 256
now = time.time
_PURPOSE = "console one-time codes 1"
_LOGIN = "SELECT person_id, password_hash, totp_secret, totp_step FROM rewards.console_login_v1($1, $2)"
_INVITED = "SELECT person_id, brand_id, name, roles FROM rewards.person_of_invitation_v1($1)"
_ENROL = "SELECT rewards.enrol_console_v2($1, $2, $3, $4, $5, $6)"
_OF_SUBJECT = "SELECT rewards.person_of_subject_v1($1, $2)"


class Refused(Exception):
    """Nobody is signed in. The message is for them."""


WRONG = "That did not fit together. Check the brand, the login and the password, and take a new one-time code."
TOO_MANY = "Too many attempts. Wait a quarter of an hour, and try again."


class Credentials(msgspec.Struct, frozen=True):
    """What somebody types to sign in."""

    brand: str
    login: str
    password: str
    code: str


class Invited(msgspec.Struct, frozen=True):
    """Whom an invitation is for."""

    person_id: int
    name: str
    roles: Sequence[str]
    brand: Brand


def login_of(typed: str) -> str:
    """A login as it is kept: how it is capitalized makes no difference."""
    return typed.strip().casefold()


async def sign_in(services: Services, request: Request[Any, Any, Any], typed: Credentials) -> str:
    """Sign somebody in and return their cookie. Raises `Refused`."""
    limits = services.sign_in_limits
    network, account = client_network(request.client.host if request.client else ""), f"{typed.brand}\0{typed.login}"
    if limits.by_network.exceeded(network) or limits.by_login.exceeded(account):
        raise Refused(TOO_MANY)
    cookie = await _begin(services, typed)
    if cookie is None:
        limits.by_network.note(network)
        limits.by_login.note(account)
        raise Refused(WRONG)
    return cookie


async def _begin(services: Services, typed: Credentials) -> str | None:
    found = None
    if len(typed.login.encode(errors="surrogatepass")) <= LOGIN_BYTES_MAX and "\0" not in typed.brand + typed.login:
        found = await services.pool.fetchrow(_LOGIN, typed.brand, login_of(typed.login))
    kept = passwords.NOBODYS if found is None else found["password_hash"]
    is_right = await services.sign_in_limits.hashing(passwords.is_password, typed.password[: passwords.BYTES_MAX], kept)
    if found is None:
        return None
    secret = _opened(services, found["person_id"], found["totp_secret"])
    step = None if secret is None else one_time.step_of(typed.code, secret, now=now(), after=found["totp_step"])
    if not is_right or step is None:
        return None
    return await sessions.begin(services, found["person_id"], method="password", totp_step=step)


async def invited(services: Services, invitation: str, request: Request[Any, Any, Any]) -> Invited:
    """Whom an invitation is for that is still good. Raises `Refused`."""
    network = client_network(request.client.host if request.client else "")
    if services.invitation_guesses.exceeded(network):
        raise Refused(TOO_MANY)
    found = await services.pool.fetchrow(_INVITED, hash_key(invitation))
    brand = None if found is None else await services.brands.by_id(found["brand_id"])
    if found is None or brand is None:
        services.invitation_guesses.note(network)
        raise Refused("This invitation is unknown, was used, or has expired. The operator can make another.")
    return Invited(found["person_id"], found["name"], found["roles"], brand)


async def enrol(services: Services, known: Invited, invitation: str, typed: Credentials, secret: str) -> str:
    """Let somebody sign in from now on, sign them in, and return their cookie. Raises `Refused`."""
    login, key = login_of(typed.login), one_time.read_secret(secret)
    if not login or len(login.encode(errors="surrogatepass")) > LOGIN_BYTES_MAX or not login.isprintable():
        raise Refused(f"Choose a login of at most {LOGIN_BYTES_MAX} bytes, such as your email address.")
    if (wrong := passwords.refusal_of(typed.password, login)) is not None:
        raise Refused(f"The password {wrong}.")
    step = None if key is None else one_time.step_of(typed.code, key, now=now())
    if key is None or step is None:
        raise Refused("The one-time code is not the one that your app shows now. Is the phone's clock right?")
    kept = await services.sign_in_limits.hashing(passwords.hash_password, typed.password)
    person_id = await _enrol(services, invitation, login, kept, _sealed(services, known.person_id, key), None)
    cookie = await sessions.begin(services, person_id, method="invitation", totp_step=step)
    if cookie is None:
        raise Refused(WRONG)
    return cookie


async def sign_in_as(services: Services, brand_id: int, subject: str) -> str:
    """Sign in the person who is this subject of the brand's identity provider, and return their cookie. Raises `Refused`."""
    person_id = await services.pool.fetchval(_OF_SUBJECT, brand_id, subject)
    if person_id is None:
        raise Refused("The identity provider knows you, and this console does not. Enrol with your invitation first.")
    return await _begun(services, person_id, "provider")


async def enrol_as(services: Services, invitation: str, subject: str, email: str) -> str:
    """Let a person sign in from now on as this subject, sign them in, and return their cookie. Raises `Refused`."""
    login = login_of(email) or f"subject {subject}"
    return await _begun(services, await _enrol(services, invitation, login, None, None, subject), "provider")


async def _begun(services: Services, person_id: int, method: str) -> str:
    cookie = await sessions.begin(services, person_id, method=method)
    if cookie is None:
        raise Refused(WRONG)
    return cookie


async def _enrol(
    services: Services, invitation: str, login: str, kept: str | None, secret: bytes | None, subject: str | None
) -> int:
    # Nobody learns the text of the key with which they act: it is made of what is thrown away.
    key_hash = hash_key(secrets.token_hex(32))
    try:
        person_id = await services.pool.fetchval(_ENROL, hash_key(invitation), key_hash, login, kept, secret, subject)
    except asyncpg.UniqueViolationError:
        raise Refused(
            "Somebody else of your brand has this login. Choose another."
            if subject is None
            else "Somebody else of your brand signs in with this account."
        ) from None
    if person_id is None:
        raise Refused("This invitation was used or has expired meanwhile.")
    return person_id


def _sealed(services: Services, person_id: int, secret: bytes) -> bytes:
    return sealed(secret, _keys(services)[0], place=b"%d" % person_id)


def _opened(services: Services, person_id: int, kept: bytes) -> bytes | None:
    try:
        return opened(kept, _keys(services), place=b"%d" % person_id)
    except SealBroken:
        return None


def _keys(services: Services) -> Sequence[bytes]:
    return derived_keys(services.secrets.link_keys, _PURPOSE)
