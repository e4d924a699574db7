"""The books, and the first configuration and look-up tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from ledger import schema

revision = "0001"
down_revision = None

_SERVICE_RIGHTS = """
GRANT USAGE ON SCHEMA rewards TO rewards_application, rewards_worker, rewards_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA rewards TO rewards_application, rewards_worker;
GRANT SELECT ON rewards.brand, rewards.campaign, rewards.campaign_version, rewards.alembic_version TO rewards_reader;
GRANT INSERT ON rewards.campaign, rewards.campaign_version TO rewards_application;
GRANT INSERT ON rewards.customer, rewards.identity, rewards.destination, rewards.link TO rewards_application;
GRANT UPDATE (confirmed) ON rewards.customer TO rewards_application;
"""


def upgrade() -> None:
    for statement in schema.schema_statements("0001_roles", "0002_books", "0003_rights"):
        op.get_bind().exec_driver_sql(statement)
    op.create_table(
        "brand",
        sa.Column("brand_id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("points_code", sa.Text(), nullable=False),
        sa.Column("points_name", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("accent_color", sa.Text(), nullable=False),
        sa.Column("destination_hosts", sa.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("accent_color ~ '^#[0-9a-f]{6}$'", name="brand_accent_color_is_a_colour"),
        sa.CheckConstraint("code ~ '^[a-z0-9][a-z0-9-]{0,38}$' AND code !~ '^cus'", name="brand_code_is_a_slug"),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name="brand_currency_is_three_letters"),
        sa.CheckConstraint("mode IN ('live', 'test')", name="brand_is_live_or_test"),
        sa.PrimaryKeyConstraint("brand_id", name="brand_pkey"),
        sa.UniqueConstraint("book_id", name="brand_keeps_its_own_book"),
        sa.UniqueConstraint("code", name="brand_code_is_unique"),
        schema="rewards",
    )
    op.create_table(
        "customer",
        sa.Column("customer", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("brand_id", sa.Integer(), nullable=False),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("confirmed", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("customer", name="customer_pkey"),
        schema="rewards",
    )
    op.create_table(
        "identity",
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.Column("brand_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("key_no", sa.SmallInteger(), nullable=False),
        sa.Column("form", sa.SmallInteger(), nullable=False),
        sa.Column("customer", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind BETWEEN 1 AND 3", name="identity_is_id_email_or_phone"),
        sa.CheckConstraint("octet_length(mac) = 16", name="identity_mac_is_16_bytes"),
        sa.PrimaryKeyConstraint("mac", name="identity_pkey"),
        schema="rewards",
    )
    op.create_index("identity_by_customer", "identity", ["customer"], unique=False, schema="rewards")
    op.create_table(
        "link",
        sa.Column("link_id", sa.LargeBinary(), nullable=False),
        sa.Column("brand_id", sa.Integer(), nullable=False),
        sa.Column("campaign_no", sa.Integer(), nullable=False),
        sa.Column("campaign_version", sa.Integer(), nullable=False),
        sa.Column("customer", sa.BigInteger(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("destination_no", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("minted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("minted_by", sa.Integer(), nullable=False),
        sa.CheckConstraint("expires_at > minted_at", name="link_expires_after_it_is_minted"),
        sa.CheckConstraint("octet_length(link_id) = 20", name="link_id_is_20_bytes"),
        sa.PrimaryKeyConstraint("link_id", name="link_pkey"),
        schema="rewards",
    )
    op.create_table(
        "api_key",
        sa.Column("api_key_id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("brand_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("max_evidence", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("NOT scopes @> ARRAY['funds:write', 'grants:write']", name="api_key_never_both_funds_and_grants"),
        sa.CheckConstraint("max_evidence IN ('A', 'B', 'C', 'D')", name="api_key_evidence_is_a_grade"),
        sa.CheckConstraint("octet_length(secret_hash) = 32", name="api_key_secret_is_a_sha256"),
        sa.ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="api_key_belongs_to_brand"),
        sa.PrimaryKeyConstraint("api_key_id", name="api_key_pkey"),
        sa.UniqueConstraint("secret_hash", name="api_key_secret_is_unique"),
        schema="rewards",
    )
    op.create_index("api_key_by_brand", "api_key", ["brand_id"], unique=False, schema="rewards")
    op.create_table(
        "campaign",
        sa.Column("campaign_no", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("brand_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("current_version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="campaign_belongs_to_brand"),
        sa.PrimaryKeyConstraint("campaign_no", name="campaign_pkey"),
        sa.UniqueConstraint("brand_id", "id", name="campaign_id_is_the_brands_own"),
        schema="rewards",
    )
    op.create_table(
        "destination",
        sa.Column("destination_no", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("brand_id", sa.Integer(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("length(url) <= 2048", name="destination_url_is_at_most_2048_characters"),
        sa.ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="destination_belongs_to_brand"),
        sa.PrimaryKeyConstraint("destination_no", name="destination_pkey"),
        sa.UniqueConstraint("brand_id", "url", name="destination_has_one_number_for_a_brand"),
        schema="rewards",
    )
    op.create_table(
        "campaign_version",
        sa.Column("campaign_no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("account_class", sa.SmallInteger(), nullable=False),
        sa.Column("expires_after_months", sa.Integer(), nullable=True),
        sa.Column("terms", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_by", sa.Integer(), nullable=False),
        sa.CheckConstraint("ends_at > starts_at", name="campaign_ends_after_it_starts"),
        sa.CheckConstraint("expires_after_months BETWEEN 1 AND 120", name="campaign_points_last_one_to_120_months"),
        sa.ForeignKeyConstraint(["campaign_no"], ["rewards.campaign.campaign_no"], name="campaign_version_belongs_to_campaign"),
        sa.PrimaryKeyConstraint("campaign_no", "version", name="campaign_version_pkey"),
        schema="rewards",
    )
    for statement in schema.statements(_SERVICE_RIGHTS):
        op.get_bind().exec_driver_sql(statement)
