"""How a brand's pages speak and look, where its links begin, which apps open them, and what its customers save for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from ledger import schema

revision = "0013"
down_revision = "0012"

_RIGHTS = """
GRANT UPDATE (language, logo, home_url, link_base_url, app_links, goals) ON rewards.brand TO rewards_application;
GRANT SELECT, INSERT ON rewards.brand_logo TO rewards_application;
"""


def upgrade() -> None:
    for column in (
        sa.Column("language", sa.Text(), server_default="en", nullable=False),
        sa.Column("logo", sa.Text(), nullable=True),
        sa.Column("home_url", sa.Text(), nullable=True),
        sa.Column("link_base_url", sa.Text(), nullable=True),
        sa.Column("app_links", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("goals", postgresql.JSONB(), server_default="[]", nullable=False),
    ):
        op.add_column("brand", column, schema="rewards")
    op.create_unique_constraint("brand_link_base_url_is_unique", "brand", ["link_base_url"], schema="rewards")
    op.create_table(
        "brand_logo",
        sa.Column("brand_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("logo", sa.Text(), nullable=False),
        sa.Column("picture", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("brand_id", "logo", name="brand_logo_pkey"),
        sa.ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="brand_logo_belongs_to_brand"),
        sa.CheckConstraint("octet_length(picture) <= 32768", name="brand_logo_is_at_most_32_kib"),
        schema="rewards",
    )
    for statement in schema.statements(_RIGHTS):
        op.get_bind().exec_driver_sql(statement)
