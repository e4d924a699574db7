"""`rewards import`: what a brand brings along from elsewhere."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import click

from ledger import ImportResult, Opening, import_balances
from service import database
from service.auth.audit_trail import record_by_operator
from service.brands.brand import Brand
from service.brands.errors import BrandUnknown
from service.brands.queries import find_brand
from service.cli.database_settings import load_with_database
from service.customers.balance_file import BalanceFileInvalid, BroughtBalance, read_balances
from service.customers.directory import CustomerDirectory
from service.customers.identities import own_identity
from service.settings import Settings, load_secrets

BATCH = 10_000
STATEMENT_TIMEOUT_MS = 30 * 60 * 1000
"""All lots are opened by one statement, so that a file is in the book whole or not at all."""


@click.group("import")
def import_group() -> None:
    """Import balances."""


@import_group.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--brand", "code", required=True, help="The brand's code.")
@click.option("--rows", type=click.IntRange(1), required=True, help="How many lines FILE has, without its first.")
@click.option("--points", type=click.IntRange(1), required=True, help="How many points they are in all.")
@click.option("--dry-run", is_flag=True, help="Check FILE and stop.")
def balances(*, file: Path, code: str, rows: int, points: int, dry_run: bool) -> None:
    """Open a lot for every line of FILE: CSV with the columns id, points and, if need be, expires_on and class.

    All or nothing, and a file once. While it is posted nothing else is posted to the brand's book.
    """
    content = file.read_bytes()
    settings = load_with_database()

    async def run() -> ImportResult | None:
        brand = await _brand(settings, code)
        brought = read_balances(content, today=brand.calendar.day(datetime.now(UTC)))
        total = sum(balance.points for balance in brought)
        if (len(brought), total) != (rows, points):
            raise BalanceFileInvalid(f"The file has {len(brought)} lines with {total} points, not {rows} with {points}.")
        if dry_run:
            return None
        return await _post(settings, brand, brought, hashlib.sha256(content).digest(), file.name)

    result = asyncio.run(run())
    if result is None:
        click.echo(f"{file} can be imported: {rows:,} lines, {points:,} points.")
    elif result.posted:
        click.echo(f"Opened {result.lots:,} lots with {result.points:,} points, from seq {result.first_seq:,}.")
    else:
        click.echo(f"This file was imported before, from seq {result.first_seq:,}; nothing was changed.")


async def _brand(settings: Settings, code: str) -> Brand:
    engine = database.create_engine(settings.database_url, database.READER_ROLE, size=1)
    try:
        brand = await find_brand(engine, code)
    finally:
        await engine.dispose()
    if brand is None:
        raise BrandUnknown(f"There is no brand {code!r}.")
    return brand


async def _post(settings: Settings, brand: Brand, brought: list[BroughtBalance], file_hash: bytes, name: str) -> ImportResult:
    numbers = await _resolve(settings, brand, brought)
    openings = [
        Opening(number, balance.points, balance.expires_on, balance.account_class)
        for number, balance in zip(numbers, brought, strict=True)
    ]
    points = sum(balance.points for balance in brought)
    owner = await database.connect(settings.owner_url, statement_timeout_ms=STATEMENT_TIMEOUT_MS)
    try:
        async with owner.transaction():
            result = await import_balances(owner, brand.book, openings, file_hash=file_hash, rows=len(openings), points=points)
            if result.posted:
                act = {"file": name, "sha256": file_hash.hex(), "lots": result.lots, "points": result.points}
                await record_by_operator(owner, brand.brand_id, "balances.import", brand.code, after=act)
            return result
    except asyncpg.InvalidParameterValueError as error:
        raise BalanceFileInvalid(f"The book refuses the file: {error}.") from error
    finally:
        await owner.close()


async def _resolve(settings: Settings, brand: Brand, brought: list[BroughtBalance]) -> list[int]:
    """Everybody's number, before anything is posted; who is new to us gets one."""
    keys = load_secrets(settings.secrets_path).identity_keys
    pool = await database.create_pool(settings.database_url, database.APPLICATION_ROLE, size=1)
    try:
        directory = CustomerDirectory(pool, keys)
        numbers: list[int] = []
        for start in range(0, len(brought), BATCH):
            people = [[own_identity(keys, brand.brand_id, balance.id)] for balance in brought[start : start + BATCH]]
            numbers += [known.customer for known in await directory.resolve(brand, people, may_attach=True)]
        return numbers
    finally:
        await pool.close()
