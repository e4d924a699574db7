"""How late each reporter's reports may come and still count when they happened."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

from ledger import schema

revision = "0008"
down_revision = "0007"

_FUNCTIONS_AND_RIGHTS = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    op.add_column(
        "api_key",
        sa.Column("lateness_hours", sa.SmallInteger(), server_default=sa.text("72"), nullable=False),
        schema="rewards",
    )
    op.create_check_constraint(
        "api_key_lateness_is_at_most_72_hours", "api_key", "lateness_hours BETWEEN 0 AND 72", schema="rewards"
    )
    for statement in schema.statements(_FUNCTIONS_AND_RIGHTS.read_text()):
        op.get_bind().exec_driver_sql(statement)
