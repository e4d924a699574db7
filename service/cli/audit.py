"""`rewards audit`: every invariant of a book, recomputed from its tables."""

from __future__ import annotations

import asyncio

import click
import msgspec

from ledger import Finding
from ledger import audit as audit_book
from service.brands.brand import Brand
from service.brands.errors import BrandUnknown
from service.brands.queries import list_brands
from service.cli.database_settings import load_with_database
from service.finance.cap_audit import audit_caps
from service.finance.double_payment_audit import audit_double_payments
from service.finance.grant_audit import audit_grants
from service.storage import database

STATEMENT_TIMEOUT_MS = 30 * 60 * 1000
"""A check reads a whole book. The only statements of ours that may take long: run audits of large books on a replica."""


class BookFindings(msgspec.Struct, frozen=True):
    """What the audit of one brand's book found."""

    brand: str
    findings: list[Finding]


@click.command()
@click.option("--brand", "code", help="The brand's code.  [default: all brands]")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def audit(*, code: str | None, as_json: bool) -> None:
    """Recompute every invariant of the books from their tables. Exits with 1 if one does not hold."""
    books = asyncio.run(audit_brands(load_with_database().database_url, code))
    violated = any(finding.violations for book in books for finding in book.findings)
    if as_json:
        report = {"clean": not violated, "books": books}
        click.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        for book in books:
            print_findings(book)
    raise SystemExit(1 if violated else 0)


async def audit_brands(url: str, code: str | None) -> list[BookFindings]:
    """Audit the book of the brand ``code``, or of all."""
    brands = await _brands(url, code)
    connection = await database.connect(url, database.READER_ROLE, statement_timeout_ms=STATEMENT_TIMEOUT_MS)
    try:
        return [
            BookFindings(
                brand.code,
                [
                    *await audit_book(connection, brand.book),
                    await audit_caps(connection, brand),
                    *await audit_grants(connection, brand),
                    await audit_double_payments(connection, brand),
                ],
            )
            for brand in brands
        ]
    finally:
        await connection.close()


async def _brands(url: str, code: str | None) -> list[Brand]:
    engine = database.create_engine(url, database.READER_ROLE, size=1)
    try:
        brands = await list_brands(engine)
    finally:
        await engine.dispose()
    if code is None:
        return brands
    found = [brand for brand in brands if brand.code == code]
    if not found:
        raise BrandUnknown(f"There is no brand {code!r}.")
    return found


def print_findings(book: BookFindings) -> None:
    """Print a line for each invariant."""
    click.echo(f"{book.brand}")
    for finding in book.findings:
        verdict = f"{finding.violations:,} WRONG" if finding.violations else "ok"
        if finding.warnings:
            verdict += f", {finding.warnings:,} to look at"
        unprovable = f", {finding.unprovable:,} unprovable: erased" if finding.unprovable else ""
        click.echo(f"  {finding.invariant:<36} {finding.checked:>14,} checked   {verdict}{unprovable}")
        for example in finding.examples:
            click.echo(f"      {example}")
