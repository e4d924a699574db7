"""The ledger's tables and functions, from the files in ``sql/``.

``schema/NNNN_*.sql`` make the tables and run once, in order; a migration names the ones it runs. ``functions/*.sql`` are
re-created whole whenever one of them changes. ``rights.sql`` and ``functions/rights.sql`` say who may do what, at any
time. Each statement is run on its own, as a clustered PostgreSQL needs it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg

_SQL = Path(__file__).parent / "sql"
_STATEMENT = re.compile(r"(?:--[^\n]*|'(?:[^']|'')*'|(\$\w*\$).*?\1|[^;])+;", re.DOTALL)


def statements(script: str) -> list[str]:
    """Split a script into its statements. A semicolon in a comment, a string or a dollar-quoted body ends nothing."""
    return [match.group().strip() for match in _STATEMENT.finditer(script)]


def schema_statements(*names: str) -> Iterator[str]:
    """The statements of the named files in ``sql/schema``; of all of them, in order, if none is named."""
    files = [_SQL / "schema" / f"{name}.sql" for name in names] or sorted((_SQL / "schema").glob("*.sql"))
    for file in files:
        yield from statements(file.read_text())


def function_statements() -> Iterator[str]:
    """The statements that put the functions of the files in the place of those there are, and say who may call them."""
    files = sorted((_SQL / "functions").glob("*_v*.sql"))
    # A function may call one that is created after it.
    yield "SET LOCAL check_function_bodies = off"
    for file in files:
        yield from statements(file.read_text())
    yield "SET LOCAL check_function_bodies = on"
    yield from statements((_SQL / "drop_replaced_functions.sql").read_text())
    yield from statements((_SQL / "rights.sql").read_text())
    yield from statements((_SQL / "functions" / "rights.sql").read_text())


def role_statements() -> Iterator[str]:
    """The statements that make the roles and the schema, as far as they are missing."""
    return schema_statements("0001_roles")


def functions_digest() -> str:
    """A name for the present state of all function files."""
    return hashlib.sha256("\n".join(function_statements()).encode()).hexdigest()


async def install(connection: asyncpg.Connection[Any]) -> None:
    """Make the ledger's tables and functions in a database that has none. For programs that embed the ledger."""
    async with connection.transaction():
        for statement in [*schema_statements(), *function_statements()]:
            await connection.execute(statement)
