"""`rewards key`: API keys of a brand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import asyncpg
import click

from service.auth import actions
from service.auth.roles import Role, scopes_of
from service.auth.scopes import Scope
from service.cli.database_settings import load_with_database
from service.revocations.made_by_keys import MadeResponse, made_by
from service.storage import database

Result = TypeVar("Result")

LISTED_MAX = 100_000


@click.group()
def key() -> None:
    """Create, list or revoke API keys."""


@key.command()
@click.argument("brand")
@click.option("--name", required=True, help="What the key is for.")
@click.option("--scope", "scopes", multiple=True, type=click.Choice([str(scope) for scope in Scope]))
@click.option("--role", "roles", multiple=True, type=click.Choice([str(role) for role in Role]), help="All scopes of a role.")
@click.option(
    "--max-evidence",
    type=click.Choice(["A", "B", "C", "D"]),
    default="C",
    show_default=True,
    help="The strongest evidence grade its reports may claim.",
)
@click.option("--expires-at", type=click.DateTime(["%Y-%m-%d"]), help="The day (UTC) on which it expires.  [default: never]")
@click.option(
    "--quota-per-minute", type=click.IntRange(1, actions.QUOTA_MAX), help="Items it may send per minute.  [default: no quota]"
)
@click.option(
    "--lateness-hours",
    type=click.IntRange(0, actions.LATENESS_HOURS_MAX),
    default=actions.LATENESS_HOURS_MAX,
    show_default=True,
    help="How late a report may arrive and still count when the event happened.",
)
def create(
    brand: str,
    name: str,
    scopes: tuple[str, ...],
    roles: tuple[str, ...],
    max_evidence: str,
    expires_at: datetime | None,
    quota_per_minute: int | None,
    lateness_hours: int,
) -> None:
    """Create a key for BRAND and show it, once."""
    ends = expires_at and expires_at.replace(tzinfo=UTC)
    text, record = _as_owner(
        lambda owner: actions.create_key(
            owner, brand, name, {*scopes, *scopes_of(roles)}, max_evidence, ends, quota_per_minute, lateness_hours
        )
    )
    # The key alone on standard output, so that it can be piped to where it is kept.
    click.echo(f"Key {record.api_key_id} for {brand}. This is the only time it is shown:", err=True)
    click.echo(text)


@key.command("list")
@click.argument("brand")
def list_(brand: str) -> None:
    """List the keys of BRAND."""
    for record in _as_owner(lambda owner: actions.list_keys(owner, brand)):
        state = f"revoked {record.revoked_at:%Y-%m-%d}" if record.revoked_at else "valid"
        if record.expires_at and not record.revoked_at:
            state = f"until {record.expires_at:%Y-%m-%d}"
        scopes = " ".join(record.scopes)
        click.echo(f"{record.api_key_id:>5}  {record.prefix}...  {state:18}  {record.max_evidence}  {record.name}: {scopes}")


@key.command()
@click.argument("brand")
@click.argument("number_or_prefix")
def made(brand: str, number_or_prefix: str) -> None:
    """List what a key of BRAND, given by number or prefix, has made: what is revoked with it."""

    async def find(owner: asyncpg.Connection[Any]) -> Sequence[MadeResponse]:
        meant = await actions.find_key(owner, brand, number_or_prefix)
        return (await made_by(owner, meant.brand_id, meant.record.api_key_id, after=None, limit=LISTED_MAX)).items

    for each in _as_owner(find):
        state = f"revoked {each.revoked_at:%Y-%m-%d}" if each.revoked_at else "valid"
        click.echo(f"{each.kind:11}  {each.id:16}  {state:18}  {each.name} (made by {each.made_by})")


@key.command()
@click.argument("brand")
@click.argument("number_or_prefix")
@click.option(
    "--also",
    multiple=True,
    type=click.Choice(["all", "nothing", *actions.Made]),
    default=["all"],
    show_default="all",
    help="What else to revoke of what the key made. Use `nothing` to rotate a key.",
)
def revoke(brand: str, number_or_prefix: str, also: tuple[str, ...]) -> None:
    """Revoke a key of BRAND, given by number or prefix, and what it made. Every process refuses it within one second."""
    taken = actions.made_of(also)
    record = _as_owner(lambda owner: actions.revoke_key(owner, brand, number_or_prefix, taken))
    with_it = f", and its {', '.join(sorted(taken)).replace('_', ' ')}" if taken else ""
    click.echo(f"Revoked key {record.api_key_id} ({record.name}){with_it}.")


def _as_owner(act: Callable[[asyncpg.Connection[Any]], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        owner = await database.connect(load_with_database().owner_url)
        try:
            return await act(owner)
        finally:
            await owner.close()

    return asyncio.run(run())
