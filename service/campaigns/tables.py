"""The campaign's tables. A version never changes, so customers get what they were promised."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

from service.storage.database import metadata

campaign = Table(
    "campaign",
    metadata,
    Column("campaign_no", Integer, Identity(always=True), primary_key=True),
    Column("brand_id", Integer, nullable=False),
    Column("id", Text, nullable=False),
    Column("current_version", Integer, nullable=False, server_default="1"),
    Column("paused_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="campaign_belongs_to_brand"),
    UniqueConstraint("brand_id", "id", name="campaign_id_is_the_brands_own"),
)

campaign_version = Table(
    "campaign_version",
    metadata,
    Column("campaign_no", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("starts_at", DateTime(timezone=True), nullable=False),
    Column("ends_at", DateTime(timezone=True), nullable=False),
    Column("account_class", SmallInteger, nullable=False),
    Column("expires_after_months", Integer),
    Column("terms", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("created_by", Integer, nullable=False),
    ForeignKeyConstraint(["campaign_no"], ["rewards.campaign.campaign_no"], name="campaign_version_belongs_to_campaign"),
    CheckConstraint("ends_at > starts_at", name="campaign_ends_after_it_starts"),
    CheckConstraint("expires_after_months BETWEEN 1 AND 120", name="campaign_points_last_one_to_120_months"),
)
