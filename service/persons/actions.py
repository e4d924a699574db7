"""Inviting, enrolling and disabling persons.

    invite again_invite find disable   what the operator's command line does, over the owner's connection
    enrol                              what a person does with their invitation, who has no key yet
    withdraw                           disabling, by a key with the scope keys:write

An invitation is shown once, on the operator's terminal: who holds a key cannot make, list or read one. All is recorded in the
audit trail.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec
from sqlalchemy import Integer, LargeBinary, Text, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from service.auth.actions import no_longer_valid
from service.auth.api_keys import hash_key, make_key, prefix_of
from service.auth.audit_trail import record_by_operator
from service.auth.principal import Principal
from service.auth.roles import Role, scopes_of
from service.auth.scopes import conflict
from service.brands.brand import Mode
from service.brands.errors import BrandUnknown
from service.brands.tables import brand
from service.http.identifiers import person_id as public_id
from service.http.problems import not_found
from service.persons.errors import InvitationRefused, PersonInvalid, PersonUnknown
from service.persons.queries import COLUMNS, Person, person_of_key, read_person
from service.persons.tables import person

INVITATION_DAYS = 7
"""How long an invitation is good."""
_INVITATION = re.compile(r"ri_(live|test)_[A-Za-z0-9_-]{43}")
_SHOWN = ", ".join(COLUMNS)


class Invitation(msgspec.Struct, frozen=True):
    """Whom it is for, and its text, which cannot be had again."""

    person: Person
    text: str


async def invite(connection: asyncpg.Connection[Any], brand_code: str, name: str, roles: Sequence[str]) -> Invitation:
    """Invite a person. Raises `BrandUnknown` or `PersonInvalid`."""
    wanted = sorted(set(roles))
    _check(name, wanted)
    brand_id, mode = await _brand(connection, brand_code)
    text = _make_invitation(mode)
    async with connection.transaction():
        row = await connection.fetchrow(
            f"""
            INSERT INTO {person.fullname} (brand_id, name, roles, scopes, invitation_hash, invitation_expires_at)
            VALUES ($1, $2, $3, $4, $5, now() + make_interval(days => $6))
            RETURNING {_SHOWN}
            """,
            brand_id, name, wanted, sorted(scopes_of(wanted)), hash_key(text), INVITATION_DAYS,
        )  # fmt: skip
        invited = _person(row)
        await _record_invitation(connection, brand_id, invited)
    return Invitation(invited, text)


async def invite_again(connection: asyncpg.Connection[Any], brand_code: str, person_id: int) -> Invitation:
    """Invite a person who has lost their invitation or key; no earlier invitation is good any more.

    Raises `BrandUnknown`, or `PersonUnknown` for one who is disabled too.
    """
    brand_id, mode = await _brand(connection, brand_code)
    text = _make_invitation(mode)
    async with connection.transaction():
        row = await connection.fetchrow(
            f"""
            UPDATE {person.fullname} SET invitation_hash = $3, invitation_expires_at = now() + make_interval(days => $4)
            WHERE brand_id = $1 AND person_id = $2 AND disabled_at IS NULL
            RETURNING {_SHOWN}
            """,
            brand_id, person_id, hash_key(text), INVITATION_DAYS,
        )  # fmt: skip
        if row is None:
            raise _unknown(brand_code, person_id)
        invited = _person(row)
        await _record_invitation(connection, brand_id, invited)
    return Invitation(invited, text)


async def disable(connection: asyncpg.Connection[Any], brand_code: str, person_id: int) -> Person:
    """Disable a person: their keys are revoked, and no invitation of theirs is good any more; again is harmless.

    Raises `BrandUnknown` or `PersonUnknown`.
    """
    brand_id, _ = await _brand(connection, brand_code)
    if not await connection.fetchval("SELECT rewards.disable_person_v1($1, $2, NULL)", brand_id, person_id):
        raise _unknown(brand_code, person_id)
    return _person(await connection.fetchrow(f"SELECT {_SHOWN} FROM {person.fullname} WHERE person_id = $1", person_id))


async def list_for_operator(connection: asyncpg.Connection[Any], brand_code: str) -> list[Person]:
    """A brand's persons, disabled ones too, in the order in which they were invited. Raises `BrandUnknown`."""
    brand_id, _ = await _brand(connection, brand_code)
    found = f"SELECT {_SHOWN} FROM {person.fullname} WHERE brand_id = $1 ORDER BY person_id"
    return [_person(row) for row in await connection.fetch(found, brand_id)]


