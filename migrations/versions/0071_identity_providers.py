"""A brand's own identity provider, with which its people sign in to the console."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

from ledger import schema

revision = "0071"
down_revision = "0070"

_STATEMENTS = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    op.create_table(
        "identity_provider",
        sa.Column("brand_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("client_secret", sa.LargeBinary(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("brand_id", name="identity_provider_pkey"),
        sa.ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="identity_provider_belongs_to_brand"),
        sa.CheckConstraint("issuer LIKE 'https://%'", name="identity_provider_speaks_tls"),
        schema="rewards",
    )
    op.add_column("console_login", sa.Column("subject", sa.Text(), nullable=True), schema="rewards")
    op.create_unique_constraint("console_login_subject_is_unique", "console_login", ["brand_id", "subject"], schema="rewards")
    for statement in schema.statements(_STATEMENTS.read_text()):
        op.get_bind().exec_driver_sql(statement)
