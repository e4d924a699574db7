"""Restatements, and which of them each version of a close has. Neither is ever changed."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Date, DateTime, ForeignKeyConstraint, Integer, Table, Text, func
from sqlalchemy.dialects.postgresql import JSONB

from service.storage.database import metadata

restatement = Table(
    "restatement",
    metadata,
    Column("brand_id", Integer, primary_key=True, autoincrement=False),
    Column("restatement_no", Integer, primary_key=True, autoincrement=False),
    Column("begins_on", Date, nullable=False),
    Column("ends_on", Date, nullable=False),
    Column("reason", Text, nullable=False),
    Column("point_values", JSONB, nullable=False),
    Column("account_codes", JSONB, nullable=False),
    Column("approval_no", BigInteger, nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("made_by", Integer, nullable=False),
    ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="restatement_belongs_to_brand"),
    ForeignKeyConstraint(["approval_no"], ["rewards.approval.approval_no"], name="restatement_was_approved"),
    CheckConstraint("restatement_no > 0", name="restatement_is_numbered_from_one"),
    CheckConstraint("begins_on <= ends_on", name="restatement_is_of_a_period"),
)

# Versions above 1, of all periods that were closed when the restatement was made and that end in it or after it.
close_version = Table(
    "close_version",
    metadata,
    Column("brand_id", Integer, primary_key=True, autoincrement=False),
    Column("ends_on", Date, primary_key=True, autoincrement=False),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("restatement_no", Integer, nullable=False),
    ForeignKeyConstraint(
        ["brand_id", "restatement_no"],
        ["rewards.restatement.brand_id", "rewards.restatement.restatement_no"],
        name="close_version_is_of_a_restatement",
    ),
    CheckConstraint("version > 1", name="close_version_is_not_the_first"),
)
