"""Settings for a command that needs a database: what the environment says, else the embedded server of the data directory."""

from __future__ import annotations

from pathlib import Path

import msgspec

from service.embedded_postgres import EmbeddedPostgres
from service.settings import Settings, SettingsError, load

POSTGRES_DIRECTORY = "postgres"


def load_with_database() -> Settings:
    """The settings, with both database URLs filled in. Raises `SettingsError` when there is no database to be found."""
    settings = load()
    if settings.database_url:
        return settings
    directory = Path(settings.data_dir) / POSTGRES_DIRECTORY
    server = EmbeddedPostgres(directory) if directory.exists() else None
    if server is None or not server.running():
        raise SettingsError("There is no database: set REWARDS_DATABASE_URL, or start the embedded one with `rewards up`")
    return with_embedded(settings, server)


def with_embedded(settings: Settings, server: EmbeddedPostgres) -> Settings:
    """``settings`` for the embedded ``server``."""
    return msgspec.structs.replace(settings, database_url=server.application_url, owner_database_url=server.owner_url)
