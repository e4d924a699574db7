"""Names for arrays that callers write themselves."""

from __future__ import annotations

from alembic import op

from ledger import schema

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    for statement in schema.schema_statements("0009_arrays"):
        op.get_bind().exec_driver_sql(statement)
