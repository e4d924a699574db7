"""`rewards export`: a brand's books at a cut, as CSV and as journals that other programs check."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import click
import uvloop

from ledger import Ledger
from service.brands.errors import BrandUnknown
from service.brands.queries import find_brand
from service.cli.database_settings import load_with_database
from service.export_jobs.making import book_at_cut
from service.export_jobs.spans import find_span
from service.exports import bundle
from service.exports.account_codes import NO_CODES, AccountCodes, AccountCodesInvalid, read_account_codes
from service.exports.book_at_cut import READERS
from service.exports.bundle import JOURNALS, ExportFormat, Manifest, Writer
from service.http.problems import Problem
from service.restatements.queries import count_restatements
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
@click.option(
    "--from",
    "since",
    help="A cut's name, a seq, a month or a day to begin with.  [default: the book's beginning]",
)
@click.option("--cut", default=NOW, show_default=True, help="A cut's name, a seq, a month or a day.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="The directory to write to. Existing files are replaced.",
)
@click.option("--details", is_flag=True, help="Add transfers with channel, message, order, money and the rest.")
@click.option("--customers", is_flag=True, help="Add what each customer has.")
@click.option("--sub-accounts", is_flag=True, help="Give each customer and redemption an account of its own in the journals.")
@click.option(
    "--account-codes",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A CSV file with the general ledger's code of each account, for the summarised journal.",
)
@click.option("--restatements", type=click.IntRange(0), help="How many of the brand's restatements to apply.  [default: all]")
def export(
    *,
    code: str,
    formats: tuple[str, ...],
    since: str | None,
    cut: str,
    out: Path,
    details: bool,
    customers: bool,
    sub_accounts: bool,
    account_codes: Path | None,
    restatements: int | None,
) -> None:
    """Write a brand's books as files and journals, with a manifest. Exits with 1 if they do not balance.

    The same cut always gives the same bytes.
    """
    os.nice(_NICENESS)
    codes = NO_CODES if account_codes is None else _codes(account_codes)
    chosen = [ExportFormat(name) for name in formats] or [each for each in ExportFormat if not since or each not in JOURNALS]
    if since is not None and not JOURNALS.isdisjoint(chosen):
        raise click.UsageError("a journal has all of the book: leave out --from, or the journals")
    writers = bundle.writers_of(chosen, details=details, customers=customers)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            manifest = runner.run(
                _export(code, writers, (since, None if cut == NOW else cut), out, sub_accounts, codes, restatements)
            )
    except Problem as problem:
        raise click.ClickException(_in_words(problem, cut)) from None
    for file in manifest.files:
        click.echo(f"{out / file.name}  {file.rows:,} rows")
        if file.unmapped:
            click.echo(f"  without a code: {', '.join(file.unmapped)}")
    click.echo(f"{out / bundle.MANIFEST}  {code} up to seq {manifest.cut['seq']:,}, {manifest.cut['posted_at']}")
    if not manifest.balanced:
        raise click.ClickException("debits and credits differ: run `rewards audit`")


def _in_words(problem: Problem, cut: str) -> str:
    pointer = problem.errors[0].pointer if problem.errors else "/to"
    option = "--from" if pointer == "/from" else f"--cut {cut}"
    return f"{option}: {problem.errors[0].detail if problem.errors else problem.detail}"


def _codes(file: Path) -> AccountCodes:
    try:
        return read_account_codes(file.read_bytes())
    except AccountCodesInvalid as error:
        raise click.ClickException(f"{file}: {error}") from None


async def _export(
    code: str,
    writers: Mapping[str, Writer],
    span: tuple[str | None, str | None],
    out: Path,
    sub_accounts: bool,
    codes: AccountCodes,
    restatements: int | None,
) -> Manifest:
    url = load_with_database().database_url
    engine = database.create_engine(url, database.READER_ROLE, size=1)
    pool = await database.create_pool(url, database.READER_ROLE, size=READERS)
    try:
        brand = await find_brand(engine, code)
        if brand is None:
            raise BrandUnknown(f"There is no brand {code!r}.")
        ledger = Ledger(pool)
        now = (await ledger.clock(brand.book)).at(datetime.now(UTC))
        since, at = await find_span(ledger, brand, *span, now=now)
        there = await count_restatements(engine, brand.brand_id)
        if restatements is not None and restatements > there:
            raise click.ClickException(f"--restatements: the brand has made {there}")
        restated = there if restatements is None else restatements
        book = await book_at_cut(
            pool, engine, brand, at, since=since, sub_accounts=sub_accounts, codes=codes, restated=restated
        )
        return await bundle.write(book, writers, out)
    finally:
        pool.terminate()
        await engine.dispose()
