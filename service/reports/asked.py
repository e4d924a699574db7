"""What a caller asked for, and what a report reads of the books to answer: everything as of one position, ``cut``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ledger import Cut, Movement, TrialBalance
from service.brands.brand import Brand
from service.reports.periods import Period
from service.reports.report import Column, Report
from service.reports.values import Values, values_of

if TYPE_CHECKING:
    from service.services import Services


class Asked(msgspec.Struct, frozen=True):
    """A report on ``brand``'s books up to ``cut``, on the days of ``period``, broken down ``by``."""

    services: Services
    brand: Brand
    cut: Cut
    period: Period
    by: Sequence[str]

    async def movements(self) -> list[Movement]:
        """All that the book's transfers moved."""
        return await self.services.ledger.movements(self.brand.book, after=0, until=self.cut.seq)

    async def trial_balance(self) -> TrialBalance:
        """What the accounts have."""
        return await self.services.ledger.trial_balance(self.brand.book, self.cut)

    async def values(self) -> Values:
        """What points were worth."""
        return await values_of(self.services.engine, self.brand)

    def report(self, name: str, columns: Sequence[Column], **parts: Any) -> Report:
        """The report that answers: ``columns`` follow those it is broken down by."""
        return Report(
            report=name,
            since=self.period.begin,
            until=self.period.end,
            by=self.by,
            currency=self.brand.currency,
            seq=self.cut.seq,
            columns=[*(Column(each, "text") for each in self.by), *columns],
            **parts,
        )
