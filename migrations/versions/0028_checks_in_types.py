"""What a column may hold is said by its type: a statement no longer reads the checks of columns that it does not write."""

from __future__ import annotations

from alembic import op

from ledger import schema

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    for statement in schema.schema_statements("0011_checks_in_types"):
        op.get_bind().exec_driver_sql(statement)
