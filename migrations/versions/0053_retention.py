"""What is older than it has to be kept is forgotten, and how far that has come."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

from ledger import schema

revision = "0053"
down_revision = "0052"

_STATEMENTS = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    op.create_table(
        "retention",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reached", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", name="retention_pkey"),
        schema="rewards",
    )
    for statement in schema.schema_statements("0021_forgotten"):
        op.get_bind().exec_driver_sql(statement)
    for statement in schema.statements(_STATEMENTS.read_text()):
        op.get_bind().exec_driver_sql(statement)
