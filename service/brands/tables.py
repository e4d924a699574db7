"""Brands, and what their points are worth. Only the operator's command line makes one; an administrator changes some of it."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from service.storage.database import metadata

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
    Column("point_value_version", Integer),
    # Counts changes of the brand's customers' consents; tells other processes to drop them from their caches.
    Column("consent_no", BigInteger, nullable=False, server_default="0"),
    Column("language", Text, nullable=False, server_default="en"),
    Column("logo", Text),
    Column("home_url", Text),
    # What it was before hosts were proved; processes of then still read it. What counts is in `link_host`.
    Column("link_base_url", Text),
    Column("app_links", JSONB, nullable=False, server_default="{}"),
    Column("goals", JSONB, nullable=False, server_default="[]"),
    Column("late_capture_grace_s", Integer, nullable=False, server_default="0"),
    Column("logo_dark", Text),
    Column("banner", Text),
    Column("font", Text, nullable=False, server_default="system"),
    Column("corner_radius", Integer, nullable=False, server_default="16"),
    UniqueConstraint("code", name="brand_code_is_unique"),
    # A request says whose it is by the host it asks for.
    UniqueConstraint("link_base_url", name="brand_link_base_url_is_unique"),
    UniqueConstraint("book_id", name="brand_keeps_its_own_book"),
    # Public ids begin with a short prefix such as cus_, so a code that begins with cus could be taken for one.
    CheckConstraint("code ~ '^[a-z0-9][a-z0-9-]{0,38}$' AND code !~ '^cus'", name="brand_code_is_a_slug"),
    CheckConstraint("mode IN ('live', 'test')", name="brand_is_live_or_test"),
    CheckConstraint("currency ~ '^[A-Z]{3}$'", name="brand_currency_is_three_letters"),
    CheckConstraint("corner_radius BETWEEN 0 AND 32", name="brand_corner_radius_is_at_most_32"),
    CheckConstraint("accent_color ~ '^#[0-9a-f]{6}$'", name="brand_accent_color_is_a_colour"),
)

# Versions are never changed: a redemption keeps the value it was made with, and why it was so can be looked up.
brand_point_value = Table(
    "brand_point_value",
    metadata,
    Column("brand_id", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("points", BigInteger, nullable=False),
    Column("minor_units", BigInteger, nullable=False),
    Column("valid_from", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("created_by", Integer, nullable=False),
    ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="brand_point_value_belongs_to_brand"),
    CheckConstraint(
        "points BETWEEN 1 AND 1000000000 AND minor_units BETWEEN 1 AND 1000000000", name="brand_point_value_is_a_ratio"
    ),
)

# Logos and banners, apart from the brand, which is read with every key; and never changed, so a cached brand finds its own.
brand_logo = Table(
    "brand_logo",
    metadata,
    Column("brand_id", Integer, primary_key=True, autoincrement=False),
    Column("logo", Text, primary_key=True),
    Column("picture", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="brand_logo_belongs_to_brand"),
    CheckConstraint("octet_length(picture) <= 32768", name="brand_logo_is_at_most_32_kib"),
)

# Hosts that brands have claimed for their links. A claim blocks nobody; the brand that proves it has the host alone.
link_host = Table(
    "link_host",
    metadata,
    Column("brand_id", Integer, primary_key=True, autoincrement=False),
    Column("host", Text, primary_key=True),
    # What of the host can be one brand's: its name, whatever the port (see `service/egress/hosts.py`).
    Column("place", Text, nullable=False),
    Column("base_url", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("proven_by", Text),
    Column("challenge", Text, nullable=False),
    Column("claimed_at", DateTime(timezone=True), nullable=False),
    Column("verified_at", DateTime(timezone=True)),
    Column("checked_at", DateTime(timezone=True)),
    Column("next_check_at", DateTime(timezone=True), nullable=False),
    Column("missing_since", DateTime(timezone=True)),
    Column("lapses_at", DateTime(timezone=True)),
    Column("last_error", Text),
    ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="link_host_belongs_to_brand"),
    CheckConstraint("state IN ('pending', 'verified', 'lapsed')", name="link_host_is_pending_verified_or_lapsed"),
    CheckConstraint(
        "state <> 'verified' OR (proven_by IN ('dns', 'operator', 'this_machine') AND verified_at IS NOT NULL)",
        name="link_host_is_verified_by_somebody",
    ),
    Index("link_host_is_one_brands", "place", unique=True, postgresql_where=text("state = 'verified'")),
    Index("link_host_of_a_brand_is_one", "brand_id", unique=True, postgresql_where=text("state = 'verified'")),
    Index("link_host_by_host", "host", postgresql_where=text("state = 'verified'")),
    Index("link_host_to_check", "next_check_at", postgresql_where=text("state = 'verified'")),
)