class Enrolled(msgspec.Struct, frozen=True):
    """Who enrolled, and the text of their key, which cannot be had again."""

    person: Person
    api_key_id: int
    key: str


async def enrol(engine: AsyncEngine, invitation: str) -> Enrolled:
    """Make a key for whoever has an invitation. Raises `InvitationRefused`."""
    written = _INVITATION.fullmatch(invitation)
    if written is None:
        raise InvitationRefused
    key = make_key("live" if written[1] == "live" else "test")
    enrols = select(
        func.rewards.enrol_person_v1(
            bindparam(None, hash_key(invitation), LargeBinary),
            bindparam(None, hash_key(key), LargeBinary),
            bindparam(None, prefix_of(key), Text),
        )
    )
    async with engine.begin() as connection:
        api_key_id = (await connection.execute(enrols)).scalar_one()
        if api_key_id is None:
            raise InvitationRefused
        return Enrolled(await person_of_key(connection, api_key_id), api_key_id, key)


async def withdraw(engine: AsyncEngine, principal: Principal, caller_hash: bytes, person_id: int) -> Person:
    """Disable a person of the caller's brand, and revoke their keys; again is harmless. Raises a problem."""
    disables = select(
        func.rewards.disable_person_v2(bindparam(None, caller_hash, LargeBinary), bindparam(None, person_id, Integer))
    )
    async with engine.begin() as connection:
        found = (await connection.execute(disables)).scalar_one()
        if found is None:
            raise no_longer_valid()
        if not found:
            raise not_found("person")
        return await read_person(connection, principal.brand.brand_id, person_id)


def _make_invitation(mode: Mode) -> str:
    return f"ri_{mode}_{base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b'=').decode()}"


async def _record_invitation(connection: asyncpg.Connection[Any], brand_id: int, invited: Person) -> None:
    after = {"name": invited.name, "roles": invited.roles, "expires_at": invited.invitation_expires_at}
    await record_by_operator(connection, brand_id, "person.invite", public_id(invited.person_id), after=after)


async def _brand(connection: asyncpg.Connection[Any], code: str) -> tuple[int, Mode]:
    row = await connection.fetchrow(f"SELECT brand_id, mode FROM {brand.fullname} WHERE code = $1", code)
    if row is None:
        raise BrandUnknown(f"There is no brand {code!r}.")
    return row["brand_id"], row["mode"]


def _unknown(brand_code: str, person_id: int) -> PersonUnknown:
    return PersonUnknown(f"The brand {brand_code!r} has no person {person_id} who is not disabled; see `rewards person list`.")


def _person(row: asyncpg.Record | None) -> Person:
    # RETURNING gave a row, or the statement would have raised.
    if row is None:
        raise LookupError("person")
    return msgspec.convert(dict(row), Person)


def _check(name: str, roles: Sequence[str]) -> None:
    wrong: list[str] = []
    if not 1 <= len(name) <= 100 or not name.isprintable():
        wrong.append("name must be 1 to 100 printable characters")
    known = [str(role) for role in Role]
    unknown = [role for role in roles if role not in known]
    wrong += [f"{role!r} is not a role; there are {', '.join(known)}" for role in unknown]
    if not roles:
        wrong.append("a person needs at least one role")
    if not unknown and (apart := conflict(scopes_of(roles))):
        wrong.append(f"no person may hold both {apart[0]} and {apart[1]}; choose roles of one duty")
    if wrong:
        raise PersonInvalid("; ".join(wrong))
