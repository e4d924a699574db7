"""`rewards brand`: create a brand and its book, set its issue limit, show its link host."""

from __future__ import annotations

import asyncio

import click

from service.auth.audit_trail import record_by_operator
from service.brand_settings import link_hosts
from service.brand_settings.link_hosts import HostClaim
from service.brands import actions
from service.brands.errors import BrandUnknown
from service.brands.queries import find_brand
from service.cli.database_settings import load_with_database
from service.console.sign_in import provider
from service.settings import load_secrets
from service.storage import database


@click.group()
def brand() -> None:
    """Create a brand, set its issue limit, or show its link host."""


@brand.command()
@click.argument("code")
@click.option("--name", required=True, help="The name as customers see it.")
@click.option("--mode", type=click.Choice(["live", "test"]), required=True, help="Cannot change.")
@click.option("--points-code", default="PTS", show_default=True, help="The unit in the books and exports.")
@click.option("--points-name", default="Points", show_default=True, help="The unit as customers see it.")
@click.option("--currency", required=True, help="ISO 4217, such as EUR. Cannot change.")
@click.option(
    "--time-zone", required=True, help="IANA, such as Europe/Berlin. Days and months are counted in it. Cannot change."
)
@click.option("--issue-limit", type=click.IntRange(0), default=actions.ISSUE_LIMIT_DEFAULT, show_default=True)
@click.option(
    "--accent-color", default=actions.ACCENT_COLOR_DEFAULT, show_default=True, help="Accent colour of customer pages."
)
@click.option("--destination-host", "hosts", multiple=True, help="A host reward links may lead to; repeatable.")
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
    """Set how many points the brand CODE may issue in total, including those it has issued already."""

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


@brand.command("set-identity-provider")
@click.argument("code")
@click.option("--issuer", required=True, help="The provider's issuer, an https URL (OpenID Connect Discovery).")
@click.option("--client-id", required=True, help="What the provider calls this service.")
@click.option("--client-secret", prompt=True, hide_input=True, help="Asked for unless given.")
def set_identity_provider(code: str, issuer: str, client_id: str, client_secret: str) -> None:
    """Let the people of the brand CODE sign in to the console with its own identity provider."""

    async def run() -> None:
        settings = load_with_database()
        keys = load_secrets(settings.secrets_path).link_keys
        owner = await database.connect(settings.owner_url)
        try:
            await provider.set_provider(owner, keys, code, issuer, client_id, client_secret)
        finally:
            await owner.close()
        click.echo(
            f"The people of {code} sign in with {issuer}; its client redirects to {settings.base_url}{provider.CALLBACK}"
        )

    asyncio.run(run())


@brand.command("remove-identity-provider")
@click.argument("code")
def remove_identity_provider(code: str) -> None:
    """Let nobody of the brand CODE sign in with its identity provider any more; sessions go on until they end."""

    async def run() -> None:
        owner = await database.connect(load_with_database().owner_url)
        try:
            await provider.remove_provider(owner, code)
        finally:
            await owner.close()
        click.echo(f"{code} has no identity provider any more.")

    asyncio.run(run())


@brand.command("link-host")
@click.argument("code")
def link_host(code: str) -> None:
    """Show the link host that the brand CODE claims, and the DNS record that proves it."""

    async def run() -> None:
        engine = database.create_engine(load_with_database().database_url, database.READER_ROLE, size=1)
        try:
            found = await find_brand(engine, code)
            if found is None:
                raise BrandUnknown(f"There is no brand {code!r}.")
            held = await link_hosts.find_wanted(engine, found.brand_id)
        finally:
            await engine.dispose()
        click.echo(f"{code} claims no host; its links begin with the service's address." if held is None else shown(held))

    asyncio.run(run())


def shown(held: HostClaim) -> str:
    """A claim in words, a line for each thing there is to know."""
    lines = [f"{held.host} is {held.state}" + (f" by {held.proven_by}" if held.state == "verified" else "")]
    if not held.needs_no_proof:
        lines.append(f'record      {held.record_name} TXT "{held.record_value}"')
    for name, at in (("verified", held.verified_at), ("checked", held.checked_at), ("lapses", held.lapses_at)):
        if at is not None:
            lines.append(f"{name:<11} {at:%Y-%m-%d %H:%M} UTC")
    if held.last_error is not None:
        lines.append(f"last error  {held.last_error}")
    return "\n".join(lines)
