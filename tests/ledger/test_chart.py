"""Account ids: what they say, how they sort, and that SQL reads them as Python does."""

from __future__ import annotations

import itertools
from datetime import date
from typing import Any

import asyncpg
import pytest

from ledger import AccountClass, Kind, OwnerTag, account_id, describe_account, month_end
from ledger.chart import budget, owner, tail

BIG = 2**63 - 1

NAMES = [
    (tag, number, kind, account_class, expires_on)
    for tag, number, kind, account_class, expires_on in itertools.product(
        OwnerTag,
        (0, 1, 255, 256, 2**31, BIG),
        Kind,
        AccountClass,
        (date(2000, 1, 1), date(2026, 11, 30), date(2099, 12, 31), None),
    )
]

PUBLISHED = [  # ids are in the log for ever: these bytes may never change
    (account_id(OwnerTag.HOUSE, 0, Kind.ISSUANCE), "000000000000000000000070ffffffff"),
    (budget(1), "020000000000000000000150ffffffff"),
    (budget(1, unlimited=True), "020000000000000000000160ffffffff"),
    (
        owner(OwnerTag.CUSTOMER, 7) + tail(Kind.LOT, AccountClass.ENGAGEMENT, date(2000, 1, 1)),
        "01000000000000000000071000000000",
    ),
    (
        owner(OwnerTag.CUSTOMER, 7) + tail(Kind.LOT, AccountClass.PURCHASE, date(2026, 11, 30)),
        "01000000000000000000071100002666",
    ),
    (owner(OwnerTag.CUSTOMER, BIG) + tail(Kind.LOT, AccountClass.THIRD_PARTY, None), "0100007fffffffffffffff12ffffffff"),
    (account_id(OwnerTag.REDEMPTION, 258, Kind.HELD), "030000000000000000010230ffffffff"),
]


@pytest.mark.parametrize(("account", "published"), PUBLISHED, ids=[published for _, published in PUBLISHED])
def test_account_ids_are_as_published(account: bytes, published: str) -> None:
    assert account.hex() == published


def test_an_account_id_says_what_it_was_made_of() -> None:
    for tag, number, kind, account_class, expires_on in NAMES:
        name = describe_account(account_id(tag, number, kind, account_class, expires_on))
        assert (name.owner, name.number, name.kind, name.account_class, name.expires_on) == (
            tag,
            number,
            kind,
            account_class,
            expires_on,
        )


def test_account_ids_sort_by_owner_kind_class_and_last_day_with_never_last() -> None:
    in_order = sorted(NAMES, key=lambda name: (*name[:4], name[4] or date.max))
    assert sorted(account_id(*name) for name in NAMES) == [account_id(*name) for name in in_order]


NO_ACCOUNT_IDS = [
    b"",
    bytes(15),
    bytes(17),
    b"\x09" + bytes(15),
    bytes(11) + b"\xf0" + bytes(4),
    bytes(11) + b"\x1f" + bytes(4),
]


@pytest.mark.parametrize("account", NO_ACCOUNT_IDS, ids=lambda account: account.hex() or "nothing")
def test_what_is_no_account_id_is_refused(account: bytes) -> None:
    with pytest.raises(ValueError, match=r"16 bytes|is not a valid"):
        describe_account(account)


async def test_sql_reads_and_makes_account_ids_as_python_does(application_pool: asyncpg.Pool[Any]) -> None:
    rows = await application_pool.fetch(
        """
        SELECT
            name.account, ledger.account_kind_v1(name.account) AS kind,
            ledger.account_expires_on_v1(name.account) AS expires_on,
            ledger.account_owner_v1(name.tag, name.number) AS owner,
            ledger.account_id_v1(name.owner, name.kind_and_class, name.expires_on) AS id
        FROM unnest($1::bytea[], $2::integer[], $3::bigint[], $4::bytea[], $5::integer[], $6::date[])
            AS name (account, tag, number, owner, kind_and_class, expires_on)
        """,
        [account_id(*name) for name in NAMES],
        [name[0] for name in NAMES],
        [name[1] for name in NAMES],
        [owner(*name[:2]) for name in NAMES],
        [name[2] << 4 | name[3] for name in NAMES],
        [name[4] or date.max for name in NAMES],
    )
    for name, row in zip(NAMES, rows, strict=True):
        assert row["account"] == account_id(*name) == row["id"]
        assert row["owner"] == owner(*name[:2]) == row["account"][:11]
        assert (row["kind"], row["expires_on"]) == (name[2], name[4] or date.max)


MONTH_ENDS = [
    (date(2026, 11, 22), 12, date(2027, 11, 30)),
    (date(2026, 11, 1), 1, date(2026, 12, 31)),
    (date(2026, 11, 30), 2, date(2027, 1, 31)),
    (date(2026, 12, 31), 1, date(2027, 1, 31)),
    (date(2027, 1, 31), 1, date(2027, 2, 28)),
    (date(2027, 1, 31), 13, date(2028, 2, 29)),  # a leap year
    (date(2096, 2, 29), 48, date(2100, 2, 28)),  # and a year that is none
    (date(2026, 5, 5), 0, date(2026, 5, 31)),
    (date(2026, 5, 5), 120, date(2036, 5, 31)),
]


@pytest.mark.parametrize(("day", "months", "last_day"), MONTH_ENDS, ids=str)
def test_points_last_to_the_end_of_a_month(day: date, months: int, last_day: date) -> None:
    assert month_end(day, months) == last_day
