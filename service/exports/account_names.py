"""What an account is called: in our own files and answers, and in the journals.

    ours      lot:<customer>:<class>:<last day>   held:<redemption>:<class>:<last day>   budget:<campaign>          issuance
    journals  Liabilities:Customers:C<customer>   Liabilities:Held:R<redemption>         Equity:Budgets:K<number>   ...

The database says our names too (``account_name_v1``); a test compares them. A journal account gathers all lots of a customer,
and all that one redemption holds or has spent. Account ids sort by owner and kind, so the parts of a journal account always
stand next to each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import msgspec

from ledger import AccountClass, AccountName, Kind, OwnerTag, describe_account

NEVER = "never"

_JOURNAL_ROOTS = {
    Kind.LOT: "Liabilities:Customers",
    Kind.PENDING: "Liabilities:Pending",
    Kind.HELD: "Liabilities:Held",
    Kind.SPENT: "Equity:Spent",
    Kind.BUDGET: "Equity:Budgets",
    Kind.UNLIMITED_BUDGET: "Equity:UnlimitedBudgets",
    Kind.ISSUANCE: "Equity:Issuance",
    Kind.BREAKAGE: "Income:Breakage",
    Kind.ADJUSTMENT: "Expenses:Adjustments",
    Kind.OPENING: "Equity:Opening",
    Kind.LOSS: "Expenses:Losses",
    Kind.TRANSIT: "Assets:Transit",
}
_JOURNAL_LETTERS = {OwnerTag.CUSTOMER: "C", OwnerTag.REDEMPTION: "R", OwnerTag.CAMPAIGN: "K"}
_KINDS_WITH_LAST_DAY = frozenset((Kind.LOT, Kind.HELD, Kind.SPENT))
_KINDS_WITHOUT_CLASS = frozenset((Kind.BUDGET, Kind.UNLIMITED_BUDGET, Kind.ISSUANCE))
_CLASSES = {account_class: account_class.name.lower() for account_class in AccountClass}


def kind_name(kind: Kind) -> str:
    """The kind as files and answers write it."""
    return kind.name.lower()


def class_name(account_class: AccountClass) -> str:
    """The accounting class as files and answers write it."""
    return _CLASSES[account_class]


def last_day(expires_on: date | None) -> str:
    """The last spendable day as files write it."""
    return NEVER if expires_on is None else expires_on.isoformat()


def class_of(name: AccountName) -> str | None:
    """The accounting class, None where it means nothing."""
    return None if name.kind in _KINDS_WITHOUT_CLASS else class_name(name.account_class)


def last_day_of(name: AccountName) -> str | None:
    """The last spendable day, None where it means nothing."""
    return last_day(name.expires_on) if name.kind in _KINDS_WITH_LAST_DAY else None


def account_name(account: bytes, campaigns: Mapping[int, str]) -> str:
    """Our name of an account. A campaign that is not in ``campaigns`` keeps its number."""
    name = describe_account(account)
    owner = None if name.owner is OwnerTag.HOUSE else str(name.number)
    if name.owner is OwnerTag.CAMPAIGN:
        owner = campaigns.get(name.number, owner)
    return ":".join(part for part in (kind_name(name.kind), owner, class_of(name), last_day_of(name)) if part is not None)


def by_number(texts: Mapping[int, str]) -> str:
    """Texts by number, as JSON, from which the database takes them when it writes rows."""
    return msgspec.json.encode(texts).decode()


def journal_account(account: bytes) -> str:
    """The name of an account in a journal, which both beancount and hledger accept."""
    name = describe_account(account)
    root = _JOURNAL_ROOTS[name.kind]
    return root if name.owner is OwnerTag.HOUSE else f"{root}:{_JOURNAL_LETTERS[name.owner]}{name.number}"
