"""docs/operations.md: its table of settings is the code's, and what it tells operators to watch and to run is there."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from service.cli.main import COMMANDS
from service.observability import metrics
from service.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operations.md").read_text()


def test_the_table_lists_every_setting_with_its_default() -> None:
    rows = re.findall(rf"^\| `{PREFIX}([A-Z_]+)` \| (.*?) \| .+ \|$", PAGE, re.MULTILINE)
    assert [name.lower() for name, _ in rows] == [field.name for field in msgspec.structs.fields(Settings)]
    defaults = msgspec.structs.asdict(Settings())
    for name, shown in rows:
        default = defaults[name.lower()]
        told = shown.strip("`")
        assert told == ("" if default == "" else "false" if default is False else str(default)), name


def test_every_setting_is_said_on_one_row_as_in_the_code() -> None:
    code = (ROOT / "service/settings.py").read_text()
    declared = code.partition("class Settings")[2].partition("@property")[0]
    for name in re.findall(r"^    (\w+): ", declared, re.MULTILINE):
        assert f"`{PREFIX}{name.upper()}`" in PAGE, name


def test_the_metrics_to_watch_exist() -> None:
    exposed = metrics.render().decode()
    for name in set(re.findall(r"\brewards_[a-z_]+", PAGE)) - {"rewards_application", "rewards_worker", "rewards_reader"}:
        assert name in exposed, name


def test_the_commands_it_names_exist() -> None:
    named = set(re.findall(r"(?:`|^)rewards (\w+)", PAGE, re.MULTILINE))
    assert {"backup", "restore", "migrate", "audit"} <= named <= set(COMMANDS)
