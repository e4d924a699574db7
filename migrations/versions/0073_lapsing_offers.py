"""Offers lapse, and fall back on their other messages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ledger import schema

revision = "0073"
down_revision = "0072"


def upgrade() -> None:
    in_rewards = {"schema": "rewards"}
    op.drop_index("offer_to_lapse", "offer", **in_rewards)
    op.create_index("offer_to_lapse", "offer", ["brand_id", "lapses_at"], postgresql_where=sa.text("state < 5"), **in_rewards)
    op.create_index("offer_by_group", "offer", ["brand_id", "offer_group", "state", "offer_no"], **in_rewards)
    for statement in schema.schema_statements("0025_offers"):
        op.get_bind().exec_driver_sql(statement)
