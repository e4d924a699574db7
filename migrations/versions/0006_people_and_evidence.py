"""Customers who are merged, acts that prove a person, points held back, caps over the last day."""

from __future__ import annotations

from alembic import op

from ledger import schema

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    for statement in schema.schema_statements("0006_people_and_evidence"):
        op.get_bind().exec_driver_sql(statement)
