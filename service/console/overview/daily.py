"""What is owed, and what was granted and redeemed, day by day: for a page that is looked at often.

It is added up from the days that are kept behind the log (``ledger.daily_movements``) and the log behind these, so it takes as
long however much was ever posted. It is what was posted: what fell due since and is not yet posted, the roll-forward reckons,
and the two agree on every day that is over and settled.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

import msgspec

from ledger import Movement, MovementsBy, Verb
from service.brands.brand import Brand
from service.http.periods import ONE_DAY
from service.reports.reading import owed_change

if TYPE_CHECKING:
    from service.services import Services

UNTOLD = ""
"""The channel of points of which none is known, or not yet."""
LOG_READ_MAX = 100_000
"""So much of the log is read at most: what is behind that has to wait until it is added up by day."""

_GRANTED = frozenset((Verb.GRANT, Verb.MATURE))


class Daily(msgspec.Struct, frozen=True, kw_only=True):
    """Points by day, in the order of ``days``. ``seq`` is the last transfer that is in it, ``head`` the last there is."""

    days: Sequence[date]
    owed: Sequence[int]
    """At the end of each day."""
    granted: Mapping[str, Sequence[int]]
    """By channel: granted at once, or held back and matured."""
    redeemed: Mapping[str, Sequence[int]]
    """By the channel of the grants that were spent."""
    seq: int
    head: int

    def last(self, days: int) -> Daily:
        """The last of its days alone."""
        return msgspec.structs.replace(
            self,
            days=self.days[-days:],
            owed=self.owed[-days:],
            granted={channel: points[-days:] for channel, points in self.granted.items()},
            redeemed={channel: points[-days:] for channel, points in self.redeemed.items()},
        )


async def daily(services: Services, brand: Brand, *, days: int) -> Daily:
    """The last ``days`` days, today among them."""
    today = brand.calendar.day(await services.clocks.now(brand))
    shown = [today - timedelta(days=days - 1 - n) for n in range(days)]
    kept = await services.ledger.daily_movements(brand.book, starts=[*shown, today + ONE_DAY], by=MovementsBy(channel=True))
    head = (await services.ledger.head(brand.book)).seq
    until = max(kept.seq, min(head, kept.seq + LOG_READ_MAX))
    behind = await services.ledger.movements(brand.book, after=kept.seq, until=until)
    moved = [*kept.movements, *behind]
    return Daily(
        days=shown,
        owed=_owed(moved, shown),
        granted=_by_channel(moved, shown, lambda each: each.verb in _GRANTED),
        redeemed=_by_channel(moved, shown, lambda each: each.verb is Verb.CAPTURE),
        seq=until,
        head=head,
    )


def _owed(moved: Sequence[Movement], days: Sequence[date]) -> list[int]:
    changes: dict[date, int] = defaultdict(int)
    for each in moved:
        changes[max(each.day, days[0] - ONE_DAY)] += owed_change(each)
    owed: list[int] = []
    total = changes[days[0] - ONE_DAY]
    for day in days:
        total += changes[day]
        owed.append(total)
    return owed


def _by_channel(
    moved: Sequence[Movement], days: Sequence[date], counts: Callable[[Movement], bool]
) -> Mapping[str, Sequence[int]]:
    """By channel, the largest first."""
    places = {day: place for place, day in enumerate(days)}
    found: dict[str, list[int]] = defaultdict(lambda: [0] * len(days))
    for each in moved:
        if counts(each) and each.day in places:
            found[each.channel or UNTOLD][places[each.day]] += abs(owed_change(each))
    return dict(sorted(found.items(), key=lambda item: (-sum(item[1]), item[0])))
