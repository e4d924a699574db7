"""Returns of purchases. Who takes them back corrects, and has no other duty."""

from __future__ import annotations

from alembic import op

from ledger import schema

revision = "0056"
down_revision = "0055"

_CORRECTS_ALONE = "api_key_corrects_or_has_another_duty"


def upgrade() -> None:
    for statement in schema.schema_statements("0022_purchase_returns"):
        op.get_bind().exec_driver_sql(statement)
    op.drop_constraint(_CORRECTS_ALONE, "api_key", schema="rewards")
    op.create_check_constraint(
        _CORRECTS_ALONE,
        "api_key",
        "NOT (scopes && ARRAY['corrections:write', 'returns:write'] AND scopes && ARRAY['grants:write', 'links:write',"
        " 'sources:write', 'funds:write', 'grants:approve', 'approvals:write'])",
        schema="rewards",
    )
