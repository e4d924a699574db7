"""`rewards restore`: a backup into an empty place, checked before and after.

    check     every file of the backup against the manifest; nothing of ours may be in the target
    copy      the spool and the secrets file
    load      the database, in one transaction of pg_restore
    migrate   roles, rights, and what is newer than the backup; then erasures since are made again
    compare   each book's seq with the manifest, and the audit of every book

While it runs the data directory holds a note, and no other command works there. Killed in the middle, it leaves that note; run
again it takes up where it was, because the database is loaded as a whole or not at all.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import asyncpg
import click

from service.cli import backup_set
from service.cli.audit import audit_brands, print_findings
from service.cli.backup_set import BackupRefused, Manifest
from service.cli.database_settings import RESTORING, running_for_a_while
from service.cli.migrate import erase_again, migrate
from service.settings import Settings, load, sync, write_private
from service.storage import database
from service.storage.data_directory import alone
from service.storage.postgres_programs import find_tool, run_tool

_IS_THERE = "SELECT true FROM pg_catalog.pg_namespace WHERE nspname IN ('ledger', 'rewards')"
_SEQ = "SELECT book_id, seq FROM ledger.head"


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
def restore(directory: Path) -> None:
    """Restore the backup in DIRECTORY into an empty database, with its secrets file and spool, and audit it.

    The target is REWARDS_DATABASE_URL (its owner: REWARDS_OWNER_DATABASE_URL), or a new embedded server in REWARDS_DATA_DIR.
    """
    began = time.monotonic()
    settings = load()
    data = Path(settings.data_dir)
    data.mkdir(parents=True, exist_ok=True)
    directory = directory.absolute()
    with alone(data, f"A restore into {data} is running,") as held:
        manifest = backup_set.read(directory)
        note = data / RESTORING
        is_again = _taken_up(note, directory)
        _refuse_files(settings, directory, is_again=is_again)
        with running_for_a_while(settings) as target:
            is_loaded = asyncio.run(_is_loaded(target.owner_url, is_again=is_again))
            write_private(note, f"{directory}\n".encode())
            _copy_files(settings, directory)
            if not is_loaded:
                _load(target.owner_url, directory, manifest, keep_open=held)
            asyncio.run(_finish(target, manifest))
            erase_again(target)
            books = asyncio.run(audit_brands(target.database_url, None))
        note.unlink()
        sync(data)
    for book in books:
        print_findings(book)
    _say_what_is_missing(manifest, asyncio.run(_missing_logins(target, manifest)) if settings.database_url else [])
    click.echo(f"Restored in {time.monotonic() - began:.1f} s, as of {manifest.made_at}.")
    if any(finding.violations for book in books for finding in book.findings):
        raise click.ClickException("The audit found something wrong: see above")


def _taken_up(note: Path, directory: Path) -> bool:
    """Whether an earlier restore of this backup was interrupted here."""
    if not note.exists():
        return False
    of = note.read_text().strip()
    if of != str(directory):
        raise BackupRefused(f"A restore of {of} was interrupted here: finish that one, or empty {note.parent}")
    click.echo("An earlier restore of this backup was interrupted; taking it up.", err=True)
    return True


def _refuse_files(settings: Settings, directory: Path, *, is_again: bool) -> None:
    secrets = settings.secrets_path
    if secrets.exists() and secrets.read_bytes() != (directory / backup_set.SECRETS).read_bytes():
        raise BackupRefused(f"{secrets} exists and differs: move it elsewhere, and keep it")
    spool = settings.spool_path
    waiting = [path for path in spool.rglob("*.spool") if path.stat().st_size] if spool.exists() else []
    if waiting and not is_again:
        raise BackupRefused(
            f"{spool} holds deferred claims that are not settled ({waiting[0].name}): a restore needs an empty spool"
        )


async def _is_loaded(url: str, *, is_again: bool) -> bool:
    """Whether the database holds what an interrupted restore loaded. Raises `BackupRefused` when it holds anything else."""
    connection = await database.connect(url)
    try:
        is_there = await connection.fetchval(_IS_THERE)
    finally:
        await connection.close()
    if is_there and not is_again:
        raise BackupRefused("The database is not empty: it has a schema ledger or rewards. Restore into a new one")
    return bool(is_there)


def _copy_files(settings: Settings, directory: Path) -> None:
    settings.spool_path.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in (directory / backup_set.SPOOL).rglob("*"):
        to = settings.spool_path / path.relative_to(directory / backup_set.SPOOL)
        if path.is_dir():
            to.mkdir(mode=0o700, exist_ok=True)
        else:
            write_private(to, path.read_bytes())
    sync(settings.spool_path)
    settings.secrets_path.parent.mkdir(parents=True, exist_ok=True)
    if not settings.secrets_path.exists():
        write_private(settings.secrets_path, (directory / backup_set.SECRETS).read_bytes())
        sync(settings.secrets_path.parent)


def _load(url: str, directory: Path, manifest: Manifest, *, keep_open: int) -> None:
    async def major() -> int:
        connection = await database.connect(url)
        try:
            return connection.get_server_version().major
        finally:
            await connection.close()

    server = asyncio.run(major())
    if server < manifest.postgres:
        raise BackupRefused(
            f"The backup is of PostgreSQL {manifest.postgres}, and this server is {server}: it needs one as new"
        )
    pg_restore, _ = find_tool("pg_restore", at_least=max(server, manifest.dumped_by))
    # Owners and rights are given by migrate: those of the backup may name roles that are not here.
    options = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")
    run_tool(pg_restore, url, *options, str(directory / backup_set.DUMP), keep_open=keep_open)


async def _finish(target: Settings, manifest: Manifest) -> None:
    await migrate(target.owner_url, target.database_url)
    owner: asyncpg.Connection[Any] = await asyncpg.connect(target.owner_url)
    try:
        await owner.execute("ANALYZE")
        seq = dict(await owner.fetch(_SEQ))
    finally:
        await owner.close()
    for book in manifest.books:
        if seq.get(book.book_id) != book.seq:
            raise BackupRefused(
                f"{book.brand}'s book goes to seq {seq.get(book.book_id)}, and the backup's to {book.seq}:"
                " this database was not restored from it"
            )


async def _missing_logins(target: Settings, manifest: Manifest) -> list[str]:
    """Logins that could take the service's roles where the backup was made, and are not here."""
    known = {member for role in manifest.roles for member in role.members}
    owner = await database.connect(target.owner_url)
    try:
        here = await owner.fetch("SELECT rolname::text FROM pg_catalog.pg_roles WHERE rolname = ANY ($1)", list(known))
    finally:
        await owner.close()
    return sorted(known - {row[0] for row in here})


def _say_what_is_missing(manifest: Manifest, missing: list[str]) -> None:
    for login in missing:
        roles = ", ".join(role.role for role in manifest.roles if login in role.members)
        click.echo(f"The login {login} is not on this server; where the backup was made it could take: {roles}")
