"""``demo.json``: what `rewards up` writes when the demo is made, and users of the demo read."""

from __future__ import annotations

from pathlib import Path

import msgspec

from service.settings import Settings, replace_private

SHOP_PATH = "/demo/shop"
CUSTOMER = "customer-1"
"""Whom the demo's links are for."""


class Demo(msgspec.Struct, frozen=True):
    """What is in the file: all that a script needs to use the demo."""

    base_url: str
    brand: str
    campaign: str
    keys: dict[str, str]
    reward_link: str
    persons: dict[str, int] = {}
    """The people as whom anybody can sign in to the console, by role."""


def path_of(settings: Settings) -> Path:
    """Where the file is."""
    return Path(settings.data_dir) / "demo.json"


def read(path: Path) -> Demo | None:
    """What an earlier start wrote, if it can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Demo)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def write(path: Path, demo: Demo) -> None:
    """Keep ``demo``, readable by its owner alone."""
    replace_private(path, msgspec.json.format(msgspec.json.encode(demo), indent=2) + b"\n")
