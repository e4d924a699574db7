"""What is taken back of a grant, and what of it could not be. Who corrects has no other duty."""

from __future__ import annotations

from alembic import op

from ledger import schema

revision = "0047"
down_revision = "0046"


def upgrade() -> None:
    for statement in schema.schema_statements("0018_corrections"):
        op.get_bind().exec_driver_sql(statement)
    op.create_check_constraint(
        "api_key_corrects_or_has_another_duty",
        "api_key",
        "NOT (scopes @> ARRAY['corrections:write']"
        " AND scopes && ARRAY['grants:write', 'links:write', 'funds:write', 'grants:approve', 'approvals:write'])",
        schema="rewards",
    )
