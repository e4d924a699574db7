"""Short codes that stand for links."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ledger import schema

revision = "0016"
down_revision = "0015"

_RIGHTS = "GRANT SELECT, INSERT ON rewards.link_code TO rewards_application;"


def upgrade() -> None:
    op.create_table(
        "link_code",
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("link_id", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("code_hash", name="link_code_pkey"),
        sa.CheckConstraint("octet_length(code_hash) = 16", name="link_code_hash_is_16_bytes"),
        sa.CheckConstraint("octet_length(link_id) = 20", name="link_code_stands_for_a_link_id"),
        schema="rewards",
    )
    for statement in schema.statements(_RIGHTS):
        op.get_bind().exec_driver_sql(statement)
