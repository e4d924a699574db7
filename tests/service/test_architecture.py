"""The maps for newcomers are true: what ARCHITECTURE.md and CONTRIBUTING.md name is there, and no folder is left out."""

from __future__ import annotations

import ast
import functools
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
CHECKS, _, RECIPES = (ROOT / "CONTRIBUTING.md").read_text().partition("## Recipes")
TREE = ARCHITECTURE.partition("```\nledger/")[2].partition("\n```")[0]
WALKS = re.findall(r"^\| .+ \| `([\w./]+)` \| `(\w+)` \|$", ARCHITECTURE, re.MULTILINE)
PATHS = re.findall(
    r"`((?:service|ledger|tests|migrations|docs|openapi)/[\w./-]+|pyproject\.toml)`(?! \*\(new\)\*)", ARCHITECTURE + RECIPES
)
NAMES = re.findall(r"`([A-Z]\w*[A-Za-z]|[A-Z]\w+\.\w+)(?:\([^`]*\))?`", RECIPES)


def packages(root: str) -> set[str]:
    """The packages right below a root."""
    return {path.parent.name for path in (ROOT / root).glob("*/__init__.py")}


def defined_in(file: Path) -> set[str]:
    """The names of a file's functions, methods, classes and constants; of a SQL function's, the function."""
    if file.suffix == ".sql":
        return set(re.findall(r"FUNCTION ledger\.(\w+)", file.read_text()))
    nodes = list(ast.walk(ast.parse(file.read_text())))
    assigned = [node.targets[0] for node in nodes if isinstance(node, ast.Assign)]
    annotated = [node.target for node in nodes if isinstance(node, ast.AnnAssign)]
    named = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    return named | {target.id for target in (*assigned, *annotated) if isinstance(target, ast.Name)}


@functools.cache
def sources() -> dict[Path, str]:
    """Every file of code, with its text."""
    return {file: file.read_text() for root in ("service", "ledger", "tests") for file in (ROOT / root).rglob("*.py")}


def is_defined(name: str) -> bool:
    """Whether any code defines a name. Only the files that mention it are parsed: all of them take seconds."""
    return any(name in text and name in defined_in(file) for file, text in sources().items())


def test_every_package_is_in_the_tree() -> None:
    ledger, _, service = TREE.partition("\nservice/")
    assert packages("service") == set(re.findall(r"\b(\w+)/ ", service.partition("migrations/")[0]))
    assert packages("ledger") <= set(re.findall(r"\b(\w+)/", ledger))


def test_the_files_at_the_roots_are_in_the_tree() -> None:
    named = set(re.findall(r"\b(\w+\.py)\b", TREE))
    assert {file.name for file in (ROOT / "service").glob("*.py")} - {"__init__.py"} <= named
    assert all((ROOT / "service" / name).exists() or (ROOT / "ledger" / name).exists() for name in named)


def test_the_layers_are_those_that_are_enforced() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (enforced,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    shown = ARCHITECTURE.partition("## Layers")[2].partition("```\n")[2].partition("\n```")[0]
    assert shown.splitlines() == [layer.replace("service.", "").replace(" | ", ", ") for layer in enforced]


def test_there_are_three_walks() -> None:
    assert {"POST /v1/grants", "POST /r/{token}", "POST /v1/redemptions"} <= set(re.findall(r"`(POST [^`]+)`", ARCHITECTURE))
    assert len(WALKS) > 25


@pytest.mark.parametrize(("file", "function"), WALKS, ids=[f"{file} {function}" for file, function in WALKS])
def test_a_step_of_a_walk_exists(file: str, function: str) -> None:
    assert function in defined_in(ROOT / file)


@pytest.mark.parametrize("path", sorted(set(PATHS)))
def test_a_path_that_is_named_exists(path: str) -> None:
    assert "NAME" in path or "CAPABILITY" in path or (ROOT / path).exists()


@pytest.mark.parametrize("name", sorted(set(NAMES)))
def test_a_name_in_a_recipe_exists(name: str) -> None:
    assert [part for part in name.split(".") if not is_defined(part)] == []


def test_a_name_that_is_only_mentioned_does_not_exist() -> None:
    assert is_defined("defined_in")
    assert not is_defined("relative_to")


def test_the_variables_that_tests_take_are_listed() -> None:
    tests = "".join(file.read_text() for file in (ROOT / "tests").rglob("*.py"))
    rows = [row for row in CHECKS.splitlines() if row.startswith("| `")]
    listed = {name for row in rows for name in re.findall(r"`([A-Z_]+)`", row.split("|")[1])}
    assert listed == set(re.findall(r'os\.environ\.get\("(\w+)"', tests))


def test_a_recipe_marks_what_is_not_there_yet() -> None:
    marked = re.findall(r"`([\w./-]+)` \*\(new\)\*", RECIPES)
    assert {"service/providers/email/PROVIDER.py", "service/webhooks/deliverer.py"} <= set(marked)
    assert [path for path in marked if (ROOT / path).exists()] == []
