"""The rules of the schema, read from the catalog: what lets a cluster place whole books on any node, and keeps rights tight."""

from __future__ import annotations

import re
from typing import Any

import asyncpg
import pytest

from migrations.target import metadata

BOOK_TABLES = {
    "head",
    "account",
    "transfer",
    "event",
    "cap_use",
    "pending",
    "redemption",
    "idempotency_key",
    "customer_state",
    "cut",
    "cut_balance",
    "balance_import",
    "proof",
    "cap_recent",
    "redemption_step",
    "spell",
    "brought",
    "close",
    "close_balance",
    "layer_reader",
    "transfer_layer",
    "lot_layers",
    "daily_movement",
    "correction",
    "shortfall",
    "redemption_layer",
    "forgotten",
    "purchase_return",
    "offer_notice",
}

LOOK_UP_TABLES = {
    "customer",
    "identity",
    "tombstone",
    "verification",
    "consent",
    "parted",
    "preference",
    "link",
    "link_code",
    "link_revocation",
    "batch_code",
    "destination",
    "touch",
    "envelope",
    "envelope_outcome",
    "message",
    "answered_message",
    "reply_text",
    "offer",
    "offer_message",
    "app_device",
    "replayed_event",
}
CONFIGURATION_TABLES = {
    "brand",
    "brand_point_value",
    "brand_logo",
    "link_host",
    "code_batch",
    "export_job",
    "minting_key",
    "api_key",
    "key_quota",
    "audit_trail",
    "campaign",
    "campaign_version",
    "alembic_version",
    "touch_count",
    "touch_reader",
    "estimate",
    "adjustment_reason",
    "correction_job",
    "correction_line",
    "person",
    "identity_provider",
    "console_login",
    "console_passkey",
    "console_session",
    "approval",
    "erasure",
    "approval_use",
    "approval_policy",
    "restatement",
    "retention",
    "close_version",
    "spool_report",
    "source",
    "source_head",
    "source_reader",
    "source_replay",
    "envelope_key",
}

POSTING = {
    "post_grants_v1",
    "settle_pending_v1",
    "redeem_v1",
    "redeem_v2",
    "claw_back_v1",
    "return_purchase_v1",
    "adjust_v1",
    "fund_v1",
    "take_cut_v1",
    "as_of_v1",
    "advance_clock_v1",
    "merge_customers_v1",
    "split_customer_v1",
    "align_customers_v1",
    "begin_close_v1",
    "store_close_v1",
    "finish_close_v1",
    "settle_close_v1",
    "note_offers_v1",
}
EXECUTED_BY = {
    "rewards_application": POSTING,
    "rewards_worker": POSTING
    | {"sweep_v1", "expire_v1", "swept_through_v1", "keep_layers_v1", "keep_movements_v1", "clear_layers_v1"}
    | {"erase_customer_v1", "erase_details_v1", "erase_answers_v1", "forget_answers_v1", "forget_details_v1"},
    "rewards_reader": set[str](),
}
READING = {
    "kind_v1",
    "verb_v1",
    "operation_v1",
    "grant_outcome_v1",
    "settle_outcome_v1",
    "redemption_outcome_v1",
    "claw_back_outcome_v1",
    "return_outcome_v1",
    "adjust_outcome_v1",
    "fund_outcome_v1",
    "merge_outcome_v1",
    "split_outcome_v1",
    "erase_outcome_v1",
    "clock_outcome_v1",
    "instant_outcome_v1",
    "close_outcome_v1",
    "close_state_v1",
    "account_class_v1",
    "account_with_kind_v1",
    "house_owner_v1",
    "customer_owner_v1",
    "campaign_owner_v1",
    "redemption_owner_v1",
    "accounts_from_v1",
    "account_id_v2",
    "account_kind_v1",
    "account_expires_on_v1",
    "account_owner_v1",
    "account_id_v1",
    "open_holds_v1",
    "spendable_v1",
    "redemption_v1",
    "redemptions_v1",
    "redemptions_now_v1",
    "redemption_status_v1",
    "redemption_sums_v1",
    "rfc3339_v1",
    "account_number_v1",
    "account_kind_name_v1",
    "account_class_name_v1",
    "account_last_day_v1",
    "account_name_v1",
    "account_line_v1",
    "account_lines_v1",
    "account_sums_v1",
    "log_lines_v1",
    "seq_at_v1",
    "fell_due_v1",
    "is_settled_v1",
    "balances_v1",
    "spendable_now_v1",
    "survivor_at_v1",
    "were_one_v1",
    "microseconds_v1",
    "cap_counts_v1",
    "counted_for_v1",
    "quote_grants_v1",
    "zone_offsets_v1",
    "accounting_date_v1",
    "fell_due_on_v1",
    "transfer_verb_v1",
    "held_back_v1",
    "merged_into_v1",
    "outcome_at_v1",
    "offer_notice_v1",
    "owes_v1",
    "redemption_layers_v1",
    "due_claw_backs_v1",
    "earned_v1",
    "return_terms_v1",
    "clawed_back_when_due_v1",
}


