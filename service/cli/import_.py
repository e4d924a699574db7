"""`rewards import`: opening balances from another system."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import asyncpg
import click

from ledger import AccountClass, ImportResult, Opening, import_balances
from service.auth.audit_trail import record_by_operator
from service.brands.brand import Brand
from service.brands.errors import BrandUnknown
from service.brands.queries import find_brand
from service.cli.database_settings import load_with_database
from service.customers.balance_file import (
    BalanceFileInvalid,
    BroughtBalance,
    content_hash,
    read_balances,
    refused_lines,
)
from service.customers.directory import CustomerDirectory
from service.customers.identities import own_identity
from service.customers.queries import Customer
from service.settings import Settings, load_secrets
from service.storage import database

BATCH = 10_000
STATEMENT_TIMEOUT_MS = 30 * 60 * 1000
"""All lots are opened by one statement, so that a file is in the book whole or not at all."""

_HAS_SUCH_A_LOT = "the customer has a lot of this last day and class from an import already; --again opens it all the same"


@click.group("import")
def import_group() -> None:
    """Import opening balances."""


@import_group.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--brand", "code", required=True, help="The brand's code.")
@click.option("--rows", type=click.IntRange(1), required=True, help="The number of lines in FILE, without its header.")
@click.option("--points", type=click.IntRange(1), required=True, help="The total of points in FILE.")
@click.option("--dry-run", is_flag=True, help="Check FILE and import nothing.")
@click.option("--again", is_flag=True, help="Open lots even for customers who already have such a lot from an import.")
def balances(*, file: Path, code: str, rows: int, points: int, dry_run: bool, again: bool) -> None:
    """Open a lot for every line of FILE: CSV with the columns id and points, and optionally expires_on and class.

    All lines are imported or none, and the same file only once, however it was saved. A customer who already has an imported
    lot of the same expiry day and class is reported by line. The brand's book takes no other postings meanwhile. If the
    import is interrupted, start it again: no lot is opened twice.
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
        # Files that were imported before this version are known by their bytes.
        hashes = (content_hash(brought), hashlib.sha256(content).digest())
        return await _post(settings, brand, brought, hashes, file.name, again=again)

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


async def _post(
    settings: Settings,
    brand: Brand,
    brought: Sequence[BroughtBalance],
    hashes: Sequence[bytes],
    name: str,
    *,
    again: bool,
) -> ImportResult:
    people = await _resolve(settings, brand, brought)
    openings = [
        Opening(
            known.customer,
            balance.points,
            balance.expires_on,
            balance.account_class,
            formers=tuple({*known.former, *known.past, known.named} - {known.customer}),
        )
        for known, balance in zip(people, brought, strict=True)
    ]
    points = sum(balance.points for balance in brought)
    owner = await database.connect(settings.owner_url, statement_timeout_ms=STATEMENT_TIMEOUT_MS)
    try:
        async with owner.transaction():
            result = await import_balances(
                owner, brand.book, openings, hashes=hashes, rows=len(openings), points=points, again=again
            )
            if result.posted:
                act = {"file": name, "sha256": hashes[0].hex(), "lots": result.lots, "points": result.points}
                await record_by_operator(owner, brand.brand_id, "balances.import", brand.code, after=act)
    except asyncpg.InvalidParameterValueError as error:
        raise BalanceFileInvalid(f"The book refuses the file: {error}.") from error
    finally:
        await owner.close()
    if result.already:
        raise refused_lines([brought[place - 1].line for place in result.already], _HAS_SUCH_A_LOT)
    return result


async def _resolve(settings: Settings, brand: Brand, brought: Sequence[BroughtBalance]) -> list[Customer]:
    """Who everybody is, before anything is posted; who is new to us gets a number."""
    secrets = load_secrets(settings.secrets_path)
    keys = secrets.identity_keys
    pool = await database.create_pool(settings.database_url, database.APPLICATION_ROLE, size=1)
    try:
        directory = CustomerDirectory(pool, keys, tombstone_keys=secrets.tombstone_keys)
        numbers = {balance.number for balance in brought} - {None}
        numbered = await directory.find_numbers(brand, [number for number in numbers if number is not None])
        unknown = [balance.line for balance in brought if balance.number is not None and balance.number not in numbered]
        if unknown:
            raise refused_lines(unknown, "is not the number of any customer of the brand")
        people: list[Customer] = []
        for start in range(0, len(brought), BATCH):
            part = brought[start : start + BATCH]
            own = [[own_identity(keys, brand.brand_id, balance.id)] for balance in part if balance.number is None]
            resolved = iter(await directory.resolve(brand, own, may_attach=True) if own else [])
            people += [next(resolved) if balance.number is None else numbered[balance.number] for balance in part]
    finally:
        await pool.close()
    erased = [balance.line for balance, known in zip(brought, people, strict=True) if known.erased]
    if erased:
        raise refused_lines(erased, "the customer was erased")
    _check_named_once(brought, people)
    return people


def _check_named_once(brought: Sequence[BroughtBalance], people: Sequence[Customer]) -> None:
    """Raise for lines that open one lot twice, one by the brand's id and one by our number."""
    lines: dict[tuple[int, date | None, AccountClass], int] = {}
    twice: list[int] = []
    for balance, known in zip(brought, people, strict=True):
        first = lines.setdefault((known.named, balance.expires_on, balance.account_class), balance.line)
        if first != balance.line:
            twice.append(balance.line)
    if twice:
        raise refused_lines(twice, "the same customer, last day and class as a line before, by another name")
