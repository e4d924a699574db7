"""The audit of grants: each was paid what its campaign's version says, so that a forgery that agrees in all tables is found.

The ledger checks that log, balances and events agree; what an act is worth is in the campaign's terms. The log is read in
pieces, so memory stays flat however long it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg

from ledger import Finding
from service.brands.brand import Brand

PAGE_TRANSFERS = 20_000
_EXAMPLES = 5
_GRANTS = Path(__file__).with_suffix(".sql").read_text()


async def audit_grants(connection: asyncpg.Connection[Any], brand: Brand) -> list[Finding]:
    """Recompute what every grant was paid, and count those that cannot be: the reader's role is enough.

    These are grants of a campaign of which no terms are there, and those whose details of version 1 were erased: that they were
    for the action they name is not in the log any more.
    """
    book_id = brand.book.book_id
    last: int = await connection.fetchval("SELECT coalesce(max(seq), 0) FROM ledger.transfer WHERE book_id = $1", book_id)
    checked = violations = taken = 0
    examples: list[str] = []
    for after in range(0, last, PAGE_TRANSFERS):
        row = await connection.fetchrow(
            _GRANTS, brand.brand_id, book_id, after, after + PAGE_TRANSFERS, brand.time_zone, _EXAMPLES
        )
        assert row is not None
        checked, violations, taken = checked + row["checked"], violations + row["violations"], taken + row["taken"]
        examples += row["examples"] or []
    return [
        Finding("grants_pay_what_was_promised", checked, violations, tuple(examples[:_EXAMPLES])),
        Finding("grants_that_are_taken_as_they_are", taken, 0),
    ]
