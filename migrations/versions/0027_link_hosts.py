"""Link hosts are proved. Who has one keeps it for ninety days without a proof; of two who have one host, the first does."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import op

from ledger import schema
from service.egress.hosts import HostRefused, host_of, is_address, is_loopback, name_and_port, place_of

revision = "0027"
down_revision = "0026"

_FUNCTIONS = Path(__file__).with_name("0027_link_hosts.sql")

_KEEP = """
INSERT INTO rewards.link_host (
    brand_id, host, place, base_url, state, proven_by, challenge, claimed_at, verified_at, next_check_at, lapses_at, last_error
) VALUES (
    :brand_id, :host, :place, :base_url, :state, :proven_by, :challenge, now(),
    CASE WHEN CAST(:proven_by AS text) IS NOT NULL THEN now() END, now(),
    CASE WHEN :proven_by = 'operator' THEN now() + interval '90 days' END, :last_error
)
"""

_SAY_SO = """
INSERT INTO rewards.audit_trail (brand_id, by_operator, act, subject, before, after)
VALUES (
    :brand_id, true, 'link_host.lapse', :host,
    jsonb_build_object('link_base_url', CAST(:base_url AS text)), jsonb_build_object('why', CAST(:last_error AS text))
)
"""


def upgrade() -> None:
    op.create_table(
        "link_host",
        sa.Column("brand_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("base_url", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("proven_by", sa.Text(), nullable=True),
        sa.Column("challenge", sa.Text(), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_check_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("missing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lapses_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("brand_id", "host", name="link_host_pkey"),
        sa.ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="link_host_belongs_to_brand"),
        sa.CheckConstraint("state IN ('pending', 'verified', 'lapsed')", name="link_host_is_pending_verified_or_lapsed"),
        sa.CheckConstraint(
            "state <> 'verified' OR (proven_by IN ('dns', 'operator', 'this_machine') AND verified_at IS NOT NULL)",
            name="link_host_is_verified_by_somebody",
        ),
        schema="rewards",
    )
    is_verified = sa.text("state = 'verified'")
    for name, column, unique in (
        ("link_host_is_one_brands", "place", True),
        ("link_host_of_a_brand_is_one", "brand_id", True),
        ("link_host_by_host", "host", False),
        ("link_host_to_check", "next_check_at", False),
    ):
        op.create_index(name, "link_host", [column], unique=unique, schema="rewards", postgresql_where=is_verified)
    for statement in schema.statements(_FUNCTIONS.read_text()):
        op.get_bind().exec_driver_sql(statement)
    _keep_what_there_is(op.get_bind())


def _keep_what_there_is(connection: sa.Connection) -> None:
    found = "SELECT brand_id, mode, link_base_url FROM rewards.brand WHERE link_base_url IS NOT NULL ORDER BY brand_id"
    taken: set[str] = set()
    for brand_id, mode, base_url in connection.execute(sa.text(found)):
        kept = _kept(mode, base_url, taken) | {"brand_id": brand_id, "base_url": base_url, "challenge": secrets.token_hex(20)}
        if kept["state"] is not None:
            connection.execute(sa.text(_KEEP), kept)
        if kept["last_error"] is not None:
            connection.execute(sa.text(_SAY_SO), {name: kept[name] for name in ("brand_id", "host", "base_url", "last_error")})


def _kept(mode: str, base_url: str, taken: set[str]) -> dict[str, Any]:
    """What becomes of a host that a brand had; one that is kept is added to ``taken``."""
    try:
        host = host_of(base_url)
    except HostRefused as refused:
        return {"host": base_url, "state": None, "last_error": f"it {refused}"}
    name, place = name_and_port(host)[0], place_of(host)
    proven_by = "this_machine" if is_loopback(name) else "operator"
    why = None
    if place in taken:
        why = "another brand has this host"
    elif is_address(name) and not is_loopback(name):
        why = "an address cannot be proved to be anybody's"
    elif is_loopback(name) and mode != "test":
        why = "it leads to the customer's own machine"
    else:
        taken.add(place)
    return {
        "host": host,
        "place": place,
        "state": "verified" if why is None else "lapsed",
        "proven_by": proven_by if why is None else None,
        "last_error": why,
    }