async def names(owner: asyncpg.Connection[Any], statement: str, *arguments: Any) -> set[str]:
    """The first column."""
    return {row[0] for row in await owner.fetch(statement, *arguments)}


async def test_every_table_is_of_a_known_kind(owner: asyncpg.Connection[Any]) -> None:
    tables = """
        SELECT relname FROM pg_class
        WHERE relnamespace = $1::text::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
    """
    assert await names(owner, tables, "ledger") == BOOK_TABLES
    assert await names(owner, tables, "rewards") == LOOK_UP_TABLES | CONFIGURATION_TABLES
    described = {table.name for table in metadata.tables.values()}
    assert described | {"alembic_version"} == LOOK_UP_TABLES | CONFIGURATION_TABLES


async def test_every_key_and_index_of_a_book_table_begins_with_the_book(owner: asyncpg.Connection[Any]) -> None:
    first_columns = await owner.fetch(
        """
        SELECT index.indexrelid::regclass::text AS name, attribute.attname AS first
        FROM pg_index AS index
        JOIN pg_class AS class ON class.oid = index.indrelid AND class.relnamespace = 'ledger'::regnamespace
        LEFT JOIN pg_attribute AS attribute ON attribute.attrelid = class.oid AND attribute.attnum = index.indkey[0]
        """
    )
    assert len(first_columns) >= len(BOOK_TABLES)
    assert [row["name"] for row in first_columns if row["first"] != "book_id"] == []


async def test_every_book_table_has_a_primary_key_and_the_log_no_other_unique_index(owner: asyncpg.Connection[Any]) -> None:
    unique = await owner.fetch(
        """
        SELECT class.relname AS table, index.indisprimary AS primary
        FROM pg_index AS index
        JOIN pg_class AS class ON class.oid = index.indrelid AND class.relnamespace = 'ledger'::regnamespace
        WHERE index.indisunique
        """
    )
    assert sorted(row["table"] for row in unique if row["primary"]) == sorted(BOOK_TABLES)
    assert [row["table"] for row in unique if not row["primary"]] == []


FORBIDDEN = {
    "trigger": """
        SELECT tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
        WHERE relnamespace = 'ledger'::regnamespace
    """,
    "rule": "SELECT rulename FROM pg_rules WHERE schemaname = 'ledger'",
    "deferrable constraint": "SELECT conname FROM pg_constraint WHERE connamespace = 'ledger'::regnamespace AND condeferrable",
    "foreign key": "SELECT conname FROM pg_constraint WHERE connamespace = 'ledger'::regnamespace AND contype = 'f'",
    "foreign key into the books": """
        SELECT conname FROM pg_constraint JOIN pg_class ON pg_class.oid = confrelid
        WHERE contype = 'f' AND relnamespace = 'ledger'::regnamespace
    """,
    "exclusion": "SELECT conname FROM pg_constraint WHERE connamespace = 'ledger'::regnamespace AND contype = 'x'",
    "sequence": "SELECT relname FROM pg_class WHERE relnamespace = 'ledger'::regnamespace AND relkind = 'S'",
    "identity or generated column": """
        SELECT attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
        WHERE relnamespace = 'ledger'::regnamespace AND (attidentity <> '' OR attgenerated <> '')
    """,
    "view": "SELECT relname FROM pg_class WHERE relnamespace = 'ledger'::regnamespace AND relkind IN ('v', 'm', 'f')",
    "unlogged or temporary table": """
        SELECT relname FROM pg_class WHERE relnamespace = 'ledger'::regnamespace AND relkind = 'r' AND relpersistence <> 'p'
    """,
    "table of another owner": """
        SELECT relname FROM pg_class
        WHERE relnamespace = 'ledger'::regnamespace AND relkind IN ('r', 'p', 'i') AND relowner <> 'ledger_owner'::regrole
    """,
    "function of another owner": """
        SELECT proname FROM pg_proc WHERE pronamespace = 'ledger'::regnamespace AND proowner <> 'ledger_owner'::regrole
    """,
    "function of the owner's rights that looks names up where its caller says": """
        SELECT proname FROM pg_proc
        WHERE pronamespace = 'ledger'::regnamespace AND prosecdef
            AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig), false)
    """,
    "function with two bodies": """
        SELECT proname FROM pg_proc WHERE pronamespace = 'ledger'::regnamespace GROUP BY proname HAVING count(*) > 1
    """,
    "function without a version": """
        SELECT proname FROM pg_proc
        WHERE pronamespace = 'ledger'::regnamespace AND proname !~ '_v[0-9]+$'
    """,
    "role that logs in as the owner": """
        SELECT rolname FROM pg_roles
        WHERE rolname IN ('ledger_owner', 'rewards_application', 'rewards_worker', 'rewards_reader')
            AND (rolcanlogin OR rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls OR rolreplication)
    """,
    "column of time without a zone": """
        SELECT attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
        WHERE relnamespace IN ('ledger'::regnamespace, 'rewards'::regnamespace) AND atttypid = 'timestamp'::regtype
    """,
}


