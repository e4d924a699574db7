"""Control totals and the forms in which every export writes values."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Totals(msgspec.Struct, frozen=True):
    """What a file holds: ``rows`` are its transfers, accounts or entries.

    ``amount`` is what it books in money, ``unmapped`` the accounts in it that have no code: of the summarised journal alone.
    """

    rows: int = 0
    debits: int = 0
    credits: int = 0
    amount: str | None = None
    unmapped: tuple[str, ...] | None = None

    def plus(self, debits: int, credits: int) -> Totals:
        """These totals with one row more."""
        return Totals(self.rows + 1, self.debits + debits, self.credits + credits)

    def __add__(self, other: Totals) -> Totals:
        return Totals(self.rows + other.rows, self.debits + other.debits, self.credits + other.credits)


def utc(at: datetime) -> str:
    """A time, always with microseconds, so that equal times have equal bytes. ``at`` is in UTC."""
    return f"{at.isoformat(timespec='microseconds')[:26]}Z"
