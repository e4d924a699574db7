"""The brand's table. Only the operator's command line writes it."""

from __future__ import annotations

from sqlalchemy import ARRAY, CheckConstraint, Column, DateTime, Identity, Integer, Table, Text, UniqueConstraint, func

from service.database import metadata

brand = Table(
    "brand",
    metadata,
    Column("brand_id", Integer, Identity(always=True), primary_key=True),
    Column("code", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("points_code", Text, nullable=False),
    Column("points_name", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("book_id", Integer, nullable=False),
    Column("accent_color", Text, nullable=False),
    Column("destination_hosts", ARRAY(Text), nullable=False, server_default="{}"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint("code", name="brand_code_is_unique"),
    UniqueConstraint("book_id", name="brand_keeps_its_own_book"),
    # Public ids begin with a short prefix such as cus_, so a code that begins with cus could be taken for one.
    CheckConstraint("code ~ '^[a-z0-9][a-z0-9-]{0,38}$' AND code !~ '^cus'", name="brand_code_is_a_slug"),
    CheckConstraint("mode IN ('live', 'test')", name="brand_is_live_or_test"),
    CheckConstraint("currency ~ '^[A-Z]{3}$'", name="brand_currency_is_three_letters"),
    CheckConstraint("accent_color ~ '^#[0-9a-f]{6}$'", name="brand_accent_color_is_a_colour"),
)
