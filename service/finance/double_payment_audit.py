"""The audit of double payments: acts that an earlier version paid twice.

That version could pay an event a second time if it waited under the number of a customer who was merged since. The books are
sound with it, and history may hold it, so it is a warning. `docs/operations.md` says what to do about it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg

from ledger import Finding
from service.brands.brand import Brand

_EXAMPLES = 5
_DOUBLED = Path(__file__).with_suffix(".sql").read_text()


async def audit_double_payments(connection: asyncpg.Connection[Any], brand: Brand) -> Finding:
    """Count the acts that were paid more than once to one customer: the reader's role is enough."""
    row = await connection.fetchrow(_DOUBLED, brand.book.book_id, _EXAMPLES)
    assert row is not None
    return Finding("acts_are_paid_once", row["acts"], 0, tuple(row["examples"] or ()), warnings=row["doubled"])
