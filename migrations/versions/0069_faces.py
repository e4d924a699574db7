"""A brand's face: a logo for dark pages, a banner, a typeface, and how round corners are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0069"
down_revision = "0068"


def upgrade() -> None:
    op.add_column("brand", sa.Column("logo_dark", sa.Text()), schema="rewards")
    op.add_column("brand", sa.Column("banner", sa.Text()), schema="rewards")
    op.add_column("brand", sa.Column("font", sa.Text(), server_default="system", nullable=False), schema="rewards")
    op.add_column("brand", sa.Column("corner_radius", sa.Integer(), server_default="16", nullable=False), schema="rewards")
    op.create_check_constraint("brand_corner_radius_is_at_most_32", "brand", "corner_radius BETWEEN 0 AND 32", schema="rewards")
    op.get_bind().exec_driver_sql(
        "GRANT UPDATE (logo_dark, banner, font, corner_radius) ON rewards.brand TO rewards_application"
    )
