"""Persons, and which keys are whose."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from ledger import schema

revision = "0038"
down_revision = "0037"

_STATEMENTS = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    op.create_table(
        "person",
        sa.Column("person_id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("brand_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("roles", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("invited_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("invitation_hash", sa.LargeBinary(), nullable=True),
        sa.Column("invitation_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("enrolled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("person_id", name="person_pkey"),
        sa.ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="person_belongs_to_brand"),
        sa.UniqueConstraint("invitation_hash", name="person_invitation_is_unique"),
        sa.CheckConstraint("octet_length(invitation_hash) = 32", name="person_invitation_is_a_sha256"),
        sa.CheckConstraint("(invitation_hash IS NULL) = (invitation_expires_at IS NULL)", name="person_invitation_has_a_time"),
        sa.CheckConstraint("cardinality(roles) > 0 AND cardinality(scopes) > 0", name="person_has_a_role"),
        schema="rewards",
    )
    op.create_index("person_by_brand", "person", ["brand_id", "person_id"], schema="rewards")
    op.add_column("api_key", sa.Column("person_id", sa.Integer(), nullable=True), schema="rewards")
    op.create_foreign_key(
        "api_key_belongs_to_person",
        "api_key",
        "person",
        ["person_id"],
        ["person_id"],
        source_schema="rewards",
        referent_schema="rewards",
    )
    op.create_index(
        "api_key_by_person",
        "api_key",
        ["person_id"],
        schema="rewards",
        postgresql_where=sa.text("person_id IS NOT NULL"),
    )
    for statement in schema.statements(_STATEMENTS.read_text()):
        op.get_bind().exec_driver_sql(statement)
