"""What an erasure leaves of details, beside the log."""

from __future__ import annotations

from alembic import op

from ledger import schema

revision = "0039"
down_revision = "0038"


def upgrade() -> None:
    for statement in schema.schema_statements("0016_personal_hashes"):
        op.get_bind().exec_driver_sql(statement)
