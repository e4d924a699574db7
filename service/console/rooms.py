"""What there is to go to. People see a room of which they hold one scope; its routes ask for what they need."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from service.auth.scopes import Scope

HOME = "/console"


class Room(msgspec.Struct, frozen=True):
    """A room: what it is called, where it is, and whose it is. Without scopes it is everybody's."""

    title: str
    path: str
    scopes: Collection[Scope] = ()


ROOMS: Sequence[Room] = (
    Room("Overview", HOME),
    Room("Money", f"{HOME}/money", {Scope.LEDGER_READ}),
)
"""In the order in which they are listed."""


def rooms_of(scopes: Collection[Scope]) -> list[Room]:
    """The rooms of somebody who holds these scopes."""
    return [room for room in ROOMS if not room.scopes or not set(room.scopes).isdisjoint(scopes)]


def room_at(path: str) -> Room | None:
    """The room that a page is in."""
    inside = [room for room in ROOMS if path == room.path or path.startswith(f"{room.path}/")]
    return max(inside, key=lambda room: len(room.path), default=None)
