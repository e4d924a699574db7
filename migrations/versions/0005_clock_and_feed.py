"""Books whose clock moves, and the feed of what happened."""

from __future__ import annotations

from alembic import op

from ledger import schema

revision = "0005"
down_revision = "0004"

_SERVICE_STATEMENTS = """
UPDATE ledger.head SET mode = brand.mode FROM rewards.brand WHERE brand.book_id = head.book_id;
-- It is made again with one argument more.
DROP FUNCTION IF EXISTS ledger.open_book_v1(integer, text, text, bigint, integer);
"""


def upgrade() -> None:
    for statement in schema.schema_statements("0005_clock_and_feed"):
        op.get_bind().exec_driver_sql(statement)
    for statement in schema.statements(_SERVICE_STATEMENTS):
        op.get_bind().exec_driver_sql(statement)
