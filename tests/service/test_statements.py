"""The rules for the service's statements: a file says what it does and is read; book tables are asked for their book."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import sql_files

FILES = sql_files.files("service")
STRINGS = sql_files.strings("service", "ledger")
STATEMENTS = {name: sql_files.without_comments(file) for name, file in FILES.items()} | STRINGS
OF_ALL_BOOKS = {name for name in STRINGS if name.startswith(("service/cli/backup.py", "service/cli/restore.py"))}
"""A backup is of the whole database: it asks for every book."""


@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_a_file_begins_with_what_it_does_and_a_module_beside_it_reads_it(file: Path) -> None:
    sql_files.assert_is_documented_and_read(file)


@pytest.mark.parametrize("name", sorted(STATEMENTS.keys() - OF_ALL_BOOKS))
def test_a_statement_on_book_tables_names_the_book_and_calls_nothing_that_reads_tables(name: str) -> None:
    sql_files.assert_book_is_named(STATEMENTS[name])


def test_only_backups_ask_for_all_books() -> None:
    assert len(OF_ALL_BOOKS) == 2
