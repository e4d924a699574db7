"""Devices as names; a number for each name, and proof that it is the customer's."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ledger import schema

revision = "0009"
down_revision = "0008"

_RIGHTS = """
GRANT UPDATE (verified) ON rewards.customer TO rewards_application;
GRANT UPDATE (verified_by) ON rewards.identity TO rewards_application;
GRANT SELECT ON rewards.verification TO rewards_application;
GRANT INSERT (brand_id, identity_no, method, proof, reason, happened_at, api_key_id)
    ON rewards.verification TO rewards_application;
"""


def upgrade() -> None:
    op.add_column(
        "customer", sa.Column("verified", sa.Boolean(), server_default=sa.text("false"), nullable=False), schema="rewards"
    )
    op.drop_constraint("identity_is_id_email_or_phone", "identity", schema="rewards")
    op.create_check_constraint("identity_is_id_email_phone_or_device", "identity", "kind BETWEEN 1 AND 4", schema="rewards")
    # The names there are get their numbers now, in no order that means anything.
    op.add_column(
        "identity", sa.Column("identity_no", sa.BigInteger(), sa.Identity(always=True), nullable=False), schema="rewards"
    )
    op.create_unique_constraint("identity_has_a_number_of_its_own", "identity", ["identity_no"], schema="rewards")
    op.add_column("identity", sa.Column("verified_by", sa.BigInteger(), nullable=True), schema="rewards")
    op.create_table(
        "verification",
        sa.Column("verification_no", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("brand_id", sa.Integer(), nullable=False),
        sa.Column("identity_no", sa.BigInteger(), nullable=False),
        sa.Column("method", sa.Text(), nullable=True),
        sa.Column("proof", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("api_key_id", sa.Integer(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint(
            "method IN ('otp', 'sign_on', 'double_opt_in', 'document', 'in_person')", name="verification_method_is_one_we_know"
        ),
        sa.CheckConstraint("length(proof) BETWEEN 1 AND 200", name="verification_proof_is_1_to_200_characters"),
        sa.CheckConstraint("length(reason) BETWEEN 1 AND 200", name="verification_reason_is_1_to_200_characters"),
        sa.CheckConstraint(
            "CASE WHEN method IS NULL THEN proof IS NULL ELSE reason IS NULL END",
            name="verification_without_a_method_is_a_withdrawal",
        ),
        sa.PrimaryKeyConstraint("verification_no", name="verification_pkey"),
        sa.UniqueConstraint("identity_no", "method", "proof", name="verification_has_a_proof_once"),
        schema="rewards",
    )
    op.create_index("verification_by_identity", "verification", ["identity_no", "verification_no"], schema="rewards")
    for statement in schema.statements(_RIGHTS):
        op.get_bind().exec_driver_sql(statement)
