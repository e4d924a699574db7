"""How persons sign in to the console, and where they are signed in."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

from ledger import schema

revision = "0064"
down_revision = "0063"

_STATEMENTS = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    op.create_table(
        "console_login",
        sa.Column("person_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("brand_id", sa.Integer(), nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("api_key_id", sa.Integer(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("totp_secret", sa.LargeBinary(), nullable=True),
        sa.Column("totp_step", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("person_id", name="console_login_pkey"),
        sa.ForeignKeyConstraint(["person_id"], ["rewards.person.person_id"], name="console_login_belongs_to_person"),
        sa.ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="console_login_belongs_to_brand"),
        sa.ForeignKeyConstraint(["api_key_id"], ["rewards.api_key.api_key_id"], name="console_login_acts_with_a_key"),
        sa.UniqueConstraint("brand_id", "login", name="console_login_is_unique"),
        sa.CheckConstraint("octet_length(login) BETWEEN 1 AND 256", name="console_login_is_a_name"),
        sa.CheckConstraint("(password_hash IS NULL) = (totp_secret IS NULL)", name="console_login_has_both_factors"),
        schema="rewards",
    )
    op.create_table(
        "console_session",
        sa.Column("session_hash", sa.LargeBinary(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("signed_in_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("session_hash", name="console_session_pkey"),
        sa.ForeignKeyConstraint(["person_id"], ["rewards.console_login.person_id"], name="console_session_belongs_to_login"),
        sa.CheckConstraint("octet_length(session_hash) = 32", name="console_session_hash_is_a_sha256"),
        schema="rewards",
    )
    op.create_index("console_session_by_person", "console_session", ["person_id"], schema="rewards")
    for statement in schema.statements(_STATEMENTS.read_text()):
        op.get_bind().exec_driver_sql(statement)
