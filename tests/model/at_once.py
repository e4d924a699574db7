"""Things done at once must have happened in some order: this finds one in which the plain ledger says what the real one said.

A queue makes one batch of what waits together, so batches of grants that one process was handed may have been posted as one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.model.acts import Act, Granting
from tests.model.plain_ledger import PlainLedger


@dataclass(frozen=True, eq=False)
class Done:
    """What was done to which process's ledger, and what the real one answered."""

    act: Act
    process: int
    answer: Any

    @property
    def seq(self) -> int | None:
        """Where in the book it says it was."""
        return self.act.seq(self.answer)


def plain_outcomes(plain: PlainLedger, done: list[Done]) -> Iterator[PlainLedger]:
    """How the plain ledger may stand afterwards: once for each order of what was done that explains all answers."""
    if not done:
        yield plain
        return
    soonest = min((each.seq for each in done if each.seq is not None), default=None)
    for batch in _next(done):
        if any(each.seq not in (None, soonest) for each in batch):
            continue
        acted = plain.copy()
        act, answer = _as_one(batch)
        if act.plainly(acted, answer) == act.told(answer):
            yield from plain_outcomes(acted, [each for each in done if each not in batch])


def _next(done: list[Done]) -> Iterator[list[Done]]:
    """What may have come first: any one act, or the first few batches of grants of one process."""
    for each in done:
        grants = [other for other in done if other.process == each.process and isinstance(other.act, Granting)]
        if not isinstance(each.act, Granting):
            yield [each]
        elif each is grants[0]:
            for many in range(1, len(grants) + 1):
                yield grants[:many]


def _as_one(batch: list[Done]) -> tuple[Act, Any]:
    first, *others = batch
    if not isinstance(first.act, Granting) or not others:
        return first.act, first.answer
    orders = first.act.with_others([each.act for each in others if isinstance(each.act, Granting)])
    return orders, [answer for each in batch for answer in each.answer]
