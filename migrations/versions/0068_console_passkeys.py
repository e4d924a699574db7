"""Passkeys, with which persons sign in to the console."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

from ledger import schema

revision = "0068"
down_revision = "0067"

_STATEMENTS = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    op.create_table(
        "console_passkey",
        sa.Column("credential_id", sa.LargeBinary(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("credential", sa.LargeBinary(), nullable=False),
        sa.Column("challenged_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("credential_id", name="console_passkey_pkey"),
        sa.ForeignKeyConstraint(["person_id"], ["rewards.console_login.person_id"], name="console_passkey_belongs_to_login"),
        sa.CheckConstraint("octet_length(credential_id) BETWEEN 1 AND 1023", name="console_passkey_id_is_of_its_length"),
        sa.CheckConstraint("octet_length(credential) <= 4096", name="console_passkey_is_of_its_length"),
        sa.CheckConstraint("octet_length(name) BETWEEN 1 AND 256", name="console_passkey_has_a_name"),
        schema="rewards",
    )
    op.create_index("console_passkey_by_person", "console_passkey", ["person_id"], schema="rewards")
    for statement in schema.statements(_STATEMENTS.read_text()):
        op.get_bind().exec_driver_sql(statement)
