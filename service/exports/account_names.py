"""What an account is called in our own files and answers; in journals it is another's business (``journal_accounts.py``).

    lot:<customer>:<class>:<last day>   held:<redemption>:<class>:<last day>   budget:<campaign>   issuance

The database says these names too (``account_name_v1``); a test compares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import msgspec

from ledger import AccountClass, AccountName, Kind, OwnerTag, describe_account

NEVER = "never"

KINDS_WITH_LAST_DAY = frozenset((Kind.LOT, Kind.HELD, Kind.SPENT))
KINDS_WITHOUT_CLASS = frozenset((Kind.BUDGET, Kind.UNLIMITED_BUDGET, Kind.ISSUANCE))
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
    return None if name.kind in KINDS_WITHOUT_CLASS else class_name(name.account_class)


def last_day_of(name: AccountName) -> str | None:
    """The last spendable day, None where it means nothing."""
    return last_day(name.expires_on) if name.kind in KINDS_WITH_LAST_DAY else None


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
