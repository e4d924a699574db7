"""Links of late, of all customers: whom a brand wrote to."""

from __future__ import annotations

from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.create_index("link_by_minting", "link", ["minted_at"], schema="rewards", postgresql_using="brin")
