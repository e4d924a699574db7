"""The audit of caps: what the ledger counted against each cap is what it granted, and never more than the campaign allows.

The ledger checks what it can without knowing campaigns; which grants count against which cap is in the campaign's terms.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg

from ledger import Finding
from service.brands.brand import Brand

_EXAMPLES = 5

_CAPS = Path(__file__).with_suffix(".sql").read_text()


async def audit_caps(connection: asyncpg.Connection[Any], brand: Brand) -> Finding:
    """Compare every counter with the grants it stands for, and both with the cap. The reader's role is enough."""
    row = await connection.fetchrow(_CAPS, brand.brand_id, brand.book.book_id, brand.time_zone, _EXAMPLES)
    assert row is not None
    return Finding("caps_hold_and_are_counted_right", row["checked"], row["violations"], tuple(row["examples"] or ()))
