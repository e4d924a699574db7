"""`rewards person`: who works for a brand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg
import click

from service.auth.roles import Role
from service.cli.database_settings import load_with_database
from service.persons import actions
from service.storage import database

Result = TypeVar("Result")


@click.group()
def person() -> None:
    """Invite, list, enrol or disable persons."""


@person.command()
@click.argument("brand")
@click.option("--name", required=True, help="Who it is.")
@click.option("--role", "roles", multiple=True, required=True, type=click.Choice([str(role) for role in Role]))
def invite(brand: str, name: str, roles: tuple[str, ...]) -> None:
    """Invite a person to work for BRAND and show the invitation, once."""
    _show(brand, _as_owner(lambda owner: actions.invite(owner, brand, name, roles)))


@person.command()
@click.argument("brand")
@click.argument("number", type=int)
def reinvite(brand: str, number: int) -> None:
    """Invite the person with this NUMBER again, who has lost the invitation or the key. It shows the new invitation, once."""
    _show(brand, _as_owner(lambda owner: actions.invite_again(owner, brand, number)))


@person.command("list")
@click.argument("brand")
def list_(brand: str) -> None:
    """List the persons of BRAND."""
    for each in _as_owner(lambda owner: actions.list_for_operator(owner, brand)):
        state = "invited" if each.enrolled_at is None else f"enrolled {each.enrolled_at:%Y-%m-%d}"
        if each.disabled_at is not None:
            state = f"disabled {each.disabled_at:%Y-%m-%d}"
        click.echo(f"{each.person_id:>5}  {state:19}  {each.name}: {' '.join(each.roles)}")


@person.command()
@click.argument("invitation")
def enrol(invitation: str) -> None:
    """Turn an INVITATION into a key of that person, on the server itself, and show the key, once. Give `-` to type it in.

    From anywhere else, send it to `POST /v1/persons/enrol`.
    """
    text = click.prompt("Invitation", hide_input=True, err=True) if invitation == "-" else invitation
    enrolled = asyncio.run(_enrol(text))
    # The key alone on standard output, so that it can be piped to where it is kept.
    click.echo(f"Key {enrolled.api_key_id} of {enrolled.person.name}. This is the only time it is shown:", err=True)
    click.echo(enrolled.key)


@person.command()
@click.argument("brand")
@click.argument("number", type=int)
def disable(brand: str, number: int) -> None:
    """Disable the person of BRAND with this NUMBER, and revoke their keys. Every process refuses those within one second."""
    disabled = _as_owner(lambda owner: actions.disable(owner, brand, number))
    click.echo(f"Disabled {disabled.name}, and revoked their keys.")


def _show(brand: str, invitation: actions.Invitation) -> None:
    invited = invitation.person
    until = f"{invited.invitation_expires_at:%Y-%m-%d %H:%M} UTC"
    click.echo(f"Invitation of {invited.name} (person {invited.person_id} of {brand}), good once, until {until}.", err=True)
    click.echo("This is the only time it is shown:", err=True)
    click.echo(invitation.text)


async def _enrol(invitation: str) -> actions.Enrolled:
    engine = database.create_engine(load_with_database().database_url, database.APPLICATION_ROLE, size=1)
    try:
        return await actions.enrol(engine, invitation)
    finally:
        await engine.dispose()


def _as_owner(act: Callable[[asyncpg.Connection[Any]], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        owner = await database.connect(load_with_database().owner_url)
        try:
            return await act(owner)
        finally:
            await owner.close()

    return asyncio.run(run())
