"""`rewards backup`: all that belongs together, of one instant, while everything runs.

The spool is copied first and the database after it: an act that was acknowledged before is in the one or the other, and one
that is in both is paid once. pg_dump and the manifest read the same snapshot, so the manifest's seq are those of the dump.

That snapshot lives as long as the dump takes, unlike any transaction of the service. While it is open, PostgreSQL cleans up
nothing behind the books' heads, and a busy book becomes slower: back a large one up from a standby, or with pg_basebackup.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import importlib.metadata
import os
import shutil
import time
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import click
import msgspec

from service.cli import backup_set
from service.cli.backup_set import BackupRefused, BookState, Manifest, RoleMembers
from service.cli.database_settings import database_for_a_while
from service.settings import load_secrets, sync, write_private
from service.storage import database
from service.storage.postgres_programs import find_tool, run_tool
from service.storage.spool_files import ENVELOPES

_BOOKS = """
SELECT brand.code, head.book_id, head.seq FROM rewards.brand JOIN ledger.head ON head.book_id = brand.book_id ORDER BY 1
"""
_MEMBERS = Path(__file__).with_name("backup_role_members.sql").read_text()
ROLES = ("ledger_owner", database.APPLICATION_ROLE, database.WORKER_ROLE, database.READER_ROLE)


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
def backup(directory: Path) -> None:
    """Write a backup to DIRECTORY, which must not exist: the database, the secrets file and this machine's spool.

    The backup contains secrets in plain text; only you can read it. `rewards restore` restores it to an empty target.
    """
    began = time.monotonic()
    with database_for_a_while() as settings, _unfinished(directory.absolute()) as (unfinished, held):
        if not settings.secrets_path.exists():
            raise BackupRefused(f"{settings.secrets_path} does not exist, and a backup without the secrets is of little use")
        load_secrets(settings.secrets_path)
        write_private(unfinished / backup_set.SECRETS, settings.secrets_path.read_bytes())
        _copy_spool(settings.spool_path, unfinished / backup_set.SPOOL)
        manifest = asyncio.run(_dump(settings.owner_url, unfinished, keep_open=held))
        write_private(unfinished / backup_set.MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        for path in [*unfinished.rglob("*"), unfinished]:
            sync(path)
    for book in manifest.books:
        click.echo(f"{book.brand}: up to seq {book.seq:,}")
    click.echo(f"{directory}: {manifest.size:,} bytes in {time.monotonic() - began:.1f} s. Keep it as you keep the secrets.")


@contextlib.contextmanager
def _unfinished(directory: Path) -> Generator[tuple[Path, int]]:
    """Where to write, which becomes ``directory`` when all is well; and what a child has to hold, should we be killed."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise BackupRefused(f"{directory} exists already: a backup is never written over another")
    unfinished = directory.with_name(f"{directory.name}.unfinished")
    directory.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(directory.with_name(f".{directory.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupRefused(f"Another process is writing {directory}") from None
        if unfinished.exists():
            click.echo(f"{unfinished} is of a backup that was interrupted; it is of no use and is removed.", err=True)
            shutil.rmtree(unfinished)
        unfinished.mkdir(mode=0o700)
        yield unfinished, lock.fileno()
        with contextlib.suppress(FileNotFoundError):
            directory.rmdir()
        unfinished.rename(directory)
        sync(directory.parent)
    with contextlib.suppress(FileNotFoundError):
        directory.with_name(f".{directory.name}.lock").unlink()


def _copy_spool(spool: Path, to: Path) -> None:
    """What is there of each file now; its process may go on writing, or remove it."""
    to.mkdir(mode=0o700)
    for path in sorted(spool.iterdir()) if spool.exists() else ():
        if path.name == ENVELOPES:
            _copy_spool(path, to / ENVELOPES)
        elif path.is_file() and (path.suffix == ".spool" or path.name in {"aside", "known"}):
            with contextlib.suppress(FileNotFoundError):
                write_private(to / path.name, path.read_bytes())


async def _dump(url: str, to: Path, *, keep_open: int) -> Manifest:
    # Not as the service's connections are: this transaction lives as long as the dump takes.
    connection: asyncpg.Connection[Any] = await asyncpg.connect(url, server_settings={"timezone": "UTC"})
    try:
        major = connection.get_server_version().major
        pg_dump, dumped_by = find_tool("pg_dump", at_least=major)
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
            try:
                revision = await connection.fetchval("SELECT version_num FROM rewards.alembic_version")
            except asyncpg.UndefinedTableError:
                raise BackupRefused("The database has no schema of this service") from None
            books = [BookState(*row) for row in await connection.fetch(_BOOKS)]
            roles = [RoleMembers(row[0], tuple(row[1])) for row in await connection.fetch(_MEMBERS, ROLES)]
            await asyncio.to_thread(
                run_tool,
                pg_dump,
                url,
                "--format=custom",
                "--compress=3",
                "--schema=ledger",
                "--schema=rewards",
                f"--snapshot={snapshot}",
                f"--file={to / backup_set.DUMP}",
                keep_open=keep_open,
            )
            (to / backup_set.DUMP).chmod(0o600)
    finally:
        await connection.close()
    return Manifest(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        version=importlib.metadata.version("atomic-rewards"),
        revision=revision,
        postgres=major,
        dumped_by=dumped_by,
        books=tuple(books),
        roles=tuple(roles),
        files=backup_set.describe(to),
    )
