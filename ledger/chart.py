"""The chart of accounts: what an account id says.

An account id is 16 bytes, big-endian, so that ids sort by owner, then kind and class, then last day:

    11 bytes  owner       1 byte tag (house, customer, campaign, redemption), 10 bytes number
     1 byte   kind, class high and low half
     4 bytes  expires_on  days since 2000-01-01; never is 0xFFFFFFFF

A customer's wallet is one range of the primary key, and no account has to be created or looked up before it is posted to.
Ids are in the log for ever: the layout never changes.
"""

from __future__ import annotations

import enum
import functools
from datetime import date, timedelta

import msgspec

from ledger.instants import EPOCH
from ledger.types import AccountClass

OWNER_BYTES = 11
_EPOCH = EPOCH.date()
_EPOCH_ORDINAL = _EPOCH.toordinal()
_NEVER = b"\xff\xff\xff\xff"


class Kind(enum.IntEnum):
    """What an account is. Kinds 1 to 5 never go below zero; a CHECK of the table says so."""

    LOT = 1
    PENDING = 2
    HELD = 3
    SPENT = 4
    BUDGET = 5
    UNLIMITED_BUDGET = 6
    ISSUANCE = 7
    BREAKAGE = 8
    ADJUSTMENT = 9
    OPENING = 10
    LOSS = 11
    TRANSIT = 12


class OwnerTag(enum.IntEnum):
    """Whose account it is."""

    HOUSE = 0
    CUSTOMER = 1
    CAMPAIGN = 2
    REDEMPTION = 3


class AccountName(msgspec.Struct, frozen=True):
    """An account id, taken apart. ``number`` is the customer's, campaign's or redemption's; 0 for the house."""

    owner: OwnerTag
    number: int
    kind: Kind
    account_class: AccountClass
    expires_on: date | None


def owner(tag: OwnerTag, number: int) -> bytes:
    """The 11 bytes with which every account of this owner begins."""
    return bytes((tag, 0, 0)) + number.to_bytes(8, "big")


def account_id(
    tag: OwnerTag,
    number: int,
    kind: Kind,
    account_class: AccountClass = AccountClass.ENGAGEMENT,
    expires_on: date | None = None,
) -> bytes:
    """The 16 bytes of an account."""
    return owner(tag, number) + tail(kind, account_class, expires_on)


def tail(kind: Kind, account_class: AccountClass, expires_on: date | None) -> bytes:
    """The 5 bytes that follow the owner."""
    last_day = _NEVER if expires_on is None else (expires_on.toordinal() - _EPOCH_ORDINAL).to_bytes(4, "big")
    return bytes((kind << 4 | account_class,)) + last_day


def budget(campaign_no: int, *, unlimited: bool = False) -> bytes:
    """A campaign's budget."""
    return account_id(OwnerTag.CAMPAIGN, campaign_no, Kind.UNLIMITED_BUDGET if unlimited else Kind.BUDGET)


def describe_account(account: bytes) -> AccountName:
    """Take an account id apart. Raises ``ValueError`` for what is no account id."""
    if len(account) != 16:
        raise ValueError(f"an account id is 16 bytes, not {len(account)}")
    return AccountName(
        owner=OwnerTag(account[0]),
        number=int.from_bytes(account[3:OWNER_BYTES], "big"),
        kind=Kind(account[OWNER_BYTES] >> 4),
        account_class=AccountClass(account[OWNER_BYTES] & 15),
        expires_on=_last_day(account[12:]),
    )


def number_of(account: bytes) -> int:
    """The customer's, campaign's or redemption's number alone."""
    return int.from_bytes(account[3:OWNER_BYTES], "big")


# Lots end with months, and those of a few years are few.
@functools.lru_cache(4_096)
def _last_day(days: bytes) -> date | None:
    return None if days == _NEVER else _EPOCH + timedelta(days=int.from_bytes(days, "big"))


@functools.lru_cache(4_096)
def month_end(day: date, months: int) -> date:
    """The last day of the month that lies ``months`` after ``day``'s: how long points earned on ``day`` last."""
    first_of_next = day.year * 12 + day.month + months
    return date(first_of_next // 12, first_of_next % 12 + 1, 1) - timedelta(days=1)
