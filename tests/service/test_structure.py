"""The house keeps its shape: every package has a layer, packages and functions stay small."""

from __future__ import annotations

import ast
import re
import statistics
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOTS = ("service", "ledger", "migrations")
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
LAYERS = CONTRACTS["contracts"][0]["layers"]
FILES = [file for root in ("service", "ledger") for file in sorted((ROOT / root).rglob("*.py"))]

MODULES_MAX = 20
MODULES_AT_THE_ROOT_MAX = 5
LINES_MAX = 60


def modules_of(folder: Path) -> set[str]:
    """The modules and packages right below a folder."""
    files = {file.stem for file in folder.glob("*.py")} - {"__init__"}
    return files | {file.parent.name for file in folder.glob("*/__init__.py")}


def functions_of(file: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The functions and methods that a file defines, also those inside others."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def imports_for_types_only(file: Path) -> set[str]:
    """The modules of ours that a file imports under ``TYPE_CHECKING``."""
    blocks = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.If)]
    body = [line for block in blocks if ast.unparse(block.test).endswith("TYPE_CHECKING") for line in block.body]
    named = [each.module or "" for each in body if isinstance(each, ast.ImportFrom)]
    named += [alias.name for each in body if isinstance(each, ast.Import) for alias in each.names]
    return {name for name in named if name.partition(".")[0] in ROOTS}


def test_the_layers_are_the_packages_there_are() -> None:
    named = [layer for line in LAYERS for layer in re.findall(r"[\w.]+", line)]
    ours = {f"service.{name}" for name in modules_of(ROOT / "service")}
    migrations = {f"migrations.{name}" for name in modules_of(ROOT / "migrations") - {"versions"}}
    assert set(named) == ours | migrations | {"ledger"}
    assert len(named) == len(set(named))
    assert set(CONTRACTS["root_packages"]) == set(ROOTS)


def test_no_layer_is_optional_or_open_to_its_neighbours() -> None:
    assert not [line for line in LAYERS if re.search(r"[(:)]", line)]


@pytest.mark.parametrize("root", ["service", "ledger"])
def test_only_the_services_are_imported_for_their_type_alone(root: str) -> None:
    files = [file for file in FILES if file.is_relative_to(ROOT / root)]
    found = {str(file.relative_to(ROOT)): imports_for_types_only(file) - {"service.services"} for file in files}
    assert not {name: modules for name, modules in found.items() if modules}


def test_packages_stay_small() -> None:
    assert len(list((ROOT / "service").glob("*.py"))) - 1 <= MODULES_AT_THE_ROOT_MAX
    packages = {file.parent for file in FILES if file.name == "__init__.py"} - {ROOT / "service"}
    assert not {str(folder): len(modules_of(folder)) for folder in packages if len(modules_of(folder)) > MODULES_MAX}


def test_functions_stay_small() -> None:
    lines = {
        f"{file.relative_to(ROOT)}:{function.name}:{function.lineno}": (function.end_lineno or 0) - function.lineno + 1
        for file in FILES
        for function in functions_of(file)
    }
    median, p90 = statistics.median(lines.values()), statistics.quantiles(lines.values(), n=10)[-1]
    print(f"{len(lines)} functions: median {median}, p90 {p90}, longest {max(lines.values())} lines")  # noqa: T201 - asked for
    assert not {name: length for name, length in lines.items() if length > LINES_MAX}
    assert median <= 6
    assert p90 <= 20
