"""The README is true: its commands run, in order, against the service that `rewards up` starts, and answer what it shows.

A fenced block of ``bash`` is run; a block of ``json`` behind it shows a part of what its last command prints. ``sh`` blocks are
targets of the Makefile, which are not run here but have to exist.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from tests.cli import running
from tests.conftest import reachable_directory
from tests.prepared_postgres import prepare

ROOT = Path(__file__).parent.parent
REWARDS = Path(sys.executable).with_name("rewards")
END = "=== end of block ==="

# A refusal is an exit code, so that the script stops there.
PROLOGUE = """
set -e -o pipefail
curl() { command curl --fail-with-body --show-error "$@"; }
"""


class Block(msgspec.Struct, frozen=True):
    """A fenced block: its language, its lines, and the line of the file it begins on."""

    language: str
    text: str
    line: int


def blocks_of(file: Path) -> list[Block]:
    """All fenced blocks of a Markdown file, in order."""
    text = file.read_text()
    return [
        Block(match[1], match[2], text.count("\n", 0, match.start()) + 1)
        for match in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]


@pytest.fixture(scope="module")
def directory() -> Generator[Path]:
    """A directory in which `rewards up` runs, as a clone of the repository would be."""
    with reachable_directory() as directory:
        yield from _run_in(directory)


def _run_in(directory: Path) -> Generator[Path]:
    prepare(directory / ".rewards" / "postgres")
    (directory / ".venv").symlink_to(Path(sys.prefix))
    port = running.free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REWARDS_")} | {
        "REWARDS_PORT": str(port),
        "REWARDS_OPERATOR_PORT": str(running.free_port()),
        "REWARDS_BASE_URL": f"http://127.0.0.1:{port}",
    }
    with (directory / "up.log").open("wb") as log:
        up = subprocess.Popen([REWARDS, "up"], cwd=directory, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
    assert up.stdout is not None
    said: list[str] = []
    for line in up.stdout:
        said.append(line)
        if line.startswith("Up after"):
            break
    else:
        pytest.fail(f"rewards up ended: {''.join(said)}\n{(directory / 'up.log').read_text()}")
    yield directory
    up.send_signal(signal.SIGINT)
    assert up.wait(timeout=60) == 0


DOCUMENTS = [path.relative_to(ROOT).as_posix() for path in (*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md")))]
RUN = [name for name in DOCUMENTS if any(block.language == "bash" for block in blocks_of(ROOT / name))]


@pytest.mark.slow
@pytest.mark.parametrize("name", RUN)
def test_the_commands_run_as_written_and_answer_what_is_shown(
    name: str, directory: Path, program: Callable[[str], str]
) -> None:
    blocks = [block for block in blocks_of(ROOT / name) if block.language in {"bash", "json"}]
    for needed in ("curl", "hledger"):
        if any(re.search(rf"\b{needed}\b", block.text) for block in blocks if block.language == "bash"):
            program(needed)
    script = PROLOGUE + "".join(f"{block.text}\necho\necho '{END}'\n" for block in blocks if block.language == "bash")
    done = subprocess.run(
        [shutil.which("bash") or "bash", "-c", script],
        cwd=directory,
        env={name: value for name, value in os.environ.items() if not name.startswith("REWARDS_")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    printed = done.stdout.split(END)
    assert done.returncode == 0, f"{printed[-1]}\n{done.stderr}"
    shown = iter(printed)
    answer = ""
    for block in blocks:
        if block.language == "bash":
            answer = next(shown)
        else:
            assert_shows(json.loads(block.text), last_answer(answer), f"{name}:{block.line}")


def last_answer(printed: str) -> Any:
    """The last of the JSON values that a block's commands printed one behind the other."""
    answer: Any = None
    rest = printed.strip()
    while rest:
        answer, end = json.JSONDecoder().raw_decode(rest)
        rest = rest[end:].strip()
    return answer


def assert_shows(part: Any, whole: Any, where: str) -> None:
    """Every field of ``part`` is in ``whole``, with the same value."""
    if isinstance(part, dict):
        for field, value in cast("dict[str, Any]", part).items():
            assert field in whole, f"{where}: no field {field} in {whole}"
            assert_shows(value, whole[field], f"{where} {field}")
    else:
        assert part == whole, where


def test_the_documents_that_show_commands_are_run() -> None:
    assert {"README.md", "docs/first-hour.md", "docs/keys.md"} <= set(RUN)


def test_beancount_is_told_in_the_version_that_the_tests_use() -> None:
    (told,) = re.findall(r"beancount==\S+", (ROOT / "README.md").read_text())
    assert told in (ROOT / "requirements-dev.in").read_text().split()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_targets_of_make_exist(name: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    commands = [line for block in blocks_of(ROOT / name) if block.language == "sh" for line in block.text.splitlines()]
    for command in commands:
        target = re.fullmatch(r"make ([a-z]+)( *#.*)?", command)
        assert target, f"not a target of make, so bash it: {command}"
        assert re.search(rf"^{target[1]}:", makefile, re.MULTILINE), command


@pytest.mark.parametrize("file", [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")], ids=lambda file: file.name)
def test_links_between_documents_lead_somewhere(file: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", file.read_text()):
        assert (file.parent / target).exists(), f"{file.name} links to {target}"


def test_every_dependency_has_its_reason() -> None:
    reasons = (ROOT / "docs/decisions/0001-dependencies.md").read_text()
    named = set(re.findall(r"[a-z][a-z0-9-]+", "\n".join(re.findall(r"^\| ([^|]+) \|", reasons, re.MULTILINE))))
    for file in ("requirements.in", "requirements-dev.in", "requirements-files.lock"):
        for package in re.findall(r"^([a-z][a-z0-9-]*)", (ROOT / file).read_text(), re.MULTILINE):
            assert package in named, f"{package} of {file} has no line in decision 1"


def test_decisions_are_numbered_from_1_once_each() -> None:
    decisions = sorted((ROOT / "docs/decisions").glob("*.md"))
    assert [int(file.name[:4]) for file in decisions] == list(range(1, len(decisions) + 1))
    for file in decisions:
        assert file.read_text().startswith(f"# {int(file.name[:4])}. "), f"the heading of {file.name} has another number"
