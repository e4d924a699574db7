"""The wallet as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ledger import Redemption
from service.brands.brand import Brand
from service.campaigns.queries import campaign_of_link
from service.customers.schemas import StatementEntry
from service.http.identifiers import parse_grant_id, parse_redemption_id, redemption_id
from service.pages.rendering import Answer, environment, render, words_for
from service.pages.words import Words
from service.wallet.schemas import WalletResponse

if TYPE_CHECKING:
    from service.services import Services

_templates = environment(Path(__file__).parent / "templates")


_ONLY_IN_THE_BOOKS = frozenset({"capture"})
"""Steps of a redemption that change nothing in the wallet, from which the points were gone before."""


class Line(msgspec.Struct):
    """One line of the history: ``name`` is the campaign that granted, or the order that took and gave back."""

    name: str | None
    what: str
    points: int
    on: date


async def wallet_page(
    services: Services, brand: Brand, wallet: WalletResponse, *, after: int | None, preferences_url: str | None
) -> Answer:
    """Show a wallet."""
    entries = wallet.history.items
    campaigns, orders = await _names(services, entries), await _orders(services, brand, entries)
    lines = _History(brand, words_for(brand), campaigns, orders, after).lines(entries)
    return drawn_wallet(brand, wallet, lines, is_newest=after is None, preferences_url=preferences_url)


def drawn_wallet(
    brand: Brand, wallet: WalletResponse, lines: Sequence[Line], *, is_newest: bool, preferences_url: str | None
) -> Answer:
    """The page of a wallet and the ``lines`` of its history."""
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
        lines=lines,
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


async def _orders(services: Services, brand: Brand, entries: Sequence[StatementEntry]) -> Mapping[str, Redemption]:
    """The redemptions of a page of the history as they are now, by their ids."""
    ids = {entry.redemption_id: None for entry in entries if entry.redemption_id is not None}
    numbers = [parsed[1] for parsed in map(parse_redemption_id, ids) if parsed is not None]
    found = await services.ledger.redemptions(brand.book, numbers) if numbers else []
    return {redemption_id(brand.book.book_id, order.redemption): order for order in found}


class _History(msgspec.Struct, frozen=True):
    """What the lines of a history are made of. ``after`` is the transfer before which this page begins."""

    brand: Brand
    words: Words
    campaigns: Mapping[int, str]
    orders: Mapping[str, Redemption]
    after: int | None

    def lines(self, entries: Sequence[StatementEntry]) -> list[Line]:
        """A line for each act, however many lots it took; and for each order one, where its newest entry is."""
        lines: list[Line] = []
        told: set[str] = set()
        last: StatementEntry | None = None
        for entry in entries:
            order = self.orders.get(entry.redemption_id or "")
            if order is None and last is not None and _is_one_act(last, entry):
                lines[-1].points += entry.points
            elif order is None:
                lines.append(self._act(entry))
            elif entry.redemption_id not in told and not self._was_told(order):
                lines.append(self._order(order, entry))
            told.add(entry.redemption_id or "")
            last = entry
        return lines

    def _was_told(self, order: Redemption) -> bool:
        """Whether a newer page has the order's line."""
        newest = max(operation.seq for operation in order.operations if operation.verb not in _ONLY_IN_THE_BOOKS)
        return self.after is not None and newest >= self.after

    def _act(self, entry: StatementEntry) -> Line:
        grant = None if entry.grant_id is None else parse_grant_id(entry.grant_id)
        key = f"entry.{entry.type}"
        what = self.words.say(key if self.words.has(key) else "entry.adjust")
        name = None if grant is None else self.campaigns.get(grant[0])
        return Line(name, what, entry.points, self.brand.calendar.day(entry.posted_at))

    def _order(self, order: Redemption, newest: StatementEntry) -> Line:
        held = order.authorized - order.captured - order.released
        parts = {"held": held, "used": order.captured, "returned": order.refunded}
        told = [self.words.say(f"wallet.order_{name}", points=self.words.number(n)) for name, n in parts.items() if n]
        return Line(
            name=None if order.order_ref is None else self.words.say("wallet.order", ref=order.order_ref),
            what=" · ".join(told) or self.words.say("wallet.order_cancelled"),
            points=order.released + order.refunded - order.authorized,
            on=self.brand.calendar.day(newest.posted_at),
        )


def _is_one_act(one: StatementEntry, other: StatementEntry) -> bool:
    same = ("type", "posted_at", "grant_id", "redemption_id")
    return one.grant_id is None and all(getattr(one, name) == getattr(other, name) for name in same)
