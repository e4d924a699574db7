"""Finance on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, ClassVar

import msgspec

from ledger import AccountName, Book, Cut, OwnerTag, Transfer, TrialBalance, TrialBalanceLine, describe_account
from service import identifiers
from service.bodies import Body
from service.finance.account_names import account_name, class_of, kind_name, last_day

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


class CutResponse(msgspec.Struct, frozen=True):
    """An instant made exact: all transfers up to and including ``seq``. ``name`` is null for a cut that is not kept."""

    name: str | None
    seq: int
    posted_at: datetime

    @classmethod
    def of(cls, cut: Cut) -> CutResponse:
        """The cut as the API shows it."""
        return cls(cut.name or None, cut.seq, cut.posted_at)


class TrialBalanceAccount(msgspec.Struct, frozen=True):
    """The accounts of one kind, added up. ``balance`` is credits less debits: what is owed, or may still be granted."""

    account: str
    kind: str
    account_class: str | None
    campaign: str | None
    expires_on: date | None
    debits: int
    credits: int
    balance: int


class TrialBalanceResponse(msgspec.Struct, frozen=True):
    """All accounts of the book at a cut. In a book that is sound, debits equal credits."""

    cut: CutResponse
    debits: int
    credits: int
    balanced: bool
    accounts: Sequence[TrialBalanceAccount]

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
    kind: str
    account_class: str | None
    customer: int | None
    campaign: str | None
    redemption_id: str | None
    expires_on: date | None
    debits: int
    credits: int
    balance: int

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
    items: Sequence[AccountBalance]
    next: str | None


class TransferResponse(msgspec.Struct, frozen=True):
    """One row of the log: ``amount`` points from the debited to the credited account.

    ``customer`` is our number of the customer; the log knows no other identity. Transfers that stand or fall together share a
    ``transaction_id``.
    """

    seq: int
    posted_at: datetime
    occurred_at: datetime
    verb: str
    debit: str
    credit: str
    amount: int
    customer: int | None
    campaign: str | None
    grant_id: str | None
    redemption_id: str | None
    transaction_id: int
    due_at: datetime | None

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
