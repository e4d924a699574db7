"""`rewards layers`: which grant was spent, derived from the log again."""

from __future__ import annotations

import asyncio

import click

from ledger import clear_layers, track_layers
from service.brands.errors import BrandUnknown
from service.brands.queries import find_brand
from service.cli.database_settings import load_with_database
from service.storage import database


@click.group()
def layers() -> None:
    """Rebuild what tells which grant was spent."""


@layers.command()
@click.argument("code", metavar="BRAND")
def rebuild(*, code: str) -> None:
    """Forget which grants of BRAND were spent, and derive it from the log again.

    Reports meanwhile read the log itself, and take longer. If this is interrupted, a worker finishes it.
    """
    asyncio.run(_rebuild(load_with_database().database_url, code))
    click.echo(f"Derived from the log again which grants of {code} were spent.")


async def _rebuild(url: str, code: str) -> None:
    engine = database.create_engine(url, database.WORKER_ROLE, size=1)
    pool = await database.create_pool(url, database.WORKER_ROLE, size=1)
    try:
        brand = await find_brand(engine, code)
        if brand is None:
            raise BrandUnknown(f"There is no brand {code!r}.")
        while await clear_layers(pool, brand.book):
            pass
        while await track_layers(pool, brand.book):
            pass
    finally:
        pool.terminate()
        await engine.dispose()
