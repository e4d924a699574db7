"""Finance on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, ClassVar

import msgspec

from ledger import AccountName, AsOf, Book, Cut, OwnerTag, Transfer, TrialBalance, TrialBalanceLine, describe_account
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
    """A name for the book's current position."""

    example: ClassVar[dict[str, Any]] = {"name": "2026-11"}

    name: CutName
    """The cut's name. Each name can be used once."""


class CutResponse(msgspec.Struct, frozen=True):
    """A position in the book: all transfers up to and including `seq`."""

    name: str | None
    """The cut's name; null for a cut that is not stored."""
    seq: int
    """The last transfer included."""
    posted_at: datetime
    """When that transfer was posted."""
    as_of: datetime | None = None
    """The instant that was asked for: what fell due by then counts too, though it may be posted later; null for a cut."""

    @classmethod
    def of(cls, cut: Cut | AsOf) -> CutResponse:
        """The cut, or the one that an instant stands for, as the API shows it."""
        if isinstance(cut, AsOf):
            return cls(None, cut.cut.seq, cut.cut.posted_at, cut.at)
        return cls(cut.name or None, cut.seq, cut.posted_at)


class TrialBalanceAccount(msgspec.Struct, frozen=True):
    """The accounts of one kind, campaign, class and expiry day, added up."""

    account: str
    """The accounts' name: kind, campaign, class and expiry day, as far as each applies, joined by colons."""
    kind: str
    """The kind of account, such as `lot`, `budget` or `breakage`."""
    account_class: str | None
    """Their accounting class: `engagement`, `purchase` or `third_party`; null if they have none."""
    campaign: str | None
    """The campaign's id; null if none."""
    expires_on: date | None
    """The last day of the points, in the brand's time zone; null if they never expire, or the account has no such day."""
    debits: int
    """Total debits, in points."""
    credits: int
    """Total credits, in points."""
    balance: int
    """Credits minus debits, in points: what is owed, or may still be granted."""


class TrialBalanceResponse(msgspec.Struct, frozen=True):
    """The book's debits and credits at a cut."""

    cut: CutResponse
    """The cut the accounts are added up to."""
    debits: int
    """Total debits of all accounts, in points."""
    credits: int
    """Total credits of all accounts, in points."""
    balanced: bool
    """Whether debits equal credits. In a sound book they always do."""
    accounts: Sequence[TrialBalanceAccount]
    """The accounts, added up by kind, campaign, class and expiry day."""

    @classmethod
    def of(cls, trial_balance: TrialBalance, cut: Cut | AsOf, campaigns: Mapping[int, str]) -> TrialBalanceResponse:
        """The trial balance as the API shows it; ``campaigns`` names campaigns by number."""
        return cls(
            cut=CutResponse.of(cut),
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
    """One account with its debits and credits."""

    account: str
    """The account's name: kind, owner, class and expiry day, as far as each applies, joined by colons."""
    kind: str
    """The kind of account, such as `lot`, `budget` or `breakage`."""
    account_class: str | None
    """Its accounting class: `engagement`, `purchase` or `third_party`; null if it has none."""
    customer: int | None
    """Our number of the customer, without `cus_`; null if none. The books know no other identity."""
    campaign: str | None
    """The campaign's id; null if none."""
    redemption_id: str | None
    """The redemption; null if none."""
    expires_on: date | None
    """The last day of its points, in the brand's time zone; null if they never expire, or the account has no such day."""
    debits: int
    """Total debits, in points."""
    credits: int
    """Total credits, in points."""
    balance: int
    """Credits minus debits, in points."""

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
    """A page of the accounts in use at a cut. The same cut and page always give the same bytes."""

    cut: CutResponse
    """The cut the accounts are added up to."""
    items: Sequence[AccountBalance]
    """The accounts of this page."""
    next: str | None
    """The `after` of the next page; null on the last page."""


NO_CORRECTIONS: Mapping[int, str] = {}


class TransferResponse(msgspec.Struct, frozen=True):
    """One transfer: `amount` points from the debited account to the credited one."""

    seq: int
    """The transfer's number in the book: 1, 2, 3 ... without gaps."""
    posted_at: datetime
    """When it was posted."""
    occurred_at: datetime
    """When the underlying event happened."""
    verb: str
    """The type of transfer, such as `grant`, `capture` or `expire`. A hold that times out is a `time_out`."""
    debit: str
    """The debited account."""
    credit: str
    """The credited account."""
    amount: int
    """How many points; always positive."""
    customer: int | None
    """Our number of the customer, without `cus_`; null if none. The log knows no other identity."""
    campaign: str | None
    """The campaign's id; null if none."""
    grant_id: str | None
    """The grant; null if none."""
    redemption_id: str | None
    """The redemption; null if none."""
    transaction_id: int
    """The `seq` of its transaction's first transfer. A transaction is posted in full or not at all."""
    due_at: datetime | None
    """When a hold times out, or held-back points are rejected; otherwise null."""
    accounting_date: date
    """The business date it counts on, in the brand's time zone. What fell due (an expiry, a time-out, a rejection by time)
    counts on the day it did, even if it was posted later; everything else on the day it was posted."""
    correction: str | None
    """The correction of many (`crj_`) that it belongs to, known a moment after it was posted; null if none."""

    @classmethod
    def of(
        cls, transfer: Transfer, book: Book, campaigns: Mapping[int, str], corrections: Mapping[int, str] = NO_CORRECTIONS
    ) -> TransferResponse:
        """The transfer as the API shows it; ``campaigns`` names campaigns by number, ``corrections`` corrections of many by the
        first transfer of a transaction.
        """
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
            accounting_date=transfer.accounting_date,
            correction=corrections.get(transfer.transaction_id),
        )


def _redemption_id(transfer: Transfer, book: Book) -> str | None:
    names = (describe_account(account) for account in (transfer.debit, transfer.credit))
    return next((found for name in names if (found := _redemption_id_of(name, book))), None)


def _redemption_id_of(name: AccountName, book: Book) -> str | None:
    return identifiers.redemption_id(book.book_id, name.number) if name.owner is OwnerTag.REDEMPTION else None


class TransfersResponse(msgspec.Struct, frozen=True):
    """A page of the log."""

    items: Sequence[TransferResponse]
    """The transfers of this page."""
    next: str | None
    """The `after` of the next page; null on the last page."""
    cut: CutResponse
    """The cut up to which the log is listed."""
