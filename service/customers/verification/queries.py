"""The rows that say which identities are verified: the statements on proofs. The caller owns the transaction.

An identity's state is one column, ``identity.verified_by``; the table ``verification`` has all that was ever proved or
withdrawn of it. Writers hold the brand's lock (``lock`` in ``service.customers.queries``), which keeps out merges
and rehashing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from service.customers.queries import Connection
from service.customers.schemas import Method

_SQL = Path(__file__).with_name("sql")
_BY_MAC = (_SQL / "identity_states_by_mac.sql").read_text()
_BY_NUMBER = (_SQL / "identity_state_by_number.sql").read_text()
_OF_CUSTOMER = (_SQL / "identity_states_of_customer.sql").read_text()
_TAKEN_AS = """
SELECT verification.verification_no
FROM rewards.verification
WHERE verification.identity_no = $1 AND verification.method = $2 AND verification.proof = $3
"""
_ADD = """
INSERT INTO rewards.verification (brand_id, identity_no, method, proof, reason, happened_at, api_key_id)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING verification.verification_no
"""
_SET_STATE = "UPDATE rewards.identity SET verified_by = $2 WHERE identity.identity_no = $1"
_HISTORY = (_SQL / "verification_history.sql").read_text()


class IdentityState(msgspec.Struct, frozen=True):
    """An identity and how it stands. ``customer`` is the number it was attached to, which may have been merged since.

    ``verified_by`` is the number of the first proof since the last withdrawal, ``None`` if there is none, as is what follows.
    """

    identity_no: int
    mac: bytes
    kind: int
    customer: int
    since: datetime
    verified_by: int | None
    verified_at: datetime | None
    method: Method | None
    proof: str | None


class Verification(msgspec.Struct, frozen=True):
    """A proof, or a withdrawal of all proofs before it: then ``method`` is ``None``."""

    verification_no: int
    method: Method | None
    proof: str | None
    reason: str | None
    happened_at: datetime
    recorded_at: datetime
    api_key_id: int


async def states_of_macs(connection: Connection | asyncpg.Pool[Any], macs: Collection[bytes]) -> dict[bytes, IdentityState]:
    """How those of ``macs`` stand that are stored, by mac."""
    return {row["mac"]: IdentityState(*row) for row in await connection.fetch(_BY_MAC, sorted(macs))}


async def states_of_customer(
    connection: Connection | asyncpg.Pool[Any], numbers: Sequence[int], *, after: int, limit: int
) -> list[IdentityState]:
    """The identities attached to any of a customer's numbers, by their own."""
    return [IdentityState(*row) for row in await connection.fetch(_OF_CUSTOMER, numbers, after, limit)]


async def state(connection: Connection | asyncpg.Pool[Any], brand_id: int, identity_no: int) -> IdentityState | None:
    """How an identity of the brand stands."""
    row = await connection.fetchrow(_BY_NUMBER, identity_no, brand_id)
    return None if row is None else IdentityState(*row)


async def find_proof(connection: Connection, identity_no: int, method: str, proof: str) -> int | None:
    """The number under which this very proof was taken before."""
    return await connection.fetchval(_TAKEN_AS, identity_no, method, proof)


async def add_proof(
    connection: Connection, brand_id: int, identity_no: int, method: str, proof: str, at: datetime, api_key_id: int
) -> int:
    """Keep a proof; return its number."""
    return await connection.fetchval(_ADD, brand_id, identity_no, method, proof, None, at, api_key_id)


async def add_withdrawal(
    connection: Connection, brand_id: int, identity_no: int, reason: str, at: datetime, api_key_id: int
) -> None:
    """Keep that what was proved is withdrawn."""
    await connection.execute(_ADD, brand_id, identity_no, None, None, reason, at, api_key_id)


async def set_state(connection: Connection, identity_no: int, verified_by: int | None) -> None:
    """Make an identity verified by a proof, or unverified."""
    await connection.execute(_SET_STATE, identity_no, verified_by)


async def history(
    connection: Connection | asyncpg.Pool[Any], identity_no: int, *, after: int, limit: int
) -> list[Verification]:
    """What was proved and withdrawn of an identity, oldest first."""
    return [Verification(*row) for row in await connection.fetch(_HISTORY, identity_no, after, limit)]
