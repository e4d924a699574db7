"""Points attributed to the grants that brought them: what entered, and what left of it, by layers.

An agent keeps the layers up to date behind the log, so what is attributed is as of the last transfer that it has read, and what
is due by then counts once it is posted.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ledger import Cut, Movement, TrialBalance, Verb
from service.http.problems import Problem
from service.reports.asked import Asked
from service.reports.reading import Reading

_ENTRIES = frozenset((Verb.GRANT, Verb.MATURE, Verb.OPEN, Verb.ADJUST, Verb.HOLD_BACK, Verb.REJECT, Verb.FUND))


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
        return Reading({}, [*self.entered, *self.left], self.trial_balance, self.seq, self.seq, self.seq)


async def attributed(asked: Asked) -> Attributed:
    """All that ever moved, attributed. Raises the problem of a period that is over and not attributed to its end yet."""
    ledger, book = asked.services.ledger, asked.brand.book
    read = await ledger.layers_read(book)
    if read is None or (read < (await asked.end_of(asked.period.end)).cut.seq and asked.period.end < asked.now.day):
        raise Problem("not_attributed_yet", "Which grants were spent is not known yet up to the end of the period.")
    # Of a closed period no more than that it reckoned, so that its report stays the same.
    closed = await asked.closed()
    until = asked.now.cut.seq if closed is None or closed.settled_seq is None else closed.settled_seq
    seq = min(read, until)
    moved = await ledger.movements(book, after=0, until=seq)
    return Attributed(
        entered=[movement for movement in moved if movement.verb in _ENTRIES],
        left=await ledger.layer_movements(book, after=0, until=seq),
        trial_balance=await ledger.trial_balance(book, Cut("", seq, asked.now.cut.posted_at)),
        seq=seq,
    )
