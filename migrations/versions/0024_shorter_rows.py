"""Nothing twice in the log and the events. It writes the events anew, a minute for some ten million; till then nobody posts."""

from __future__ import annotations

from alembic import op

from ledger import schema

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    for statement in schema.schema_statements("0010_shorter_rows"):
        op.get_bind().exec_driver_sql(statement)
