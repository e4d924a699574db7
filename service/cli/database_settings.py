"""Settings for a command that needs a database: what the environment says, else the embedded server of the data directory."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path

import msgspec

from service.settings import Settings, SettingsError, load
from service.storage.embedded_postgres.server import EmbeddedPostgres

POSTGRES_DIRECTORY = "postgres"
RESTORING = "restoring"
"""A file in the data directory, from the first thing that a restore writes until its last."""

_NO_DATABASE = "There is no database: set REWARDS_DATABASE_URL, or start the embedded one with `rewards up`"


def load_with_database() -> Settings:
    """The settings, with both database URLs filled in. Raises `SettingsError` when there is no database to be found."""
    settings = load()
    refuse_half_restored(settings)
    if settings.database_url:
        return settings
    server = _embedded(settings)
    if server is None or not server.running():
        raise SettingsError(_NO_DATABASE)
    return with_embedded(settings, server)


@contextlib.contextmanager
def database_for_a_while() -> Generator[Settings]:
    """The same, also when the embedded server is not running: then it is started, and stopped again."""
    settings = load()
    refuse_half_restored(settings)
    if not settings.database_url and _embedded(settings) is None:
        raise SettingsError(_NO_DATABASE)
    with running_for_a_while(settings) as running:
        yield running


@contextlib.contextmanager
def running_for_a_while(settings: Settings) -> Generator[Settings]:
    """``settings`` with a database: the one they name, or the embedded one, made if need be, which runs meanwhile."""
    if settings.database_url:
        yield settings
        return
    server = EmbeddedPostgres(Path(settings.data_dir) / POSTGRES_DIRECTORY)
    was_running = server.start()
    try:
        yield with_embedded(settings, server)
    finally:
        if not was_running:
            server.stop()


def refuse_half_restored(settings: Settings) -> None:
    """Raise `SettingsError` when a restore into this data directory did not get to its end."""
    note = Path(settings.data_dir) / RESTORING
    if note.exists():
        raise SettingsError(
            f"A restore into {settings.data_dir} was interrupted, so that only part is there: run it again."
            f" It was `rewards restore {note.read_text().strip()}`"
        )


def with_embedded(settings: Settings, server: EmbeddedPostgres) -> Settings:
    """``settings`` for the embedded ``server``."""
    return msgspec.structs.replace(settings, database_url=server.application_url, owner_database_url=server.owner_url)


def _embedded(settings: Settings) -> EmbeddedPostgres | None:
    directory = Path(settings.data_dir) / POSTGRES_DIRECTORY
    return EmbeddedPostgres(directory) if directory.exists() else None
