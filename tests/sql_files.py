"""Statements as a package has them: in ``.sql`` files beside its modules, or as strings in them."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection
from pathlib import Path

ROOT = Path(__file__).parents[1]

_FUNCTIONS = [file.read_text() for file in ROOT.glob("ledger/sql/functions/*_v*.sql")]
_READS_TABLES = {
    function
    for text in _FUNCTIONS
    if re.search(r"\b(FROM|JOIN|INTO|UPDATE) ledger\.", text)
    for function in re.findall(r"CREATE OR REPLACE FUNCTION ledger\.(\w+)", text)
}
_KEYWORDS = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE|WITH|DO)\b")
_TABLE = re.compile(r"\bledger\.(\w+)(?:\s+AS\s+(\w+))?(?!\s*\(|\w)")
_CALL = re.compile(r"\bledger\.(\w+)\(")


def files(*folders: str) -> dict[str, Path]:
    """The ``.sql`` files below these folders, by name."""
    return {str(file.relative_to(ROOT)): file for folder in folders for file in sorted(ROOT.glob(f"{folder}/**/*.sql"))}


def strings(package: str, schema: str) -> dict[str, str]:
    """The statements on a schema that are strings in a package's modules, by module and text."""
    return {
        f"{file.relative_to(ROOT)}: {' '.join(text.split())}": text
        for file in sorted(ROOT.glob(f"{package}/**/*.py"))
        if _has_statement(source := file.read_text(), schema)
        for text in _strings(source)
        if _has_statement(text, schema)
    }


def _has_statement(text: str, schema: str) -> bool:
    return f"{schema}." in text and _KEYWORDS.search(text) is not None


def _strings(source: str) -> list[str]:
    """The string constants of a module that are no docstrings."""
    nodes = list(ast.walk(ast.parse(source)))
    prose = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    constants = [node for node in nodes if isinstance(node, ast.Constant) and id(node) not in prose]
    return [node.value for node in constants if isinstance(node.value, str)]


def without_comments(file: Path) -> str:
    """A file's statement."""
    return re.sub(r"--[^\n]*", "", file.read_text())


def assert_is_documented_and_read(file: Path) -> None:
    """It begins with what it does, and a module beside it, or beside its folder ``sql``, reads it."""
    assert re.match(r"-- [A-Z]", file.read_text())
    folder = file.parents[1] if file.parent.name == "sql" else file.parent
    modules = "\n".join(module.read_text() for module in folder.glob("*.py"))
    own = folder / f"{file.stem}.py"
    read = own.exists() and '__file__).with_suffix(".sql")' in own.read_text()
    assert read or f'"{file.name}"' in modules or f'"{file.stem}"' in modules


def assert_book_is_named(statement: str, may_call: Collection[str] = ()) -> None:
    """Each book table is asked for its book by parameter, and no function that reads tables is called beside one."""
    tables = [alias or table for table, alias in _TABLE.findall(statement)]
    for alias in tables:
        named = re.findall(rf"\b(?:{alias}\.)?book_id = \$\d\b", statement)
        assert len(named) >= tables.count(alias), f"{alias} is not asked for its book"
    if tables:
        assert _READS_TABLES.intersection(_CALL.findall(statement)) == set(may_call)
