"""`rewards approval`: the limits above which a brand's requests wait for another person."""

from __future__ import annotations

import asyncio

import click

from service.approvals import changing_limits
from service.approvals.errors import LimitsInvalid
from service.approvals.limits import DAYS_DEFAULT, Limit, Policy
from service.approvals.schemas import AMOUNT_MAX
from service.cli.database_settings import load_with_database
from service.services import APPROVAL_KINDS
from service.storage import database

_NAMES = ("per_request", "per_maker_day", "per_customer_day")


@click.group()
def approval() -> None:
    """Set the limits above which requests wait for another person."""


@approval.command("set-limits")
@click.argument("brand")
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="KIND:NAME=AMOUNT[:NAME=AMOUNT...]",
    help="Such as campaign.fund:per_request=100000:per_maker_day=250000. Names: per_request, per_maker_day, per_customer_day.",
)
@click.option(
    "--expires-after-days",
    type=click.IntRange(1, 90),
    default=DAYS_DEFAULT,
    show_default=True,
    help="How long a request waits.",
)
def set_limits(brand: str, limits: tuple[str, ...], expires_after_days: int) -> None:
    """Replace all limits of BRAND. A kind without limits passes; over HTTP, changing limits waits for another person."""
    wanted = [_limit(text) for text in limits]

    async def run() -> Policy:
        owner = await database.connect(load_with_database().owner_url)
        try:
            kinds = changing_limits.limited_kinds(APPROVAL_KINDS.values())
            return await changing_limits.set_by_operator(owner, brand, wanted, expires_after_days, kinds)
        finally:
            await owner.close()

    policy = asyncio.run(run())
    click.echo(f"{brand} has version {policy.version} of its limits, for {len(policy.limits)} kinds.")


def _limit(text: str) -> Limit:
    kind, *parts = text.split(":")
    given = {name: amount for name, _, amount in (part.partition("=") for part in parts)}
    if not given or len(given) < len(parts) or not given.keys() <= set(_NAMES):
        raise LimitsInvalid(f"{text!r} must be KIND:NAME=AMOUNT, with each of {', '.join(_NAMES)} at most once")
    for name, amount in given.items():
        if not (amount.isascii() and amount.isdigit()) or int(amount) > AMOUNT_MAX:
            raise LimitsInvalid(f"{name} of {kind} must be a number between 0 and {AMOUNT_MAX}, not {amount!r}")
    return Limit(kind, *(int(given[name]) if name in given else None for name in _NAMES))
