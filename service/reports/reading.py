"""What a roll-forward reads: what was owed, what moved since, and what the accounts have then.

Between two closes only the log between them is read, and what it leads to is what the second one has stored. Where there is
no second one yet, it leads to the books as they are now; where there is no first one, all of the log is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from ledger import AccountClass, Close, Kind, Movement, TrialBalance
from service.reports.asked import Asked

_OWED = frozenset((Kind.LOT, Kind.HELD))
OWED_KINDS = frozenset(kind.name.lower() for kind in _OWED)


ACTED = "acted"
"""By when acts occurred: before the period, or in it."""


class Reading(msgspec.Struct, frozen=True):
    """``opening`` was owed before all ``movements``, by class, and they lead to ``trial_balance``.

    ``transfers`` of the log were read, which should be ``numbered``; ``seq`` is the last of them.
    """

    opening: Mapping[AccountClass, int]
    movements: Sequence[Movement]
    trial_balance: TrialBalance
    transfers: int
    numbered: int
    seq: int


def owed_change(movement: Movement) -> int:
    """By how much more is owed after a movement."""
    return movement.points * ((movement.credit in _OWED) - (movement.debit in _OWED))


def owed_by_class(trial_balance: TrialBalance) -> Mapping[AccountClass, int]:
    """What is owed in each class."""
    owed: Counter[AccountClass] = Counter()
    for line in trial_balance.lines:
        if line.kind in OWED_KINDS:
            owed[AccountClass[(line.account_class or "").upper()]] += line.balance
    return owed


async def read(asked: Asked, *, whole: bool = False) -> Reading:
    """Read as little as the closes allow; ``whole`` reads from the beginning of the book."""
    if asked.after is not None or asked.until is not None or ACTED in asked.by:
        return await _read_log(asked, whole=whole)
    ledger, book = asked.services.ledger, asked.brand.book
    before, at_end = None if whole else await asked.opened(), await asked.closed()
    after = 0 if before is None else before.cut.seq
    if at_end is None or at_end.settled_seq is None:
        until, trial_balance = asked.now.cut.seq, await asked.trial_balance()
        due = await asked.due()
    else:
        until, trial_balance = at_end.settled_seq, await ledger.close_trial_balance(book, at_end)
        due = []
    posted = await ledger.movements(book, after=after, until=until, with_events=False)
    return Reading(
        opening={} if before is None else owed_by_class(await ledger.close_trial_balance(book, before)),
        movements=[
            each
            for each in (*posted, *due)
            if (before is None or each.day > before.ends_on) and (at_end is None or each.day <= at_end.ends_on)
        ],
        trial_balance=trial_balance,
        transfers=sum(each.transfers for each in posted),
        numbered=until - after,
        seq=until,
    )


async def _read_log(asked: Asked, *, whole: bool) -> Reading:
    """The same by the log alone: between cuts, or with when acts occurred. What a close reckoned counts as it was posted by the
    cut that the report ends with.
    """
    ledger, book = asked.services.ledger, asked.brand.book
    before = await asked.opened() if not whole and asked.after is None and asked.until is None else None
    begin, opening = await _opening(asked, before, whole=whole)
    at_end = await asked.closed()
    until = asked.seq if at_end is None or at_end.settled_seq is None else at_end.settled_seq
    posted = await ledger.movements(book, after=begin, until=until, with_events=False, with_acts=ACTED in asked.by)
    moved = [asked.dated(each) for each in (*posted, *(await asked.due() if at_end is None else ()))]
    return Reading(
        opening=opening,
        movements=[
            each
            for each in moved
            if (before is None or each.day > before.ends_on) and (at_end is None or each.day <= at_end.ends_on)
        ],
        trial_balance=await (asked.trial_balance() if at_end is None else ledger.close_trial_balance(book, at_end)),
        transfers=sum(each.transfers for each in posted),
        numbered=until - begin,
        seq=until,
    )


async def _opening(asked: Asked, before: Close | None, *, whole: bool) -> tuple[int, Mapping[AccountClass, int]]:
    """Behind which transfer the log is read, and what was owed then."""
    ledger, book = asked.services.ledger, asked.brand.book
    if before is not None:
        return before.cut.seq, owed_by_class(await ledger.close_trial_balance(book, before))
    if whole or asked.after is None:
        return 0, {}
    return asked.after.seq, owed_by_class(await ledger.trial_balance(book, asked.after))


async def movements_by_day(asked: Asked, *, until: int | None = None) -> list[Movement]:
    """All that moved since the book began, by day: up to the end of the report, or up to a ``seq`` as it was posted."""
    ledger, book = asked.services.ledger, asked.brand.book
    if until is not None:
        return await ledger.movements(book, after=0, until=until, with_events=False)
    at_end = await asked.closed()
    if at_end is not None and at_end.settled_seq is not None:
        return await ledger.movements(book, after=0, until=at_end.settled_seq, with_events=False)
    return [*await ledger.movements(book, after=0, until=asked.seq, with_events=False), *await asked.due()]
