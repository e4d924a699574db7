"""What a roll-forward reads: what was owed, what moved since, and what the accounts have then.

What moved is added up by day; of the log only what is behind that is read. It leads to what the close of the last day has
stored, or where there is none to the books as they are now. While nothing is added up by day yet, the log is read from the
close before the period, or from its beginning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from ledger import AccountClass, Close, DailyMovements, Kind, Movement, MovementsBy, TrialBalance, Verb
from service.exports.account_names import class_name
from service.reports.asked import Asked
from service.reports.report import Check, tie

_OWED = frozenset((Kind.LOT, Kind.HELD))
OWED_KINDS = frozenset(kind.name.lower() for kind in _OWED)


ACTED = "acted"
"""By when acts occurred: before the period, or in it."""


class Reading(msgspec.Struct, frozen=True):
    """``opening`` was owed before all ``movements``, by class; they lead to ``trial_balance``. ``seq`` is the last transfer."""

    opening: Mapping[AccountClass, int]
    movements: Sequence[Movement]
    trial_balance: TrialBalance
    seq: int


def owed_change(movement: Movement) -> int:
    """By how much more is owed after a movement."""
    return movement.points * ((movement.credit in _OWED) - (movement.debit in _OWED))


def is_taken_back(movement: Movement) -> bool:
    """Whether points are corrected away: they are not owed any more, and were neither redeemed nor lost."""
    return movement.verb is Verb.CLAWBACK or (movement.verb is Verb.ADJUST and owed_change(movement) < 0)


def owed_by_class(trial_balance: TrialBalance) -> Mapping[AccountClass, int]:
    """What is owed in each class."""
    owed: Counter[AccountClass] = Counter()
    for line in trial_balance.lines:
        if line.kind in OWED_KINDS:
            owed[AccountClass[(line.account_class or "").upper()]] += line.balance
    return owed


def owed_checks(reading: Reading) -> Sequence[Check]:
    """What moved adds up to what the accounts have, class by class."""
    booked = owed_by_class(reading.trial_balance)
    owed = Counter(reading.opening)
    for movement in reading.movements:
        owed[movement.account_class] += owed_change(movement)
    return [
        Check("debits and credits of all accounts", reading.trial_balance.debits, reading.trial_balance.credits),
        *(Check(f"{class_name(each)} points owed at last", owed[each], booked.get(each, 0)) for each in AccountClass),
    ]


async def read(asked: Asked, *, by_day: bool = False, by: MovementsBy = MovementsBy()) -> Reading:  # noqa: B008
    """Read as little as there is to read; ``by_day`` tells all days apart, since the book began.

    What left is not followed to its grants, so campaign and channel are said of what came in alone.
    """
    if asked.after is not None or asked.until is not None or ACTED in asked.by:
        return await _read_log(asked)
    ledger, book = asked.services.ledger, asked.brand.book
    added, asked = await asked.added_up(by, by_day=by_day)
    before = None if by_day else await asked.opened()
    if before is not None and before.cut.seq > added.seq:
        added, opening = DailyMovements(before.cut.seq, ()), owed_by_class(await ledger.close_trial_balance(book, before))
    else:
        before, opening = None, Counter[AccountClass]()
    at_end = await asked.closed()
    if at_end is None or at_end.settled_seq is None:
        until, trial_balance = asked.now.cut.seq, await asked.trial_balance()
        due = await asked.due()
    else:
        until, trial_balance = at_end.settled_seq, await ledger.close_trial_balance(book, at_end)
        due = []
    posted = await _posted(asked, added.seq, until, with_events=by.act)
    return Reading(
        opening=opening,
        movements=[
            each
            for each in (*added.movements, *posted, *due)
            if (before is None or each.day > before.ends_on) and (at_end is None or each.day <= at_end.ends_on)
        ],
        trial_balance=trial_balance,
        seq=until,
    )


async def _read_log(asked: Asked) -> Reading:
    """The same by the log alone: between cuts, or with when acts occurred. What a close reckoned counts as it was posted by the
    cut that the report ends with.
    """
    ledger, book = asked.services.ledger, asked.brand.book
    before = await asked.opened() if asked.after is None and asked.until is None else None
    begin, opening = await _opening(asked, before)
    at_end = await asked.closed()
    until = asked.seq if at_end is None or at_end.settled_seq is None else at_end.settled_seq
    posted = await _posted(asked, begin, until, with_acts=ACTED in asked.by)
    moved = [asked.dated(each) for each in (*posted, *(await asked.due() if at_end is None else ()))]
    return Reading(
        opening=opening,
        movements=[
            each
            for each in moved
            if (before is None or each.day > before.ends_on) and (at_end is None or each.day <= at_end.ends_on)
        ],
        trial_balance=await (asked.trial_balance() if at_end is None else ledger.close_trial_balance(book, at_end)),
        seq=until,
    )


async def _opening(asked: Asked, before: Close | None) -> tuple[int, Mapping[AccountClass, int]]:
    """Behind which transfer the log is read, and what was owed then."""
    ledger, book = asked.services.ledger, asked.brand.book
    if before is not None:
        return before.cut.seq, owed_by_class(await ledger.close_trial_balance(book, before))
    if asked.after is None:
        return 0, {}
    return asked.after.seq, owed_by_class(await ledger.trial_balance(book, asked.after))


async def movements_by_day(asked: Asked, *, until: int | None = None) -> Sequence[Movement]:
    """All that moved since the book began, by day: up to the end of the report, or up to a ``seq`` as it was posted."""
    if until is None and asked.until is None:
        return (await read(msgspec.structs.replace(asked, after=None, by=()), by_day=True)).movements
    return await _posted(asked, 0, asked.seq if until is None else until)


async def _posted(
    asked: Asked, after: int, until: int, *, with_events: bool = False, with_acts: bool = False
) -> Sequence[Movement]:
    """What the log moved between two of its transfers. Raises the problem of a log that lacks any."""
    moved = await asked.services.ledger.movements(
        asked.brand.book, after=after, until=until, with_events=with_events, with_acts=with_acts
    )
    tie([Check("transfers read", sum(movement.transfers for movement in moved), max(0, until - after))])
    return moved
