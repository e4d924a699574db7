"""Touches: what fetched a link, for thirty days, and how many of which kind there were, for good."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from ledger import schema

revision = "0015"
down_revision = "0014"

# A day's partition is emptied and taken again, so nobody needs the right to make or drop a table.
_PARTITIONS = """
DO $$
DECLARE
    name text;
BEGIN
    FOR slot IN 0..39 LOOP
        name := 'touch_' || lpad(slot::text, 2, '0');
        EXECUTE format('CREATE TABLE rewards.%I PARTITION OF rewards.touch FOR VALUES IN (%s)', name, slot);
        EXECUTE format('GRANT TRUNCATE ON rewards.%I TO rewards_worker', name);
    END LOOP;
END $$
"""
_RIGHTS = """
GRANT SELECT, INSERT ON rewards.touch TO rewards_application;
GRANT SELECT ON rewards.touch, rewards.touch_count TO rewards_worker;
GRANT SELECT ON rewards.touch_count, rewards.touch_reader TO rewards_application;
GRANT INSERT, UPDATE ON rewards.touch_count TO rewards_worker;
GRANT SELECT, UPDATE ON rewards.touch_reader TO rewards_worker;
INSERT INTO rewards.touch_reader (only_one, counted_until) VALUES (true, now());
"""


def upgrade() -> None:
    op.create_table(
        "touch",
        sa.Column("slot", sa.SmallInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("brand_id", sa.Integer(), nullable=False),
        sa.Column("campaign_no", sa.Integer(), nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.Column("since_sent_s", sa.Integer(), nullable=False),
        sa.Column("link_id", sa.LargeBinary(), nullable=False),
        sa.Column("message", sa.LargeBinary(), nullable=False),
        sa.Column("way", sa.Text(), nullable=False),
        sa.Column("grade", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("network", postgresql.CIDR(), nullable=True),
        sa.Column("agent", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("grade IN ('A', 'B', 'C', 'D', 'X')", name="touch_grade_is_known"),
        sa.CheckConstraint(
            "masklen(network) = CASE family(network) WHEN 4 THEN 24 ELSE 48 END", name="touch_network_is_no_address"
        ),
        schema="rewards",
        postgresql_partition_by="LIST (slot)",
    )
    op.create_index("touch_by_message", "touch", ["message", "at"], schema="rewards")
    op.create_index("touch_by_recording", "touch", ["recorded_at"], schema="rewards")
    op.create_table(
        "touch_count",
        sa.Column("brand_id", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("campaign_no", sa.Integer(), nullable=False),
        sa.Column("way", sa.Text(), nullable=False),
        sa.Column("grade", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("touches", sa.BigInteger(), nullable=False),
        sa.Column("firsts", sa.BigInteger(), nullable=False),
        sa.Column("first_points", sa.BigInteger(), nullable=False),
        sa.Column("followed", sa.BigInteger(), nullable=False),
        sa.Column("followed_points", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("brand_id", "day", "campaign_no", "way", "grade", "why", name="touch_count_pkey"),
        schema="rewards",
    )
    op.create_table(
        "touch_reader",
        sa.Column("only_one", sa.Boolean(), nullable=False),
        sa.Column("counted_until", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("only_one", name="touch_reader_is_one_row"),
        sa.PrimaryKeyConstraint("only_one", name="touch_reader_pkey"),
        schema="rewards",
    )
    for statement in [_PARTITIONS, *schema.statements(_RIGHTS)]:
        op.get_bind().exec_driver_sql(statement)
