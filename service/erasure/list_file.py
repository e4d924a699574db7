"""The list of erasures, outside the database: a backup that is restored is from before some of them.

A line is a JSON object: the brand's code, the customer's numbers in its book, and when they were erased. It names nobody.
"""

from __future__ import annotations

import contextlib
import os
from datetime import datetime
from pathlib import Path

import msgspec

from service.brands.brand import Brand
from service.erasure.queries import Erasure


class Listed(msgspec.Struct, frozen=True):
    """An erasure that was made."""

    brand: str
    numbers: list[int]
    asked_at: datetime


def append(path: Path, brand: Brand, erasure: Erasure) -> None:
    """Add an erasure, and wait for the disk. One may be listed twice."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = msgspec.json.encode(Listed(brand.code, erasure.numbers, erasure.asked_at)) + b"\n"
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(file, line)
        os.fsync(file)
    finally:
        os.close(file)


def read(path: Path) -> list[Listed]:
    """The erasures of a list; a line that was cut short by a crash is passed over, as its erasure is made again."""
    listed: list[Listed] = []
    if path.exists():
        for line in path.read_bytes().splitlines():
            with contextlib.suppress(msgspec.MsgspecError):
                listed.append(msgspec.json.decode(line, type=Listed))
    return listed
