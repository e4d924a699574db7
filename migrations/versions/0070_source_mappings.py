"""Which mapping of a source decided its events; dry runs of replays, and corrections by them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0070"
down_revision = "0069"

_RIGHTS = (
    "GRANT UPDATE (mapping, numbered_since) ON rewards.source TO rewards_application",
    "GRANT UPDATE (totals, lines_hash, error) ON rewards.source_replay TO rewards_application",
    "GRANT SELECT, INSERT, UPDATE (takes, state) ON rewards.replayed_event TO rewards_application",
    "GRANT SELECT ON rewards.source_replay TO rewards_worker",
    "GRANT SELECT, DELETE ON rewards.replayed_event TO rewards_worker",
)


def upgrade() -> None:
    for table, name in (
        ("source", "mapping"),
        ("source", "numbered_since"),
        ("envelope_outcome", "mapping"),
        ("source_replay", "mapping"),
    ):
        op.add_column(table, sa.Column(name, sa.Integer(), nullable=False, server_default="1"), schema="rewards")
    _replays()
    _lines()
    for statement in _RIGHTS:
        op.get_bind().exec_driver_sql(statement)


def _replays() -> None:
    for column in (
        sa.Column("mode", sa.Text(), nullable=False, server_default="replay"),
        sa.Column("totals", postgresql.JSONB(), nullable=True),
        sa.Column("lines_hash", sa.LargeBinary(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("corrects", sa.Integer(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
    ):
        op.add_column("source_replay", column, schema="rewards")
    op.create_foreign_key(
        "source_replay_corrects_by_a_dry_run",
        "source_replay",
        "source_replay",
        ["corrects"],
        ["replay_no"],
        source_schema="rewards",
        referent_schema="rewards",
    )
    op.create_unique_constraint("source_replay_corrects_once", "source_replay", ["corrects"], schema="rewards")
    op.create_check_constraint(
        "source_replay_mode_is_known", "source_replay", "mode IN ('replay', 'dry_run', 'correction')", schema="rewards"
    )
    op.create_check_constraint(
        "source_replay_corrects_if_it_is_a_correction",
        "source_replay",
        "(mode = 'correction') = (corrects IS NOT NULL)",
        schema="rewards",
    )


def _lines() -> None:
    op.create_table(
        "replayed_event",
        sa.Column("replay_no", sa.Integer(), nullable=False),
        sa.Column("envelope_no", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("index", sa.Integer(), nullable=True),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("then_outcome", sa.Text(), nullable=True),
        sa.Column("then_reason", sa.Text(), nullable=True),
        sa.Column("then_grant", sa.Text(), nullable=True),
        sa.Column("then_points", sa.BigInteger(), nullable=False),
        sa.Column("left_points", sa.BigInteger(), nullable=True),
        sa.Column("takes", sa.Boolean(), nullable=False, server_default="false"),
        sa.Column("now_outcome", sa.Text(), nullable=True),
        sa.Column("now_reason", sa.Text(), nullable=True),
        sa.Column("now_grant", sa.Text(), nullable=True),
        sa.Column("now_points", sa.BigInteger(), nullable=False),
        sa.Column("act", sa.LargeBinary(), nullable=True),
        sa.Column("campaign", sa.Text(), nullable=True),
        sa.Column("customer", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("replay_no", "envelope_no", "line", name="replayed_event_pkey"),
        sa.ForeignKeyConstraint(["replay_no"], ["rewards.source_replay.replay_no"], name="replayed_event_belongs_to_replay"),
        sa.CheckConstraint(
            "change IN ('same', 'new', 'changed', 'rekeyed', 'no_longer')", name="replayed_event_change_is_known"
        ),
        sa.CheckConstraint("state IN ('begun', 'outdated')", name="replayed_event_state_is_known"),
        schema="rewards",
    )
    op.create_index(
        "replayed_event_by_grant",
        "replayed_event",
        ["replay_no", "now_grant"],
        schema="rewards",
        postgresql_where=sa.text("now_grant IS NOT NULL"),
    )
