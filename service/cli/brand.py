"""`rewards brand`: opening a tenant and its book, and saying how much it may issue."""

from __future__ import annotations

import asyncio

import click

from service import database
from service.auth.audit_trail import record_by_operator
from service.brands import actions
from service.cli.database_settings import load_with_database


@click.group()
def brand() -> None:
    """Create a brand, or set what it may issue."""


@brand.command()
@click.argument("code")
@click.option("--name", required=True, help="As customers know it.")
@click.option("--mode", type=click.Choice(["live", "test"]), required=True, help="For ever.")
@click.option("--points-code", default="PTS", show_default=True, help="The unit in the books.")
@click.option("--points-name", default="Points", show_default=True, help="The unit as customers know it.")
@click.option("--currency", required=True, help="ISO 4217, as in EUR.")
@click.option("--time-zone", required=True, help="IANA, as in Europe/Berlin. For ever: days and months are counted in it.")
@click.option("--issue-limit", type=click.IntRange(0), default=actions.ISSUE_LIMIT_DEFAULT, show_default=True)
@click.option("--accent-color", default=actions.ACCENT_COLOR_DEFAULT, show_default=True, help="Of the pages customers see.")
@click.option("--destination-host", "hosts", multiple=True, help="Where reward links may lead; may be given several times.")
def create(
    code: str,
    name: str,
    mode: str,
    points_code: str,
    points_name: str,
    currency: str,
    time_zone: str,
    issue_limit: int,
    accent_color: str,
    hosts: tuple[str, ...],
) -> None:
    """Create the brand CODE and open its book."""

    async def run() -> None:
        owner = await database.connect(load_with_database().owner_url)
        try:
            async with owner.transaction():
                made = await actions.create_brand(
                    owner,
                    code=code,
                    name=name,
                    mode="live" if mode == "live" else "test",
                    points_code=points_code,
                    points_name=points_name,
                    currency=currency,
                    time_zone=time_zone,
                    issue_limit=issue_limit,
                    accent_color=accent_color,
                    destination_hosts=hosts,
                )
                await record_by_operator(owner, made.brand_id, "brand.create", made.code, after=made)
        finally:
            await owner.close()
        click.echo(f"Created the {made.mode} brand {made.code} with book {made.book.book_id}.")

    asyncio.run(run())


@brand.command("set-issue-limit")
@click.argument("code")
@click.argument("points", type=click.IntRange(0, actions.ISSUE_LIMIT_MAX))
def set_issue_limit(code: str, points: int) -> None:
    """Let the brand CODE issue POINTS in all, what it has issued by now included."""

    async def run() -> None:
        owner = await database.connect(load_with_database().owner_url)
        try:
            async with owner.transaction():
                brand_id, result = await actions.change_issue_limit(owner, code, points)
                await record_by_operator(
                    owner, brand_id, "brand.set_issue_limit", code, {"points": result.before}, {"points": points}
                )
        finally:
            await owner.close()
        click.echo(f"{code} may issue {points:,} points, {result.before:,} before; it has issued {result.issued:,}.")

    asyncio.run(run())
