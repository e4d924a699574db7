"""What people read is in plain English: none of the words that the glossary tells us to avoid."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import click
import pytest

from service.app import describe
from service.cli.main import COMMANDS, rewards

ROOT = Path(__file__).parents[2]
GLOSSARY = (ROOT / "docs/glossary.md").read_text()
AVOIDED = [
    word.strip()
    for row in re.findall(r"^\| (.+?) \|", GLOSSARY.partition("| avoid | write |")[2], re.MULTILINE)
    for word in row.split(",")
]
ANY = re.compile(rf"\b({'|'.join(map(re.escape, AVOIDED))})\b", re.IGNORECASE)
# Decisions are history.
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md")), ROOT / "service/pages/texts/en.toml"]


def avoided_in(text: str) -> list[str]:
    """The avoided words of a text, with what stands around them."""
    return [text[max(0, found.start() - 40) : found.end() + 40] for found in ANY.finditer(text)]


def texts_of(value: Any) -> Iterator[str]:
    """All summaries and descriptions of a JSON document."""
    if isinstance(value, dict):
        for name, inner in cast("dict[str, Any]", value).items():
            if name in {"summary", "description"} and isinstance(inner, str):
                yield inner
            else:
                yield from texts_of(inner)
    elif isinstance(value, list):
        for inner in cast("list[Any]", value):
            yield from texts_of(inner)


def helps_of(command: click.Command, context: click.Context) -> Iterator[str]:
    """The help of a command and of all commands below it."""
    yield command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from helps_of(below, click.Context(below, info_name=name, parent=context))


def test_the_list_is_read_and_finds_a_word() -> None:
    assert {"she", "whoever", "of late", "till"} <= set(AVOIDED)
    assert avoided_in("What she has of late") == ["What she has of late", "What she has of late"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_use_plain_words(page: Path) -> None:
    text = page.read_text()
    if page.name == "glossary.md":
        text = text.partition("## Words we avoid")[0]
    assert avoided_in(text) == []


def test_the_description_of_the_api_uses_plain_words() -> None:
    assert [found for text in texts_of(describe()) for found in avoided_in(text)] == []


def test_the_help_of_the_command_line_uses_plain_words() -> None:
    helps = list(helps_of(rewards, click.Context(rewards, info_name="rewards")))
    assert len(helps) > len(COMMANDS)
    assert [found for text in helps for found in avoided_in(text)] == []
