"""The log and the events without holes between columns. It writes both tables anew: a minute for some ten million rows."""

from __future__ import annotations

from alembic import op

from ledger import schema

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    for statement in schema.schema_statements("0008_narrower_rows"):
        op.get_bind().exec_driver_sql(statement)
