"""Sources: what messaging providers send, and what became of it. Who sets one up can mint."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from ledger import schema

revision = "0055"
down_revision = "0054"

_STATEMENTS = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    _duties()
    op.create_table(
        "source",
        sa.Column("source_no", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("brand_id", sa.Integer(), nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("public_url", sa.Text(), nullable=False),
        sa.Column("trust", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=True),
        sa.Column("daily_points_max", sa.BigInteger(), nullable=True),
        sa.Column("silent_after_hours", sa.Integer(), nullable=True),
        sa.Column("secrets", sa.LargeBinary(), nullable=False),
        sa.Column("api_key_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("source_no", name="source_pkey"),
        sa.ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="source_belongs_to_brand"),
        sa.ForeignKeyConstraint(["api_key_id"], ["rewards.api_key.api_key_id"], name="source_reports_in_the_name_of_a_key"),
        sa.CheckConstraint("octet_length(address) = 12", name="source_address_is_12_bytes"),
        sa.CheckConstraint("daily_points_max > 0", name="source_daily_points_are_an_amount"),
        sa.CheckConstraint("silent_after_hours > 0", name="source_is_silent_after_a_while"),
        schema="rewards",
    )
    op.create_index("source_by_brand", "source", ["brand_id", "source_no"], schema="rewards")
    op.create_index("source_by_key", "source", ["api_key_id"], schema="rewards")
    op.create_table(
        "source_head",
        sa.Column("source_no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last_no", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refused_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("source_no", name="source_head_pkey"),
        sa.ForeignKeyConstraint(["source_no"], ["rewards.source.source_no"], name="source_head_belongs_to_source"),
        schema="rewards",
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "source_reader",
        sa.Column("source_no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("read_no", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("day", sa.Date(), nullable=True),
        sa.Column("points", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("source_no", name="source_reader_pkey"),
        sa.ForeignKeyConstraint(["source_no"], ["rewards.source.source_no"], name="source_reader_belongs_to_source"),
        sa.CheckConstraint("points >= 0", name="source_points_are_an_amount"),
        schema="rewards",
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "envelope_key",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("day", name="envelope_key_pkey"),
        schema="rewards",
    )
    _envelopes()
    op.create_table(
        "source_replay",
        sa.Column("replay_no", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("source_no", sa.Integer(), nullable=False),
        sa.Column("first_no", sa.BigInteger(), nullable=False),
        sa.Column("last_no", sa.BigInteger(), nullable=False),
        sa.Column("read_no", sa.BigInteger(), nullable=False),
        sa.Column("asked_by", sa.Integer(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("replay_no", name="source_replay_pkey"),
        sa.ForeignKeyConstraint(["source_no"], ["rewards.source.source_no"], name="source_replay_belongs_to_source"),
        sa.CheckConstraint("first_no BETWEEN 1 AND last_no", name="source_replay_is_of_a_range"),
        schema="rewards",
    )
    op.create_index("source_replay_by_source", "source_replay", ["source_no", "replay_no"], schema="rewards")
    op.create_index(
        "source_replay_that_is_open",
        "source_replay",
        ["source_no", "replay_no"],
        schema="rewards",
        postgresql_where=sa.text("done_at IS NULL"),
    )
    for statement in schema.statements(_STATEMENTS.read_text()):
        op.get_bind().exec_driver_sql(statement)


def _duties() -> None:
    for name, check in (
        (
            "api_key_mints_or_funds_or_approves",
            "NOT (scopes && ARRAY['grants:write', 'links:write', 'sources:write']"
            " AND scopes && ARRAY['funds:write', 'grants:approve', 'approvals:write'])"
            " AND NOT (scopes @> ARRAY['funds:write'] AND scopes && ARRAY['grants:approve', 'approvals:write'])",
        ),
        (
            "api_key_corrects_or_has_another_duty",
            "NOT (scopes @> ARRAY['corrections:write'] AND scopes && ARRAY['grants:write', 'links:write', 'sources:write',"
            " 'funds:write', 'grants:approve', 'approvals:write'])",
        ),
    ):
        op.drop_constraint(name, "api_key", schema="rewards")
        op.create_check_constraint(name, "api_key", check, schema="rewards")


def _envelopes() -> None:
    op.create_table(
        "envelope",
        sa.Column("slot", sa.SmallInteger(), nullable=False),
        sa.Column("source_no", sa.Integer(), nullable=False),
        sa.Column("envelope_no", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("key_day", sa.Date(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("source_no", "envelope_no", "slot", name="envelope_pkey"),
        sa.UniqueConstraint("id", "slot", name="envelope_is_stored_once"),
        sa.CheckConstraint(
            "verdict IN ('verified', 'unverified', 'stale', 'forged', 'unsigned')", name="envelope_verdict_is_known"
        ),
        sa.CheckConstraint("octet_length(id) = 16", name="envelope_id_is_16_bytes"),
        schema="rewards",
        postgresql_partition_by="LIST (slot)",
    )
    op.create_table(
        "envelope_outcome",
        sa.Column("slot", sa.SmallInteger(), nullable=False),
        sa.Column("source_no", sa.Integer(), nullable=False),
        sa.Column("envelope_no", sa.BigInteger(), nullable=False),
        sa.Column("replay_no", sa.Integer(), server_default="0", nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("events", sa.Integer(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("counts", postgresql.JSONB(), nullable=False),
        sa.Column("outcomes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("source_no", "envelope_no", "replay_no", "slot", name="envelope_outcome_pkey"),
        schema="rewards",
        postgresql_partition_by="LIST (slot)",
    )
