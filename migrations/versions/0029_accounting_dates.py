"""Every transfer has an accounting date. It reads the log twice, a minute for some twenty million; till then nobody posts."""

from __future__ import annotations

from alembic import op

from ledger import schema

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    for statement in schema.schema_statements("0012_accounting_dates"):
        op.get_bind().exec_driver_sql(statement)
