"""The rules for the statements that the ledger sends: where they are, and what lets a cluster move a book between its nodes."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

LEDGER = Path(__file__).parents[2] / "ledger"
FILES = {
    str(file.relative_to(LEDGER)): file for folder in ("audit", "engine", "reads") for file in LEDGER.glob(f"{folder}/**/*.sql")
}
FUNCTIONS = "\n".join(file.read_text() for file in (LEDGER / "sql/functions").glob("*.sql"))
EXPRESSIONS = set(re.findall(r"CREATE OR REPLACE FUNCTION ledger\.(\w+)\([^$;]*?\bIMMUTABLE\b", FUNCTIONS))
"""Functions that read no tables."""

EXCEPTIONS = {
    # Posting asks the same question of the same function, so the rule is in one place; written out here it took 1.27 times as
    # long. It is asked of customers who were split off only.
    "reads/sql/past_events.sql": {"were_one_v1"},
}
"""Functions that read tables and are called beside book tables nevertheless."""

_KEYWORDS = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE|WITH|DO)\b")
_TABLE = re.compile(r"\bledger\.(\w+)(?:\s+AS\s+(\w+))?(?!\s*\(|\w)")
_CALL = re.compile(r"\bledger\.(\w+)\(")


def strings(file: Path) -> list[str]:
    """The string constants of a module that are no docstrings."""
    tree = ast.parse(file.read_text())
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in prose]
    return [node.value for node in constants if isinstance(node.value, str)]


SHORT = {
    f"{file.relative_to(LEDGER)}: {text.strip()}": text
    for file in sorted(LEDGER.glob("**/*.py"))
    for text in strings(file)
    if _KEYWORDS.search(text) and "ledger." in text
}
STATEMENTS = {name: re.sub(r"--[^\n]*", "", file.read_text()) for name, file in FILES.items()} | SHORT


@pytest.mark.parametrize("statement", SHORT.values(), ids=SHORT)
def test_a_statement_of_more_than_three_lines_is_in_a_file(statement: str) -> None:
    assert len(statement.strip().splitlines()) <= 3


@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_a_file_begins_with_what_it_does_and_a_module_beside_it_reads_it(file: Path) -> None:
    assert re.match(r"-- [A-Z]", file.read_text())
    folder = file.parents[1] if file.parent.name == "sql" else file.parent
    modules = "\n".join(module.read_text() for module in folder.glob("*.py"))
    assert f'"{file.name}"' in modules or f'"{file.stem}"' in modules


@pytest.mark.parametrize(("name", "statement"), STATEMENTS.items(), ids=STATEMENTS)
def test_a_statement_on_book_tables_names_the_book_and_calls_nothing_that_reads_tables(name: str, statement: str) -> None:
    tables = [alias or table for table, alias in _TABLE.findall(statement)]
    for alias in tables:
        named = re.findall(rf"\b(?:{alias}\.)?book_id = \$1\b", statement)
        assert len(named) >= tables.count(alias), f"{alias} is not asked for its book"
    if tables:
        assert set(_CALL.findall(statement)) - EXPRESSIONS == EXCEPTIONS.get(name, set())


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS)
def test_a_row_is_found_again_by_its_key(statement: str) -> None:
    assert "ctid" not in statement
