"""What a call declares of a function is what the database has."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from ledger.engine.call import Call
from ledger.engine.grant_batch import POST_GRANTS
from ledger.engine.redemptions import REDEEM

CALLS: list[Call[Any]] = [POST_GRANTS, REDEEM]


@pytest.mark.parametrize("call", CALLS, ids=[call.function for call in CALLS])
async def test_a_call_declares_the_functions_arguments_in_their_order(owner: asyncpg.Connection[Any], call: Call[Any]) -> None:
    parameters = await owner.fetch(
        """
        SELECT parameter.name, format_type(parameter.type, NULL) AS type
        FROM pg_proc,
            unnest(
                proargnames,
                coalesce(proallargtypes, proargtypes::oid[]),
                coalesce(proargmodes, array_fill('i'::"char", ARRAY[pronargs::integer]))
            ) WITH ORDINALITY AS parameter (name, type, mode, place)
        WHERE pronamespace = 'ledger'::regnamespace AND proname = $1 AND parameter.mode = 'i'
        ORDER BY parameter.place
        """,
        call.function,
    )
    encoded = await owner.fetch(
        """
        SELECT typname AS domain, format_type(typbasetype, NULL) AS type FROM pg_type
        WHERE typnamespace = 'ledger'::regnamespace AND typtype = 'd'
        """
    )
    types = {row["domain"]: row["type"] for row in encoded}
    declared = [
        (name, declared_type if isinstance(declared_type, str) else types[declared_type.domain])
        for name, declared_type in call.parameters
    ]
    assert declared == [
        (row["name"], {"timestamp with time zone": "timestamptz"}.get(row["type"], row["type"])) for row in parameters
    ]
