"""Which reports there are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING

import msgspec

from ledger import AsOf, Cut
from service.brands.brand import Brand
from service.http.problems import Problem, invalid_field
from service.reports import attention_invoice, breakage, corrections, expiry_schedule, roll_forward, settlement, vintages
from service.reports.asked import Asked, as_of_now
from service.reports.customers import hours, lifecycle, responses, rfm
from service.reports.periods import find_cut, read_period
from service.reports.report import Report
from service.restatements.queries import count_restatements, version_of_close

if TYPE_CHECKING:
    from service.services import Services


class Kind(msgspec.Struct, frozen=True):
    """A report: what makes it, what it can be broken down by, and what it is broken down by unless told otherwise.

    ``cuts`` are the ends that may be a cut, unless it is broken down by one of ``by_day``; all may be days.
    """

    make: Callable[[Asked], Awaitable[Report]]
    dimensions: tuple[str, ...] = ()
    default: tuple[str, ...] = ()
    cuts: frozenset[str] = frozenset()
    by_day: frozenset[str] = frozenset()
    of_one_day: bool = False
    of_whole_book: bool = False
    of_a_year: bool = False


_A_YEAR = timedelta(days=364)
_END = frozenset(("?to",))
_BOTH = _END | {"?from"}

_KINDS: Mapping[str, Kind] = {
    "roll-forward": Kind(roll_forward.report, roll_forward.DIMENSIONS, ("class",), _BOTH, roll_forward.FOLLOWED),
    "expiry-schedule": Kind(expiry_schedule.report, expiry_schedule.DIMENSIONS, ("class", "band"), _END, of_one_day=True),
    "settlement": Kind(settlement.report, settlement.DIMENSIONS, ("day", "store", "terminal"), _BOTH),
    "corrections": Kind(corrections.report, corrections.DIMENSIONS, corrections.DIMENSIONS, _BOTH),
    "vintages": Kind(vintages.report, vintages.DIMENSIONS, ("class",), of_whole_book=True),
    "breakage": Kind(breakage.report, breakage.DIMENSIONS, breakage.DIMENSIONS, _END),
    "lifecycle": Kind(lifecycle.report, lifecycle.DIMENSIONS, ("stage",), _BOTH),
    "rfm": Kind(rfm.report, rfm.DIMENSIONS, rfm.DIMENSIONS, _END, of_a_year=True),
    "responses": Kind(responses.report, responses.DIMENSIONS, responses.DIMENSIONS, _BOTH),
    "hours": Kind(hours.report, hours.DIMENSIONS, hours.DIMENSIONS, _BOTH),
    "attention-invoice": Kind(attention_invoice.report, attention_invoice.DIMENSIONS, ("campaign", "channel", "grade")),
}


async def make_report(
    services: Services,
    brand: Brand,
    name: str,
    *,
    sent_from: str | None,
    sent_to: str | None,
    by: str | None,
    version: int | None = None,
) -> Report:
    """The report of this name. Raises the problem of asking for one that there is not."""
    kind = _KINDS.get(name)
    if kind is None:
        raise Problem("unknown_report", f"There is no report {name!r}. There are: {', '.join(_KINDS)}.")
    dimensions = _dimensions(kind, by)
    if kind.of_one_day and sent_from is not None:
        raise invalid_field("?from", "this report is of one day: send `to` alone")
    async with services.reports:
        return await kind.make(await ask(services, brand, kind, dimensions, sent_from, sent_to, version))


async def ask(
    services: Services,
    brand: Brand,
    kind: Kind,
    dimensions: tuple[str, ...],
    sent_from: str | None,
    sent_to: str | None,
    sent_version: int | None = None,
) -> Asked:
    """What a caller asks for. Raises the problem of a period that is none."""
    now = await as_of_now(services, brand)
    first = await _first_day(services, brand, now)
    if kind.of_whole_book and sent_from is None:
        sent_from = first.isoformat()
    after, until = [await find_cut(services.ledger, brand, *sent) for sent in (("?from", sent_from), ("?to", sent_to))]
    _refuse_cuts(kind, dimensions, after, until)
    period = read_period(_day(brand, after, sent_from), _day(brand, until, sent_to), first=first, today=now.day)
    if after is not None:
        period = msgspec.structs.replace(period, begins_within=True)
    if kind.of_a_year and sent_from is None:
        period = msgspec.structs.replace(period, begin=max(first, period.end - _A_YEAR))
    version, restated = await _version(services, brand, None if until is not None else period.end, sent_version)
    return Asked(services, brand, now, first, period, dimensions, after, until, restated, version)


async def _version(services: Services, brand: Brand, ends_on: date | None, sent: int | None) -> tuple[int | None, int]:
    """The version of the close that a report ends with, if one does, and how many restatements it has."""
    close = None if ends_on is None else await services.ledger.close(brand.book, ends_on)
    if close is not None:
        found = await version_of_close(services.engine, brand.brand_id, close.ends_on, sent)
        return found.version, found.restated
    if sent is not None:
        raise invalid_field("?version", "only a report that ends with a closed period has versions")
    return None, await count_restatements(services.engine, brand.brand_id)


def _day(brand: Brand, cut: Cut | None, sent: str | None) -> str | None:
    """The day of a cut, or what was sent."""
    return sent if cut is None else brand.calendar.day(cut.posted_at).isoformat()


def _refuse_cuts(kind: Kind, dimensions: tuple[str, ...], after: Cut | None, until: Cut | None) -> None:
    """Raise the problem of a cut where only a day will do: what is kept or counted by day cannot be told up to a cut."""
    by_day = [name for name in dimensions if name in kind.by_day]
    for pointer, cut in (("?from", after), ("?to", until)):
        if cut is not None and (pointer not in kind.cuts or by_day):
            what = f"this report by {by_day[0]}" if by_day else "this report"
            raise invalid_field(pointer, f"{what} is kept by day: send a date or a month instead of a cut")
    if after is not None and until is not None and after.seq > until.seq:
        raise invalid_field("?from", f"must not be after to, the cut at seq {until.seq}")


def _dimensions(kind: Kind, by: str | None) -> tuple[str, ...]:
    if by is None:
        return kind.default
    names = [name for name in by.split(",") if name]
    if wrong := [name for name in names if name not in kind.dimensions]:
        known = ", ".join(kind.dimensions) or "nothing"
        raise invalid_field("?by", f"this report cannot be broken down by {wrong[0][:64]!r}, only by: {known}")
    return tuple(name for name in kind.dimensions if name in names)


async def _first_day(services: Services, brand: Brand, now: AsOf) -> date:
    began = await services.ledger.transfers(brand.book, after=0, cut=1, limit=1)
    return min(now.day, began[0].accounting_date) if began else now.day
