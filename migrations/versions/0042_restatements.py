"""Restatements of closed periods, the versions they make of closes, and what estimates and exports have of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from ledger import schema

revision = "0042"
down_revision = "0041"

_RIGHTS = """
GRANT SELECT, INSERT ON rewards.close_version, rewards.restatement TO rewards_application;
GRANT SELECT ON rewards.close_version, rewards.restatement TO rewards_reader;
"""


def upgrade() -> None:
    op.create_table(
        "restatement",
        sa.Column("brand_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("restatement_no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("begins_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("point_values", postgresql.JSONB(), nullable=False),
        sa.Column("account_codes", postgresql.JSONB(), nullable=False),
        sa.Column("approval_no", sa.BigInteger(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), server_default=sa.func.clock_timestamp(), nullable=False),
        sa.Column("made_by", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("brand_id", "restatement_no", name="restatement_pkey"),
        sa.ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="restatement_belongs_to_brand"),
        sa.ForeignKeyConstraint(["approval_no"], ["rewards.approval.approval_no"], name="restatement_was_approved"),
        sa.CheckConstraint("restatement_no > 0", name="restatement_is_numbered_from_one"),
        sa.CheckConstraint("begins_on <= ends_on", name="restatement_is_of_a_period"),
        schema="rewards",
    )
    op.create_table(
        "close_version",
        sa.Column("brand_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ends_on", sa.Date(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("restatement_no", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("brand_id", "ends_on", "version", name="close_version_pkey"),
        sa.ForeignKeyConstraint(
            ["brand_id", "restatement_no"],
            ["rewards.restatement.brand_id", "rewards.restatement.restatement_no"],
            name="close_version_is_of_a_restatement",
        ),
        sa.CheckConstraint("version > 1", name="close_version_is_not_the_first"),
        schema="rewards",
    )
    op.add_column("estimate", sa.Column("restatement_no", sa.Integer(), nullable=True), schema="rewards")
    op.add_column("export_job", sa.Column("restatements", sa.Integer(), server_default="0", nullable=False), schema="rewards")
    for statement in schema.statements(_RIGHTS):
        op.get_bind().exec_driver_sql(statement)
