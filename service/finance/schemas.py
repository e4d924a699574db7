"""Finance on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, ClassVar

import msgspec

from ledger import AccountName, Book, Cut, OwnerTag, Transfer, TrialBalance, TrialBalanceLine, describe_account
from service.exports.account_names import account_name, class_of, kind_name, last_day
from service.http import identifiers
from service.http.bodies import Body

NAME_OR_SEQ = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$(?!\\n)"

# Digits alone would be a seq, and "now" is what the command line calls the head.
CUT_NAME = f"^(?!now$|[0-9]+$){NAME_OR_SEQ.removeprefix('^')}"

CutName = Annotated[
    str,
    msgspec.Meta(
        pattern=CUT_NAME,
        description="1 to 64 letters, digits, `_`, `.` and `-`; not digits alone and not `now`.",
        examples=["2026-11"],
    ),
]


class CutRequest(Body, frozen=True):
    """A name for the book as it stands now."""

    example: ClassVar[dict[str, Any]] = {"name": "2026-11"}

    name: CutName
    """What to call the cut; each name is taken once."""


class CutResponse(msgspec.Struct, frozen=True):
    """An instant made exact: all transfers up to and including ``seq``. ``name`` is null for a cut that is not kept."""

    name: str | None
    """The cut's name; null for a cut that is not kept."""
    seq: int
    """The last transfer that is part of it."""
    posted_at: datetime
    """When that transfer was posted."""

    @classmethod
    def of(cls, cut: Cut) -> CutResponse:
        """The cut as the API shows it."""
        return cls(cut.name or None, cut.seq, cut.posted_at)


class TrialBalanceAccount(msgspec.Struct, frozen=True):
    """The accounts of one kind, added up. ``balance`` is credits less debits: what is owed, or may still be granted."""

    account: str
    """The accounts' name: kind, campaign, class and last day, as far as each applies, joined by colons."""
    kind: str
    """What the accounts are, such as `lot`, `budget` or `breakage`."""
    account_class: str | None
    """What kind of promise their points are: `engagement`, `purchase` or `third_party`; null where it is none."""
    campaign: str | None
    """The campaign's id; null for accounts of none."""
    expires_on: date | None
    """The last day of the points, in the brand's time zone; null: for ever, or it has none."""
    debits: int
    """All points that were ever debited."""
    credits: int
    """All points that were ever credited."""
    balance: int
    """Credits less debits, in points."""


class TrialBalanceResponse(msgspec.Struct, frozen=True):
    """All accounts of the book at a cut. In a book that is sound, debits equal credits."""

    cut: CutResponse
    """Up to where the book was added up."""
    debits: int
    """All debits of all accounts, in points."""
    credits: int
    """All credits of all accounts, in points."""
    balanced: bool
    """Whether the two are equal. In a book that is sound they always are."""
    accounts: Sequence[TrialBalanceAccount]
    """The accounts, added up by kind, campaign, class and last day."""

    @classmethod
    def of(cls, trial_balance: TrialBalance, campaigns: Mapping[int, str]) -> TrialBalanceResponse:
        """The trial balance as the API shows it; ``campaigns`` names campaigns by number."""
        return cls(
            cut=CutResponse.of(trial_balance.cut),
            debits=trial_balance.debits,
            credits=trial_balance.credits,
            balanced=trial_balance.debits == trial_balance.credits,
            accounts=[_line(line, campaigns) for line in trial_balance.lines],
        )


def _line(line: TrialBalanceLine, campaigns: Mapping[int, str]) -> TrialBalanceAccount:
    campaign = None if line.campaign_no is None else campaigns.get(line.campaign_no, str(line.campaign_no))
    in_lots = line.kind in ("lot", "held", "spent")
    parts = (line.kind, campaign, line.account_class, last_day(line.expires_on) if in_lots else None)
    return TrialBalanceAccount(
        account=":".join(part for part in parts if part is not None),
        kind=line.kind,
        account_class=line.account_class,
        campaign=campaign,
        expires_on=line.expires_on,
        debits=line.debits,
        credits=line.credits,
        balance=line.balance,
    )


