"""`rewards sources connect`: what is asked of whoever runs it, and what is said in the end."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence

import click

from service import settings
from service.cli.clients.installation import missing
from service.cli.clients.sources import connecting
from service.cli.clients.sources.connecting import Connected, Wanted
from service.cli.clients.sources.provider_api import ProviderApi, checked_address
from service.demo_shop import demo_file
from service.egress.resolving import Resolver
from service.providers.connecting.registry import BY_HAND, SETUPS
from service.providers.connecting.setup import PASSWORD, TITLE, URL, Ask, Setup
from service.providers.registry import ADAPTERS

CREDENTIAL_CHARACTERS_MAX = 512


@click.group()
def sources() -> None:
    """Connect messaging providers."""


@sources.command(epilog=f"PROVIDER is one of: {', '.join(SETUPS)}. For others, their console is named.")
@click.argument("provider", metavar="PROVIDER")
@click.option("--source", help="A source that there is, by id or address.  [default: the one of --name, made if there is none]")
@click.option("--name", help="What you call the source.  [default: the provider's name]")
@click.option("--campaign", help="What events count for which name no campaign, if the source is made.")
@click.option("--with", "named", multiple=True, metavar="NAME=VALUE", help="What the provider needs and is no secret.")
@click.option("--replace", is_flag=True, help="Overwrite another address, where the provider has one place for one.")
@click.option("--dry-run", is_flag=True, help="Show the calls, and make none.")
@click.option("--api-url", help="Another address of the provider's API, as of its European region.")
@click.option("--base-url", help="Where our API is.  [default: as in demo.json]")
@click.option("--key", envvar="REWARDS_API_KEY", help="An API key with sources:write.  [default: the demo's]")
def connect(
    *,
    provider: str,
    source: str | None,
    name: str | None,
    campaign: str | None,
    named: tuple[str, ...],
    replace: bool,
    dry_run: bool,
    api_url: str | None,
    base_url: str | None,
    key: str | None,
) -> None:
    """Make a source for PROVIDER and set the webhook up through the provider's own API. Again is harmless.

    Credentials of the provider are read from the environment (SENDGRID_API_KEY, ...) or asked for, and go to it alone.
    """
    setup = _setup(provider)
    elsewhere = None if api_url is None else checked_address(api_url)
    configured = settings.load()
    api = ProviderApi(ADAPTERS[provider].title, setup, Resolver(configured.dns_resolver), elsewhere)
    if dry_run:
        _show(api, setup, _given(setup, named, may_lack=True))
        return
    known = demo_file.read(demo_file.path_of(configured))
    base_url = base_url or (known.base_url if known else None) or missing("--base-url")
    key = key or (known.keys.get("messaging") if known else None) or missing("--key")
    given = _given(setup, named)
    wanted = Wanted(provider=provider, name=name or provider, source=source, campaign=campaign, given=given, replaces=replace)
    _tell(asyncio.run(connecting.connect(base_url, key, setup, api, wanted)), setup)


def _setup(provider: str) -> Setup:
    if provider not in ADAPTERS:
        raise click.UsageError(f"There is no provider {provider!r}. There are {', '.join(ADAPTERS)}.")
    if provider in BY_HAND:
        raise click.ClickException(
            f"{ADAPTERS[provider].title}: in their console: {BY_HAND[provider]}. The address is in the answer of "
            "POST /v1/sources. docs/providers.md says more."
        )
    return SETUPS[provider]


def _given(setup: Setup, named: Sequence[str], *, may_lack: bool = False) -> dict[str, str]:
    """What the set-up asks for: named, in the environment, or typed in."""
    by_name = dict(_pair(setup, each) for each in named)
    given: dict[str, str] = {}
    for ask in setup.asks:
        value = by_name.get(ask.name) or os.environ.get(ask.variable) or ask.default
        if value is None and ask.is_required:
            value = ask.variable if may_lack else _typed(ask)
        if value is not None:
            given[ask.name] = f"${ask.variable}" if may_lack and ask.is_secret else _checked(ask, value)
    return given


def _pair(setup: Setup, written: str) -> tuple[str, str]:
    name, _, value = written.partition("=")
    ask = next((each for each in setup.asks if each.name == name), None)
    if ask is None or not value:
        plain = ", ".join(f"{each.name}=..." for each in setup.asks if not each.is_secret) or "none for this provider"
        raise click.UsageError(f"--with takes {plain}")
    if ask.is_secret:
        raise click.UsageError(f"{name} is a secret, and what is on a command line can be read by others: set {ask.variable}")
    return name, value


def _typed(ask: Ask) -> str:
    if not sys.stdin.isatty():
        how = f"set {ask.variable}" + ("" if ask.is_secret else f", or give --with {ask.name}=...")
        raise click.UsageError(f"The {ask.title} is missing: {how}.")
    return click.prompt(ask.title, hide_input=ask.is_secret, err=True)


def _checked(ask: Ask, value: str) -> str:
    value = value.strip()
    if not value or len(value) > CREDENTIAL_CHARACTERS_MAX or not value.isascii() or not value.isprintable():
        raise click.UsageError(
            f"{ask.variable} is no {ask.title}: it must be 1 to {CREDENTIAL_CHARACTERS_MAX} ASCII characters."
        )
    return value


def _show(api: ProviderApi, setup: Setup, given: dict[str, str]) -> None:
    values = {**given, URL: "<address of the source>", PASSWORD: "<password>", TITLE: "Atomic Rewards ..."}
    click.echo("Nothing is called. These calls would be made:")
    for line in connecting.shown_calls(api, setup, values, given):
        click.echo(f"  {line}")


def _tell(connected: Connected, setup: Setup) -> None:
    for line in connected.done:
        click.echo(line)
    click.echo(f"Events come to {connected.url}")
    if setup.afterwards:
        click.echo(setup.afterwards)
    click.echo(f"Look at /v1/sources/{connected.source}/deliveries once something was sent.")
