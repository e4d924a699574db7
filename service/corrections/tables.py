"""The table of reasons for adjustments. A withdrawn one stays, for the adjustments that were made for it."""

from __future__ import annotations

from sqlalchemy import Boolean, CheckConstraint, Column, DateTime, ForeignKeyConstraint, Integer, Table, Text, false, func

from service.storage.database import metadata

adjustment_reason = Table(
    "adjustment_reason",
    metadata,
    Column("brand_id", Integer, primary_key=True, autoincrement=False),
    Column("code", Text, primary_key=True),
    Column("name", Text, nullable=False),
    # Whose budget pays what is given for it; NULL: it only takes points.
    Column("campaign_no", Integer),
    Column("withdrawn", Boolean, nullable=False, server_default=false()),
    Column("changed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("changed_by", Integer, nullable=False),
    ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="adjustment_reason_belongs_to_brand"),
    ForeignKeyConstraint(["campaign_no"], ["rewards.campaign.campaign_no"], name="adjustment_reason_pays_from_a_campaign"),
    CheckConstraint("code ~ '^[a-z][a-z0-9_]{0,63}$'", name="adjustment_reason_code_is_a_lower_case_name"),
)
