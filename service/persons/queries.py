"""Reading persons."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.auth.tables import api_key
from service.persons.tables import person


class Person(msgspec.Struct, frozen=True):
    """Somebody who works for a brand."""

    person_id: int
    name: str
    roles: tuple[str, ...]
    invited_at: datetime
    invitation_expires_at: datetime | None
    """Of an invitation that was not used."""
    enrolled_at: datetime | None
    disabled_at: datetime | None


COLUMNS = [field.name for field in msgspec.structs.fields(Person)]
_columns = [person.c[name] for name in COLUMNS]


async def list_persons(engine: AsyncEngine, brand_id: int, *, after: int, limit: int) -> list[Person]:
    """A page of a brand's persons, disabled ones too, in the order in which they were invited."""
    found = select(*_columns).where(person.c.brand_id == brand_id, person.c.person_id > after)
    async with engine.connect() as connection:
        return [_of_row(row) for row in await connection.execute(found.order_by(person.c.person_id).limit(limit))]


async def read_person(connection: AsyncConnection, brand_id: int, person_id: int) -> Person:
    """A person whom the brand has."""
    found = select(*_columns).where(person.c.brand_id == brand_id, person.c.person_id == person_id)
    return _of_row((await connection.execute(found)).one())


async def person_of_key(connection: AsyncConnection, api_key_id: int) -> Person:
    """Whose a key is that belongs to a person."""
    found = select(*_columns).join_from(person, api_key, person.c.person_id == api_key.c.person_id)
    return _of_row((await connection.execute(found.where(api_key.c.api_key_id == api_key_id))).one())


def _of_row(row: Row[Any]) -> Person:
    return msgspec.convert(dict(zip(COLUMNS, row, strict=True)), Person)
