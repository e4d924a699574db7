"""The audit trail is found by its subject: who looked at a customer."""

from __future__ import annotations

from alembic import op

revision = "0052"
down_revision = "0051"


def upgrade() -> None:
    op.create_index("audit_trail_by_subject", "audit_trail", ["brand_id", "subject", "entry_no"], schema="rewards")