async def test_the_books_have_none_of_what_would_bind_them_to_one_node_or_loosen_their_rights(
    owner: asyncpg.Connection[Any],
) -> None:
    found = {what: await names(owner, statement) for what, statement in FORBIDDEN.items()}
    assert {what: which for what, which in found.items() if which} == {}


async def test_each_role_executes_what_its_work_needs_and_no_more(owner: asyncpg.Connection[Any]) -> None:
    for role, posting in EXECUTED_BY.items():
        executable = await names(
            owner,
            """
            SELECT proname FROM pg_proc
            WHERE pronamespace = 'ledger'::regnamespace AND has_function_privilege($1, pg_proc.oid, 'EXECUTE')
            """,
            role,
        )
        assert executable == posting | READING


async def test_what_runs_with_the_owners_rights_is_what_may_be_called_to_post(owner: asyncpg.Connection[Any]) -> None:
    definers = await names(owner, "SELECT proname FROM pg_proc WHERE pronamespace = 'ledger'::regnamespace AND prosecdef")
    assert definers == EXECUTED_BY["rewards_worker"] | {
        "open_book_v1",
        "import_balances_v1",
        "import_balances_v2",
        "set_issue_limit_v1",
    }


async def test_a_constraints_name_is_a_sentence(owner: asyncpg.Connection[Any]) -> None:
    # PostgreSQL 18 names NOT NULL constraints too; nobody refers to those.
    named = await owner.fetch(
        """
        SELECT conname AS name, relname AS table FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid
        WHERE connamespace = 'ledger'::regnamespace AND contype <> 'n'
        """
    )
    assert named
    for row in named:
        assert row["name"].startswith(row["table"].removesuffix("s"))
        assert not re.search(r"_(check\d*|key|pkey|fkey|excl|idx)$", row["name"])
        assert re.search(r"_(is|are|has|counts|stays|runs|never|absorbs|pairs)_", row["name"]), row["name"]


# By column: a value that its type does not have, and the constraint that says so.
REFUSED_BY_TYPE = {
    "head.epoch": ("0", "epoch_counts_up_from_one"),
    "head.grace_days": ("367", "grace_is_at_most_a_year"),
    "head.issue_limit": ("-1", "issue_limit_is_an_amount"),
    "head.clock_offset": ("'-1 second'", "clock_never_runs_behind"),
    "head.mode": ("'trial'", "mode_is_live_or_test"),
    "account.debits": ("-1", "total_is_never_owed"),
    "account.credits": ("-1", "total_is_never_owed"),
    "customer_state.points": ("-1", "total_is_never_owed"),
    "customer_state.absorbed": ("8", "customer_has_at_most_eight_ids"),
    "event.outcome": ("5", "outcome_is_known"),
    "event.grade": ("'E'", "grade_is_known"),
    "transfer.amount": ("0", "amount_is_positive"),
}


@pytest.mark.parametrize(("column", "value", "constraint"), [(column, *what) for column, what in REFUSED_BY_TYPE.items()])
async def test_what_a_column_may_hold_is_said_by_its_type(
    owner: asyncpg.Connection[Any], column: str, value: str, constraint: str
) -> None:
    table, name = column.split(".")
    type_ = await owner.fetchval(
        "SELECT atttypid::regtype::text FROM pg_attribute WHERE attrelid = $1::text::regclass AND attname = $2",
        f"ledger.{table}",
        name,
    )
    with pytest.raises(asyncpg.CheckViolationError, match=constraint):
        await owner.fetchval(f"SELECT CAST({value} AS {type_})")
