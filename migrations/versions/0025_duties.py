"""Minting, funding and approving are three duties, and a key has one of them. What keys hold too much is taken from them."""

from __future__ import annotations

from pathlib import Path

from alembic import op

from ledger import schema

revision = "0025"
down_revision = "0024"

_STATEMENTS = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    for statement in schema.statements(_STATEMENTS.read_text()):
        op.get_bind().exec_driver_sql(statement)
