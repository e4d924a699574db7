"""The rules for the statements that the ledger sends: where they are, and what lets a cluster move a book between its nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import sql_files

FILES = sql_files.files("ledger/audit", "ledger/engine", "ledger/layers", "ledger/reads")
STRINGS = sql_files.strings("ledger", "ledger")
STATEMENTS = {name: sql_files.without_comments(file) for name, file in FILES.items()} | STRINGS

MAY_CALL = {
    # Posting asks the same question of the same function, so the rule is in one place; written out here it took 1.27 times as
    # long. It is asked only of customers who were split off.
    "ledger/reads/sql/past_events.sql": {"were_one_v1"},
    # What is taken back of a hold, and what fell due, is reckoned as the functions that post it do.
    "ledger/reads/sql/due_claw_backs.sql": {"due_claw_backs_v1", "owes_v1"},
    "ledger/reads/sql/posted_dues.sql": {"fell_due_v1"},
    # Made part of the statement. It finds the index whatever the planner knows of the table.
    "ledger/layers/sql/related_customers.sql": {"merged_into_v1"},
    "ledger/reads/sql/customers_of_redemptions.sql": {"merged_into_v1"},
}
"""Functions that read tables and are called beside book tables nevertheless."""

OF_MANY_BOOKS = {"ledger/reads/sql/events_by_key.sql"}
"""Statements that many books share: one for each of 50 took 24 times as long (decision 39)."""
OF_ONE_BOOK = {name: statement for name, statement in STATEMENTS.items() if name not in OF_MANY_BOOKS}


@pytest.mark.parametrize("statement", STRINGS.values(), ids=STRINGS)
def test_a_statement_of_more_than_three_lines_is_in_a_file(statement: str) -> None:
    assert len(statement.strip().splitlines()) <= 3


@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_a_file_begins_with_what_it_does_and_a_module_beside_it_reads_it(file: Path) -> None:
    sql_files.assert_is_documented_and_read(file)


@pytest.mark.parametrize(("name", "statement"), OF_ONE_BOOK.items(), ids=OF_ONE_BOOK)
def test_a_statement_on_book_tables_names_the_book_and_calls_nothing_that_reads_tables(name: str, statement: str) -> None:
    sql_files.assert_book_is_named(statement, MAY_CALL.get(name, ()))


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS)
def test_a_row_is_found_again_by_its_key(statement: str) -> None:
    assert "ctid" not in statement
