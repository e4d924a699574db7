"""What a point is worth, and balances that a brand brings along."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ledger import schema

revision = "0002"
down_revision = "0001"

_RIGHTS = """
GRANT SELECT ON rewards.brand_point_value TO rewards_application, rewards_worker, rewards_reader;
GRANT INSERT ON rewards.brand_point_value TO rewards_application;
GRANT UPDATE (name, points_name, accent_color, destination_hosts, point_value_version) ON rewards.brand TO rewards_application;
"""

# They take what points are worth now, and are made anew with the other functions.
_REPLACED = """
DROP FUNCTION IF EXISTS ledger.redeem_v1(
    integer, integer, timestamptz, smallint[], bytea[], bytea[], bigint[], bigint[], bigint[], boolean[], boolean[], integer[],
    text[], bigint[], text[], text[], bytea[], bytea[]
);
DROP FUNCTION IF EXISTS ledger.authorize_v1(
    ledger.head, bigint, bigint, boolean, integer, text, bigint, text, text, bytea, bytea
);
"""


def upgrade() -> None:
    """Add the values of points."""
    for statement in schema.schema_statements("0004_balance_imports"):
        op.get_bind().exec_driver_sql(statement)
    op.create_table(
        "brand_point_value",
        sa.Column("brand_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("minor_units", sa.BigInteger(), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_by", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "points BETWEEN 1 AND 1000000000 AND minor_units BETWEEN 1 AND 1000000000", name="brand_point_value_is_a_ratio"
        ),
        sa.ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="brand_point_value_belongs_to_brand"),
        sa.PrimaryKeyConstraint("brand_id", "version", name="brand_point_value_pkey"),
        schema="rewards",
    )
    op.add_column("brand", sa.Column("point_value_version", sa.Integer(), nullable=True), schema="rewards")
    for statement in [*schema.statements(_REPLACED), *schema.statements(_RIGHTS)]:
        op.get_bind().exec_driver_sql(statement)
