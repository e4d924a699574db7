"""Which Python .venv is made with: an optimized one where there is one, unless the caller names another."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from service.observability.interpreter import Build, build_of

ROOT = Path(__file__).parents[1]
UPSTREAM = {
    "CONFIG_ARGS": "'--prefix=/opt/python' '--enable-shared'",
    "PY_CFLAGS": "-DNDEBUG -g -O3 -Wall",
    "PGO_PROF_GEN_FLAG": "-fprofile-generate",
    "PGO_PROF_USE_FLAG": "-fprofile-use -fprofile-correction",
    "Py_DEBUG": 0,
}
FAST = {**UPSTREAM, "CONFIG_ARGS": "'--enable-optimizations' '--with-lto'"}
DEBIANS = {**UPSTREAM, "PGO_PROF_USE_FLAG": ""}


@pytest.mark.parametrize(
    ("variables", "build", "is_fast"),
    [
        (UPSTREAM, Build(has_profile=False, has_lto=False, has_assertions=False), False),
        (FAST, Build(has_profile=True, has_lto=True, has_assertions=False), True),
        ({**FAST, "CONFIG_ARGS": "'--enable-optimizations' '--without-lto'"}, Build(True, False, False), True),
        (DEBIANS, Build(has_profile=True, has_lto=True, has_assertions=False), True),
        ({**UPSTREAM, "PY_CFLAGS_NODIST": "-fprofile-use -flto"}, Build(True, True, False), True),
        ({**FAST, "Py_DEBUG": 1}, Build(has_profile=True, has_lto=True, has_assertions=True), False),
        ({**FAST, "PY_CFLAGS": "-g -O3"}, Build(has_profile=True, has_lto=True, has_assertions=True), False),
        ({}, Build(has_profile=False, has_lto=False, has_assertions=False), False),
    ],
)
def test_how_a_python_was_compiled_is_in_what_it_records(variables: dict[str, object], build: Build, is_fast: bool) -> None:
    assert build_of(variables) == build
    assert build.is_fast is is_fast
    assert ("without profile-guided optimization" in str(build)) is not build.has_profile


def test_a_python_that_has_nothing_of_ours_says_how_it_was_compiled() -> None:
    program = [sys.executable, "-I", "-S", str(ROOT / "service/observability/interpreter.py")]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    is_fast = build_of(sysconfig.get_config_vars()).is_fast
    assert (done.returncode, done.stderr) == (0 if is_fast else 1, "")
    assert done.stdout.startswith(f"Python {sys.version_info.major}.{sys.version_info.minor}.")
    assert done.stdout.endswith(f"{build_of(sysconfig.get_config_vars())}\n")


@pytest.fixture
def pythons(tmp_path: Path) -> Path:
    """Two directories: an old Python and a slow one are in the first, a fast one in the second."""

    def make(name: str, *, is_new: bool, is_fast: bool) -> None:
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        # It is asked twice: with -c for its version and modules, and to run our program.
        file.write_text(f'#!/bin/sh\ncase "$2" in -c) exit {int(not is_new)};; *) exit {int(not is_fast)};; esac\n')
        file.chmod(0o755)

    make("first/python3", is_new=False, is_fast=True)
    make("first/python3.11", is_new=True, is_fast=False)
    make("second/python3", is_new=True, is_fast=False)
    make("second/python3.12", is_new=True, is_fast=True)
    return tmp_path


def chosen(*directories: Path | str) -> str:
    """What is printed with these on the PATH, and where a shell finds what it needs."""
    path = ":".join([*map(str, directories), "/nowhere"])
    done = subprocess.run([ROOT / ".ci/choose-python"], env={"PATH": path}, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_first_that_is_new_and_fast_is_chosen(pythons: Path) -> None:
    (pythons / "bin").mkdir()
    (pythons / "bin/dirname").symlink_to("/usr/bin/dirname")
    assert chosen(pythons / "bin", pythons / "first", pythons / "second") == str(pythons / "second/python3.12")
    assert chosen(pythons / "bin", pythons / "first") == "python3"


def make_says(**environment: str) -> str:
    """Which Python the Makefile takes."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHON" and not name.startswith("MAKE")}
    command = ["make", "-s", "--eval", "which: ; @echo $(PYTHON) $(PYTHON)", "which"]
    done = subprocess.run(command, cwd=ROOT, env={**environ, **environment}, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_callers_python_is_taken_as_it_is() -> None:
    assert make_says(PYTHON="/opt/python3.14") == "/opt/python3.14 /opt/python3.14"


def test_without_one_the_chosen_python_is_taken(pythons: Path) -> None:
    path = f"{pythons / 'second'}:{os.environ['PATH']}"
    fast = str(pythons / "second/python3.12")
    assert make_says(PATH=path) == f"{fast} {fast}"
