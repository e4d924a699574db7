"""`rewards secrets`: the file of keys that the service signs and hashes with."""

from __future__ import annotations

import click

from service import settings as settings_module
from service.cli.database_settings import refuse_half_restored


@click.group()
def secrets() -> None:
    """Create the secrets file."""


@secrets.command()
def create() -> None:
    """Create the secrets file, if there is none. Back it up: without it, reward links and identities are lost."""
    settings = settings_module.load()
    refuse_half_restored(settings)
    path = settings.secrets_path
    if settings_module.create_secrets(path):
        click.echo(f"Made {path}, readable by you alone.")
    else:
        raise click.ClickException(f"{path} exists already; nothing was changed.")
