"""Who is who, and what proves it, is written by the application as far as it must, and by nobody else."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from service.storage.database import APPLICATION_ROLE, READER_ROLE, WORKER_ROLE, connect
from tests.api_fixtures import Api
from tests.conftest import Database
from tests.customers.calls import grant, identity_of, unverify, verify

OWNERS_ALONE = {
    "forget a proof": "DELETE FROM rewards.verification",
    "forget all": "TRUNCATE rewards.verification",
    "make a proof count again": "UPDATE rewards.verification SET identity_no = identity_no + 1",
    "change what was proved": "UPDATE rewards.verification SET proof = 'another'",
    "turn a withdrawal into a proof": "UPDATE rewards.verification SET method = 'otp'",
    "date a record back": """
        INSERT INTO rewards.verification (brand_id, identity_no, method, proof, happened_at, api_key_id, recorded_at)
        VALUES (1, 1, 'otp', 'forged', now(), 1, now() - interval '1 year')
    """,
    "put a proof before a withdrawal": """
        INSERT INTO rewards.verification (verification_no, brand_id, identity_no, method, proof, happened_at, api_key_id)
        OVERRIDING SYSTEM VALUE VALUES (0, 1, 1, 'otp', 'forged', now(), 1)
    """,
    "give a name to somebody else": "UPDATE rewards.identity SET customer = customer + 1",
    "make it another name": "UPDATE rewards.identity SET mac = sha256(mac)",
    "make it another kind": "UPDATE rewards.identity SET kind = 1",
    "give it another number": "UPDATE rewards.identity SET identity_no = DEFAULT",
    "make a customer another brand's": "UPDATE rewards.customer SET brand_id = 2",
    "forget a customer": "DELETE FROM rewards.customer",
    "let anything be a method": "ALTER TABLE rewards.verification DROP CONSTRAINT verification_method_is_one_we_know",
}
APPLICATIONS_ALONE = {
    "read proofs": "SELECT FROM rewards.verification",
    "add a proof": """
        INSERT INTO rewards.verification (brand_id, identity_no, method, proof, happened_at, api_key_id)
        VALUES (1, 1, 'otp', 'forged', now(), 1)
    """,
    "verify a name": "UPDATE rewards.identity SET verified_by = 1",
    "verify a customer": "UPDATE rewards.customer SET verified = true",
}


async def test_every_forgery_fails(funded: Api, database: Database, owner: asyncpg.Connection[Any]) -> None:
    ada = {"email": "ada@example.org"}
    await grant(funded, ada)
    identity_id = (await identity_of(funded, **ada))["identity_id"]
    await verify(funded, identity_id)
    await unverify(funded, identity_id)
    before = await written(owner)
    succeeded: list[str] = []
    for role in (APPLICATION_ROLE, WORKER_ROLE, READER_ROLE):
        connection = await connect(database.application_url, role)
        forgeries = OWNERS_ALONE if role == APPLICATION_ROLE else OWNERS_ALONE | APPLICATIONS_ALONE
        for forgery, statement in forgeries.items():
            try:
                await connection.execute(statement)
            except asyncpg.InsufficientPrivilegeError:
                continue
            succeeded.append(f"{role}: {forgery}")
        await connection.close()
    assert succeeded == []
    assert await written(owner) == before


async def written(owner: asyncpg.Connection[Any]) -> list[Any]:
    """All that is known of names."""
    return [await owner.fetch(f"SELECT * FROM rewards.{table}") for table in ("customer", "identity", "verification")]


UNKEPT = {
    "verification_method_is_one_we_know": "('guess', 'p', NULL)",
    "verification_proof_is_1_to_200_characters": "('otp', '', NULL)",
    "verification_reason_is_1_to_200_characters": f"(NULL, NULL, '{'x' * 201}')",
    "verification_without_a_method_is_a_withdrawal": "(NULL, 'p', 'r'), ('otp', 'p', 'r')",
    "verification_has_a_proof_once": "('otp', 'p', NULL), ('otp', 'p', NULL)",
}


@pytest.mark.parametrize("rule", UNKEPT)
async def test_the_database_itself_keeps_no_other_proofs(owner: asyncpg.Connection[Any], rule: str) -> None:
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refused:
        await owner.execute(
            f"""
            INSERT INTO rewards.verification (brand_id, identity_no, method, proof, reason, happened_at, api_key_id)
            SELECT 1, 1, new.method, new.proof, new.reason, now(), 1 FROM (VALUES {UNKEPT[rule]}) AS new (method, proof, reason)
            """
        )
    assert refused.value.constraint_name == rule
