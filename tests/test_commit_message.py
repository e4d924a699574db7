"""The hook that checks a commit's message, as Git runs it; and the hooks before it."""

from __future__ import annotations

import runpy
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WHY = "\n\nIt was slow.\n"
HOOK = ROOT / ".ci/commit-message"
faults_of = runpy.run_path(str(HOOK))["faults"]


@pytest.mark.parametrize(
    ("message", "faults"),
    [
        (f"Name it{WHY}", []),
        ("Named it.\n", ["the subject is not imperative: Named", "the subject ends with a full stop", "no body says why"]),
    ],
)
def test_git_is_told_by_the_status_and_people_line_by_line(tmp_path: Path, message: str, faults: list[str]) -> None:
    (tmp_path / "message").write_text(message)
    done = subprocess.run([HOOK, tmp_path / "message"], capture_output=True, text=True, check=False)
    assert done.returncode == bool(faults)
    assert done.stderr.splitlines() == [f"commit message: {fault}" for fault in faults]


@pytest.mark.parametrize(
    "message",
    [
        f"Look one customer up by number{WHY}",
        f"{'Do ' * 24}{WHY}",
        f"Process feeds{WHY}",
        f"Focus{WHY}",
        f"Embed the database{WHY}",
        f"Name it{WHY}# Please enter the commit message for your changes.\n",
        f"Name it{WHY}# ------------------------ >8 ------------------------\ndiff --git a b\n",
        'Revert "Named it."\n',
        "fixup! Name it\n",
        "Merge branch 'main'\n",
    ],
)
def test_a_good_message_passes(message: str) -> None:
    assert faults_of(message) == []


@pytest.mark.parametrize(
    ("message", "faults"),
    [
        ("# Nothing but comments.\n", ["there is no subject"]),
        (f"{'Do ' * 24}it{WHY}", ["the subject has 74 characters; 72 are allowed"]),
        (f"Added a test{WHY}", ["the subject is not imperative: Added"]),
        (f"Adding a test{WHY}", ["the subject is not imperative: Adding"]),
        (f"Adds a test{WHY}", ["the subject is not imperative: Adds"]),
        (f"add a test{WHY}", ["the subject does not begin with a capital letter"]),
        (f"Add a test.{WHY}", ["the subject ends with a full stop"]),
        ("Add a test\nIt was missing.\n\nHere.\n", ["no blank line follows the subject"]),
        ("Add a test\n\n# Only a comment.\n", ["no body says why"]),
    ],
)
def test_each_fault_is_named(message: str, faults: list[str]) -> None:
    assert faults_of(message) == faults


def test_hooks_run_what_the_repository_has_and_download_nothing() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (local,) = config["repos"]
    assert local["repo"] == "local"
    assert {hook["language"] for hook in local["hooks"]} == {"system"}
    for hook in local["hooks"]:
        assert (ROOT / hook["entry"].split()[0]).exists(), hook["id"]
    makefile = (ROOT / "Makefile").read_text()
    lint = makefile.partition("\nlint:")[2].partition("\n\n")[0]
    for program in ("ruff format --check", "ruff check", "pyright", "lint-imports"):
        assert f"$(BIN)/{program}" in lint
        assert any(f".venv/bin/{program}" in hook["entry"] for hook in local["hooks"])
