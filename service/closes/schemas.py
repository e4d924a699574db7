"""Closes on the wire."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, ClassVar

import msgspec

from ledger import Close, TrialBalance
from service.closes.checklist import Item
from service.http.bodies import Body
from service.http.periods import NAME, Period
from service.http.validation_messages import NO_CONTROL_CHARACTERS
from service.restatements.queries import Version

OWED = ("lot", "held")
"""The kinds of account whose points are owed: customers can spend them, or have set them aside."""

Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=500, pattern=NO_CONTROL_CHARACTERS)]


class CloseRequest(Body, frozen=True):
    """The period to close."""

    example: ClassVar[dict[str, Any]] = {"period": "2026-11", "skip": {"deferred_claims": "The shop's server is down."}}

    period: Annotated[str, msgspec.Meta(pattern=NAME, examples=["2026-11", "2026-11-30"])]
    """A month, `2026-11`, or a day, `2026-11-30`, in the brand's time zone. Each begins where the last closed one ends."""
    skip: Annotated[dict[str, Reason], msgspec.Meta(max_length=20)] = msgspec.field(default_factory=dict[str, Reason])
    """Warnings of the checklist to skip, each with the reason. The audit trail keeps them."""


class KindTotal(msgspec.Struct, frozen=True):
    """All accounts of one kind."""

    kind: str
    """The kind of account, such as `lot`, `budget` or `breakage`."""
    debits: int
    """Total debits, in points."""
    credits: int
    """Total credits, in points."""
    balance: int
    """Credits minus debits, in points."""


class CloseTotals(msgspec.Struct, frozen=True):
    """The control totals of a close."""

    debits: int
    """Total debits of all accounts, in points."""
    credits: int
    """Total credits of all accounts, in points; equal to the debits."""
    points_owed: int
    """What customers can spend or have set aside for redemptions. Held-back points are not owed; their kind is `pending`."""
    kinds: Sequence[KindTotal]
    """Totals by kind of account."""

    @classmethod
    def of(cls, trial_balance: TrialBalance) -> CloseTotals:
        """The totals of a trial balance."""
        sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
        for line in trial_balance.lines:
            sums[line.kind][0] += line.debits
            sums[line.kind][1] += line.credits
        kinds = [KindTotal(kind, debits, credits_, credits_ - debits) for kind, (debits, credits_) in sorted(sums.items())]
        owed = sum(total.balance for total in kinds if total.kind in OWED)
        return cls(trial_balance.debits, trial_balance.credits, owed, kinds)


class CloseDigests(msgspec.Struct, frozen=True):
    """SHA-256 in hexadecimal digits, of what the documentation says."""

    trial_balance: str
    """Of the lines of the trial balance."""
    balances: str
    """Of the accounts' balances."""


class CloseResponse(msgspec.Struct, frozen=True):
    """What the books were at the end of a period."""

    period: str
    """The month or day."""
    version: int
    """1 for the close itself; each restatement of it, or of a period before it, makes the next."""
    restatements: int
    """How many of the brand's restatements this version has: `restatements` of an export."""
    state: str
    """`storing` while balances are being stored, `closed`, then `settled` once all that fell due in the period is posted."""
    begins_on: date
    """The first day."""
    ends_on: date
    """The last day."""
    ends_at: datetime
    """The first instant after the period: midnight in the brand's time zone."""
    closed_at: datetime
    """When it was closed."""
    seq: int
    """The last transfer posted in the period."""
    settled_seq: int | None
    """The transfer up to which all that fell due in the period is posted; null until then."""
    totals: CloseTotals
    """The control totals."""
    accounts: int | None
    """How many accounts have a balance; null while they are being stored."""
    customers: int | None
    """How many customers have spendable or held-back points; null while balances are being stored."""
    digests: CloseDigests | None
    """Digests of the trial balance and of the balances; null while they are being stored."""

    @classmethod
    def of(cls, close: Close, version: Version, trial_balance: TrialBalance) -> CloseResponse:
        """The close as the API shows it."""
        stored = close.totals
        return cls(
            period=Period(close.begins_on, close.ends_on).name,
            version=version.version,
            restatements=version.restated,
            state=close.state.name.lower(),
            begins_on=close.begins_on,
            ends_on=close.ends_on,
            ends_at=close.ends_at,
            closed_at=close.closed_at,
            seq=close.cut.seq,
            settled_seq=close.settled_seq,
            totals=CloseTotals.of(trial_balance),
            accounts=None if stored is None else stored.accounts,
            customers=None if stored is None else stored.customers,
            digests=None if stored is None else CloseDigests(stored.lines_digest.hex(), stored.balances_digest.hex()),
        )


class ChecklistResponse(msgspec.Struct, frozen=True):
    """What to look at before a period is closed."""

    period: str
    """The month or day."""
    items: Sequence[Item]
    """All that was looked at, open or not."""
