"""How long a connection may stand where it stands."""

from __future__ import annotations

import enum


class Phase(enum.Enum):
    """What a connection is about."""

    HEAD = enum.auto()
    BODY = enum.auto()
    ANSWERING = enum.auto()
    IDLE = enum.auto()
    DROPPING = enum.auto()
    CLOSING = enum.auto()
