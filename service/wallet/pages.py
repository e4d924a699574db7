"""The wallet as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from service.brands.brand import Brand
from service.campaigns.queries import campaign_of_link
from service.customers.schemas import StatementEntry
from service.http.identifiers import parse_grant_id
from service.pages.rendering import Answer, environment, render, words_for
from service.pages.words import Words
from service.wallet.schemas import WalletResponse

if TYPE_CHECKING:
    from service.services import Services

_templates = environment(Path(__file__).parent / "templates")


class _Line(msgspec.Struct):
    """One line of the history: what one act changed, however many lots it took that."""

    what: str
    campaign: str | None
    points: int
    on: date


async def wallet_page(
    services: Services, brand: Brand, wallet: WalletResponse, *, is_newest: bool, preferences_url: str | None
) -> Answer:
    """Show a wallet."""
    words = words_for(brand)
    unit = brand.points_name
    value = brand.point_value
    return render(
        _templates,
        "wallet.html",
        brand=brand,
        words=words,
        title=words.say("wallet.title", unit=unit),
        wallet=wallet,
        worth=None if wallet.worth is None or not wallet.balance else words.money(wallet.worth.minor_units, brand.currency),
        value=None if value is None else (words.number(value.points), words.money(value.minor_units, brand.currency)),
        lots=_by_last_day(wallet),
        lines=_lines(wallet.history.items, brand, words, await _names(services, wallet.history.items)),
        older=wallet.history.next,
        is_newest=is_newest,
        preferences_url=preferences_url,
    )


def _by_last_day(wallet: WalletResponse) -> list[tuple[date | None, int]]:
    points: dict[date | None, int] = {}
    for lot in wallet.lots:
        points[lot.expires_on] = points.get(lot.expires_on, 0) + lot.points
    return sorted(points.items(), key=lambda each: each[0] or date.max)


async def _names(services: Services, entries: Sequence[StatementEntry]) -> Mapping[int, str]:
    """The names of the campaigns that granted something, by their numbers."""
    grants = {parse_grant_id(entry.grant_id) for entry in entries if entry.grant_id is not None}
    numbers = {grant[0] for grant in grants if grant is not None}
    found = {number: await campaign_of_link(services, number) for number in numbers}
    return {number: standing.current.name for number, standing in found.items() if standing is not None}


def _lines(entries: Sequence[StatementEntry], brand: Brand, words: Words, names: Mapping[int, str]) -> list[_Line]:
    lines: list[_Line] = []
    last: StatementEntry | None = None
    for entry in entries:
        # One act that takes from several lots is one line.
        if last is not None and _is_one_act(last, entry):
            lines[-1].points += entry.points
        else:
            grant = None if entry.grant_id is None else parse_grant_id(entry.grant_id)
            key = f"entry.{entry.type}"
            lines.append(
                _Line(
                    what=words.say(key if words.has(key) else "entry.adjust"),
                    campaign=None if grant is None else names.get(grant[0]),
                    points=entry.points,
                    on=brand.calendar.day(entry.posted_at),
                )
            )
        last = entry
    return lines


def _is_one_act(one: StatementEntry, other: StatementEntry) -> bool:
    same = ("type", "posted_at", "grant_id", "redemption_id")
    return one.grant_id is None and all(getattr(one, name) == getattr(other, name) for name in same)
