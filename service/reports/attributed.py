"""Points attributed to the grants that brought them: what entered, and what left of it, by layers.

An agent keeps the layers up to date behind the log, and adds up by day what they come to. So what is attributed is as of the
last transfer whose layers are kept, and what is due by then counts once it is posted.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import msgspec

from ledger import Close, Cut, Kind, Movement, MovementsBy, TrialBalance
from service.http.problems import Problem
from service.reports.asked import Asked
from service.reports.reading import Reading

_LAYERED = frozenset((Kind.LOT, Kind.HELD, Kind.SPENT, Kind.TRANSIT))


class Attributed(msgspec.Struct, frozen=True):
    """``entered`` brought points in, of the campaigns and channels that paid them; ``left`` moved them on, by the same.

    Both are of the log up to ``seq``, which leads to ``trial_balance``.
    """

    entered: Sequence[Movement]
    left: Sequence[Movement]
    trial_balance: TrialBalance
    seq: int

    @property
    def reading(self) -> Reading:
        """The same as what a roll-forward reads, from the beginning of the book."""
        return Reading({}, [*self.entered, *self.left], self.trial_balance, self.seq)


async def attributed(asked: Asked, *, by_day_of_issue: bool) -> Attributed:
    """All that ever moved, attributed. ``by_day_of_issue`` tells what was issued before the period from what was in it.

    Raises the problem of a period that is over and not attributed to its end yet.
    """
    ledger, book = asked.services.ledger, asked.brand.book
    by = MovementsBy(campaign="campaign" in asked.by, channel="channel" in asked.by, month_of_issue=by_day_of_issue)
    added, asked = await asked.added_up(by, by_day=False)
    read = await _read(asked)
    closed = await _closed(asked, read)
    until = max(added.seq, min(read, asked.now.cut.seq)) if closed is None else closed.settled_seq or 0
    moved = [
        *(_known(movement, asked.period.begin) for movement in added.movements),
        *(await _told_apart(asked, added.seq) if by_day_of_issue else ()),
        *(each for each in await ledger.movements(book, after=added.seq, until=until) if each.debit not in _LAYERED),
        *await ledger.layer_movements(book, after=added.seq, until=until),
    ]
    if await _read(asked) < until:
        raise _not_yet()  # An operator has them built again.
    of_period = [each for each in moved if closed is None or each.day <= closed.ends_on]
    return Attributed(
        entered=[each for each in of_period if each.debit not in _LAYERED],
        left=[each for each in of_period if each.debit in _LAYERED],
        trial_balance=await _trial_balance(asked, closed, until),
        seq=until,
    )


async def _read(asked: Asked) -> int:
    """The last transfer whose layers are kept, which is not before the end of a period that is over."""
    read = await asked.services.ledger.layers_read(asked.brand.book)
    if read is None or (read < (await asked.end_of(asked.period.end)).cut.seq and asked.period.end < asked.now.day):
        raise _not_yet()
    return read


def _not_yet() -> Problem:
    return Problem("not_attributed_yet", "Which grants were spent is not known yet up to the end of the period.")


async def _closed(asked: Asked, read: int) -> Close | None:
    """The close of the period, if all that it reckoned is attributed: then its report stays the same."""
    closed = await asked.closed()
    return closed if closed is not None and read >= (closed.settled_seq or 0) else None


async def _trial_balance(asked: Asked, closed: Close | None, seq: int) -> TrialBalance:
    ledger, book = asked.services.ledger, asked.brand.book
    if closed is not None:
        return await ledger.close_trial_balance(book, closed)
    return await ledger.trial_balance(book, Cut("", seq, asked.now.cut.posted_at))


def _known(movement: Movement, begin: date) -> Movement:
    """A daily movement whose points were issued on its day, or in a month: in the one in which the period begins, as if on its
    first day.
    """
    issued_on = None if movement.issued_on is None or movement.debit not in _LAYERED else movement.issued_on
    if issued_on == begin.replace(day=1):
        issued_on = begin
    return msgspec.structs.replace(movement, issued_on=issued_on)


async def _told_apart(asked: Asked, seq: int) -> list[Movement]:
    """What of that was issued before the period, and the same taken from what counts as issued on its first day."""
    ledger, book, begin = asked.services.ledger, asked.brand.book, asked.period.begin
    of_month, of_day = [(await ledger.cut_before_day(book, day)).seq for day in (begin.replace(day=1), begin)]
    used = await ledger.uses_of_issued(book, after=of_month, until=of_day, used_until=seq)
    return [
        msgspec.structs.replace(movement, transfers=0, points=points, issued_on=issued_on)
        for movement in used
        for points, issued_on in ((movement.points, movement.issued_on), (-movement.points, begin))
    ]