class AccountBalance(msgspec.Struct, frozen=True):
    """One account with its debits and credits; ``balance`` is credits less debits.

    ``customer`` is our number of the customer; the books know no other identity.
    """

    account: str
    """The account's name: kind, owner, class and last day, as far as each applies, joined by colons."""
    kind: str
    """What the account is, such as `lot`, `budget` or `breakage`."""
    account_class: str | None
    """What kind of promise its points are: `engagement`, `purchase` or `third_party`; null where it is none."""
    customer: int | None
    """Our number of the customer, without `cus_`; null for accounts of none."""
    campaign: str | None
    """The campaign's id; null for accounts of none."""
    redemption_id: str | None
    """The redemption; null for accounts of none."""
    expires_on: date | None
    """The last day of its points, in the brand's time zone; null: for ever, or it has none."""
    debits: int
    """All points that were ever debited."""
    credits: int
    """All points that were ever credited."""
    balance: int
    """Credits less debits, in points."""

    @classmethod
    def of(cls, account: bytes, debits: int, credits_: int, book: Book, campaigns: Mapping[int, str]) -> AccountBalance:
        """The account as the API shows it; ``campaigns`` names campaigns by number."""
        name = describe_account(account)
        is_campaigns = name.owner is OwnerTag.CAMPAIGN
        return cls(
            account=account_name(account, campaigns),
            kind=kind_name(name.kind),
            account_class=class_of(name),
            customer=name.number if name.owner is OwnerTag.CUSTOMER else None,
            campaign=campaigns.get(name.number, str(name.number)) if is_campaigns else None,
            redemption_id=_redemption_id_of(name, book),
            expires_on=name.expires_on,
            debits=debits,
            credits=credits_,
            balance=credits_ - debits,
        )


class BalancesResponse(msgspec.Struct, frozen=True):
    """A page of the accounts that were used up to a cut. The same cut and page again are the same bytes."""

    cut: CutResponse
    """Up to where the accounts were added up."""
    items: Sequence[AccountBalance]
    """The accounts of this page."""
    next: str | None
    """The `after` of the next page; null on the last."""


class TransferResponse(msgspec.Struct, frozen=True):
    """One row of the log: ``amount`` points from the debited to the credited account.

    ``customer`` is our number of the customer; the log knows no other identity. Transfers that stand or fall together share a
    ``transaction_id``.
    """

    seq: int
    """The transfer's number in the book: 1, 2, 3 ... without gaps."""
    posted_at: datetime
    """When it was posted."""
    occurred_at: datetime
    """When what it stands for happened."""
    verb: str
    """What it is, such as `grant`, `capture` or `expire`."""
    debit: str
    """The account that is debited."""
    credit: str
    """The account that is credited."""
    amount: int
    """How many points; always more than 0."""
    customer: int | None
    """Our number of the customer, without `cus_`; null where it concerns none."""
    campaign: str | None
    """The campaign's id; null where it belongs to none."""
    grant_id: str | None
    """The decision it pays; null where it is no grant's."""
    redemption_id: str | None
    """The redemption it belongs to; null for all others."""
    transaction_id: int
    """The `seq` of the first transfer of its transaction: those that stand or fall together share it."""
    due_at: datetime | None
    """When what it set aside falls due by itself: a hold's end, or the rejection of what is held back. Null for all others."""

    @classmethod
    def of(cls, transfer: Transfer, book: Book, campaigns: Mapping[int, str]) -> TransferResponse:
        """The transfer as the API shows it; ``campaigns`` names campaigns by number."""
        no, key = transfer.campaign_no, transfer.event_key
        return cls(
            seq=transfer.seq,
            posted_at=transfer.posted_at,
            occurred_at=transfer.occurred_at,
            verb=transfer.verb.name.lower(),
            debit=account_name(transfer.debit, campaigns),
            credit=account_name(transfer.credit, campaigns),
            amount=transfer.amount,
            customer=transfer.customer,
            campaign=None if no is None else campaigns.get(no, str(no)),
            grant_id=None if no is None or key is None else identifiers.grant_id(no, key),
            redemption_id=_redemption_id(transfer, book),
            transaction_id=transfer.transaction_id,
            due_at=transfer.due_at,
        )


def _redemption_id(transfer: Transfer, book: Book) -> str | None:
    names = (describe_account(account) for account in (transfer.debit, transfer.credit))
    return next((found for name in names if (found := _redemption_id_of(name, book))), None)


def _redemption_id_of(name: AccountName, book: Book) -> str | None:
    return identifiers.redemption_id(book.book_id, name.number) if name.owner is OwnerTag.REDEMPTION else None
