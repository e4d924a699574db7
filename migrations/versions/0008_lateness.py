"""How late each reporter's reports may come and still count when they happened."""

from __future__ import annotations

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    pass
