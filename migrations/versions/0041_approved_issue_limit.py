"""An approved limit of issue, which the application carries out and cannot choose."""

from __future__ import annotations

from pathlib import Path

from alembic import op

from ledger import schema

revision = "0041"
down_revision = "0040"

_STATEMENTS = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    for statement in schema.statements(_STATEMENTS.read_text()):
        op.get_bind().exec_driver_sql(statement)
