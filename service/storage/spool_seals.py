"""Seals: a record in the spool is one of ours only if it carries a MAC under a key of ours.

Write access to the spool's directory, without the secrets, must not be enough to earn points.

    open_seals  what a process seals and checks its records with
    Seals       seal, and unseal

Records of before there were seals are in files that were there when a process of this version first started: their names are in
``spool-sealed.json`` in the data directory, and only of these are unsealed records taken, each file once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import structlog

from service.crypto.macs import mac_removed, with_mac, without_mac
from service.settings import replace_private

NOTE = "spool-sealed.json"

_SEALED = b"\x01"
"""What was not sealed begins with a map of MessagePack, which this is not."""


class Seals:
    """Seals records with the first of ``keys`` and takes those that any of them sealed."""

    def __init__(self, keys: Sequence[bytes], unsealed_files: Iterable[str] = ()) -> None:
        """Of files named in ``unsealed_files`` unsealed records are taken too."""
        self._keys = tuple(keys)
        self._unsealed_files = set(unsealed_files)

    def seal(self, record: bytes) -> bytes:
        """The record as it goes into a file."""
        return _SEALED + with_mac(record, self._keys[0])

    def unseal(self, sealed: bytes, file: str) -> bytes | None:
        """The record that was sealed, if it was one of us who did; ``file`` is the name of the file that it was in."""
        if sealed.startswith(_SEALED):
            return without_mac(sealed[len(_SEALED) :], self._keys)
        return sealed if file in self._unsealed_files else None

    def is_done(self, file: str) -> None:
        """The file is gone: another of its name is not of before."""
        self._unsealed_files.discard(file)


def unsealed(sealed: bytes) -> bytes:
    """What a record says, whoever sealed it: never to act on."""
    return mac_removed(sealed[len(_SEALED) :]) if sealed.startswith(_SEALED) else sealed


def open_seals(keys: Sequence[bytes], names: Iterable[str], note: Path) -> Seals:
    """Seals under ``keys``; ``names`` are the spool's files now, which count as of before if ``note`` is not there yet."""
    there = set(names)
    before: set[str] = there
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        before = there & set(msgspec.json.decode(note.read_bytes(), type=list[str]))
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        replace_private(note, msgspec.json.encode(sorted(before)))
    except OSError as error:
        structlog.get_logger().warning("spool_seals_not_noted", why=error.strerror)
    return Seals(keys, before)
