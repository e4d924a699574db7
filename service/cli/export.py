"""`rewards export`: a brand's books at a cut, as CSV and as journals that other programs check."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click
import uvloop

from ledger import Ledger
from service.brands.errors import BrandUnknown
from service.brands.queries import find_brand
from service.cli.database_settings import load_with_database
from service.export_jobs.making import book_at_cut
from service.exports import bundle
from service.exports.account_codes import NO_CODES, AccountCodes, AccountCodesInvalid, read_account_codes
from service.exports.book_at_cut import READERS
from service.exports.bundle import ExportFormat, Manifest
from service.finance.queries import find_cut
from service.http.problems import Problem
from service.storage import database

NOW = "now"
_NICENESS = 10
"""An export takes what others leave: where it shares the machine with the database, that then waits for it to take rows."""


@click.command()
@click.option("--brand", "code", required=True, help="The brand's code.")
@click.option(
    "--format",
    "formats",
    type=click.Choice([str(each) for each in ExportFormat]),
    multiple=True,
    help="Repeatable.  [default: all]",
)
@click.option("--cut", default=NOW, show_default=True, help="A cut's name or a seq.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="The directory to write to. Existing files are replaced.",
)
@click.option("--sub-accounts", is_flag=True, help="Give each customer and redemption an account of its own in the journals.")
@click.option(
    "--account-codes",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A CSV file with the general ledger's code of each account, for the summarised journal.",
)
def export(*, code: str, formats: tuple[str, ...], cut: str, out: Path, sub_accounts: bool, account_codes: Path | None) -> None:
    """Write a brand's books as CSV and journals, with a manifest. Exits with 1 if they do not balance.

    The same cut always gives the same bytes.
    """
    os.nice(_NICENESS)
    codes = NO_CODES if account_codes is None else _codes(account_codes)
    chosen = [ExportFormat(name) for name in formats] or list(ExportFormat)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            manifest = runner.run(_export(code, chosen, None if cut == NOW else cut, out, sub_accounts, codes))
    except Problem as problem:
        raise click.ClickException(f"--cut {cut}: {problem.detail}") from None
    for file in manifest.files:
        click.echo(f"{out / file.name}  {file.rows:,} rows")
        if file.unmapped:
            click.echo(f"  without a code: {', '.join(file.unmapped)}")
    click.echo(f"{out / bundle.MANIFEST}  {code} up to seq {manifest.cut['seq']:,}, {manifest.cut['posted_at']}")
    if not manifest.balanced:
        raise click.ClickException("debits and credits differ: run `rewards audit`")


def _codes(file: Path) -> AccountCodes:
    try:
        return read_account_codes(file.read_bytes())
    except AccountCodesInvalid as error:
        raise click.ClickException(f"{file}: {error}") from None


async def _export(
    code: str, formats: list[ExportFormat], cut: str | None, out: Path, sub_accounts: bool, codes: AccountCodes
) -> Manifest:
    url = load_with_database().database_url
    engine = database.create_engine(url, database.READER_ROLE, size=1)
    pool = await database.create_pool(url, database.READER_ROLE, size=READERS)
    try:
        brand = await find_brand(engine, code)
        if brand is None:
            raise BrandUnknown(f"There is no brand {code!r}.")
        at = await find_cut(Ledger(pool), brand.book, cut)
        book = await book_at_cut(pool, engine, brand, at, sub_accounts=sub_accounts, codes=codes)
        return await bundle.write(book, bundle.writers_of(formats), out)
    finally:
        pool.terminate()
        await engine.dispose()
