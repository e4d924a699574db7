"""A backup: a directory with all that belongs together, and a manifest that is written last.

    manifest.json   what is in it: versions, a SHA-256 of each file, and how far each brand's book goes
    database.dump   the schemas ``ledger`` and ``rewards`` (pg_dump, custom format), of one instant
    secrets.json    the keys that sign links and hash identities: without them the database is worth little
    spool/          acts on links that had not reached the database

It holds secrets in the clear, so only its owner may read it (0700). A directory without a manifest is no backup. What is being
written is called ``<directory>.unfinished``, and is renamed when all of it is on the disk.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

FORMAT = 1
MANIFEST = "manifest.json"
DUMP = "database.dump"
SECRETS = "secrets.json"
SPOOL = "spool"


class BackupRefused(Exception):
    """A backup cannot be made, or cannot be restored here. The message says why."""


class File(msgspec.Struct, frozen=True):
    """A file of the backup, by its path inside it."""

    path: str
    size: int
    sha256: str


class BookState(msgspec.Struct, frozen=True):
    """How far the book of a brand went."""

    brand: str
    book_id: int
    seq: int


class RoleMembers(msgspec.Struct, frozen=True):
    """A role of the service, and the logins that may take it."""

    role: str
    members: tuple[str, ...]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup says of itself."""

    format: int = FORMAT
    made_at: str
    version: str
    """Of the service."""
    revision: str
    """Of the schema."""
    postgres: int
    """The server's major version."""
    dumped_by: int
    """The major version of the pg_dump that wrote the dump."""
    books: tuple[BookState, ...]
    roles: tuple[RoleMembers, ...]
    files: tuple[File, ...]

    @property
    def size(self) -> int:
        """Of all files, in bytes."""
        return sum(file.size for file in self.files)


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe(root: Path) -> tuple[File, ...]:
    """All files below ``root``, by name."""
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    return tuple(File(str(path.relative_to(root)), path.stat().st_size, digest(path)) for path in paths)


def read(directory: Path) -> Manifest:
    """The manifest of a backup all of whose files are there as they were written. Raises `BackupRefused`."""
    try:
        manifest = msgspec.json.decode((directory / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise BackupRefused(f"{directory} is not a whole backup: it has no {MANIFEST}") from None
    except (OSError, msgspec.MsgspecError) as error:
        raise BackupRefused(f"{directory / MANIFEST} cannot be read: {error}") from None
    if manifest.format != FORMAT:
        raise BackupRefused(f"{directory} was written by another version (format {manifest.format}, this one reads {FORMAT})")
    for file in manifest.files:
        path = directory / file.path
        if not path.is_file():
            raise BackupRefused(f"{path} is missing")
        if path.stat().st_size != file.size or digest(path) != file.sha256:
            raise BackupRefused(f"{path} is not what was written: its SHA-256 differs from the manifest's")
    return manifest
