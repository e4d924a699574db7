"""What following a link does, and how it is honoured. Every link of before is a claim on our page."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("link", sa.Column("kind", sa.Text(), server_default="claim", nullable=False), schema="rewards")
    op.add_column("link", sa.Column("mode", sa.Text(), server_default="page", nullable=False), schema="rewards")
    for name, condition in {
        "link_kind_is_claim_or_open": "kind IN ('claim', 'open')",
        "link_mode_is_page_handoff_or_redirect": "mode IN ('page', 'handoff', 'redirect')",
        "link_leads_somewhere_unless_it_is_an_open": "(kind = 'open') = (destination_no = 0)",
    }.items():
        op.create_check_constraint(name, "link", condition, schema="rewards")
