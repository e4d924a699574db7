"""Which code each account of the summarised journal has in the brand's general ledger, from which day on.

An account stands for all whose names begin with its own, so ``Liabilities`` is enough for one code for all that is owed. As a
file, codes are CSV with the columns below; whichever way they come, the same codes have the same ``sha256``.
"""

from __future__ import annotations

import csv
import io
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import date
from hashlib import sha256

import msgspec

from service.exports.journal_accounts import SUMMARY_ACCOUNTS

CODE_MAX = 64
CODES_MAX = 1_000
_COLUMNS = ("account", "code", "valid_from")
_WRONG_MAX = 10


class AccountCodesInvalid(Exception):
    """The codes say something that cannot be meant; the message is for people."""


class AccountCode(msgspec.Struct, frozen=True):
    """The code of one account, from the day ``valid_from`` on; ``None``: from the beginning."""

    account: str
    code: str
    valid_from: date | None = None


class AccountCodes(msgspec.Struct, frozen=True):
    """Codes by account, each with the days from which they apply, in order."""

    by_account: Mapping[str, tuple[tuple[date, ...], tuple[str, ...]]]
    sha256: str | None = None

    def code(self, account: str, on: date) -> str:
        """The code of ``account`` on a day: that of the longest name given for it; empty if there is none."""
        name = account
        while name:
            days, codes = self.by_account.get(name, ((), ()))
            if place := bisect_right(days, on):
                return codes[place - 1]
            name = name.rpartition(":")[0]
        return ""

    def listed(self) -> list[AccountCode]:
        """All codes."""
        return [
            AccountCode(account, code, None if day == date.min else day)
            for account, (days, codes) in self.by_account.items()
            for day, code in zip(days, codes, strict=True)
        ]


NO_CODES = AccountCodes({})


def wrong_codes(codes: Sequence[AccountCode]) -> list[tuple[int, str, str]]:
    """What cannot be meant: the place of the code, its field, and why."""
    wrong: list[tuple[int, str, str]] = []
    seen: set[tuple[str, date | None]] = set()
    for place, each in enumerate(codes):
        if not any(f"{known}:".startswith(f"{each.account}:") for known in SUMMARY_ACCOUNTS):
            wrong.append((place, "account", f"there is no account {each.account!r} in the summarised journal"))
        elif (each.account, each.valid_from) in seen:
            wrong.append((place, "valid_from", f"{each.account} has a code of this day already"))
        if not 1 <= len(each.code) <= CODE_MAX or not each.code.isprintable():
            wrong.append((place, "code", f"must be 1 to {CODE_MAX} printable characters"))
        seen.add((each.account, each.valid_from))
    return wrong


def account_codes(codes: Sequence[AccountCode]) -> AccountCodes:
    """Codes that nothing is wrong with, to be looked up."""
    if not codes:
        return NO_CODES
    ordered = sorted((each.account, each.valid_from or date.min, each.code) for each in codes)
    by_account: dict[str, tuple[tuple[date, ...], tuple[str, ...]]] = {}
    for account, valid_from, code in ordered:
        days, given = by_account.get(account, ((), ()))
        by_account[account] = (*days, valid_from), (*given, code)
    return AccountCodes(by_account, sha256(msgspec.json.encode(ordered)).hexdigest())


def read_account_codes(content: bytes) -> AccountCodes:
    """Read a file of codes. Raises `AccountCodesInvalid`, which names the first lines that are wrong."""
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        header = [column.strip() for column in next(reader, [""])]
        lines = [(reader.line_num, [field.strip() for field in fields]) for fields in reader if any(fields)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise AccountCodesInvalid(f"this is no CSV file in UTF-8: {error}") from None
    if not {"account", "code"} <= set(header) <= set(_COLUMNS) or len(header) != len(set(header)):
        raise AccountCodesInvalid(f"the first line must name the columns, out of {', '.join(_COLUMNS)}")
    if len(lines) > CODES_MAX:
        raise AccountCodesInvalid(f"there are more than {CODES_MAX:,} lines")
    codes = [_read(line, header, fields) for line, fields in lines]
    if wrong := wrong_codes(codes):
        shown = [f"line {lines[place][0]}: {field}: {why}" for place, field, why in wrong[:_WRONG_MAX]]
        raise AccountCodesInvalid("; ".join(shown))
    return account_codes(codes)


def _read(line: int, header: list[str], fields: list[str]) -> AccountCode:
    if len(fields) != len(header):
        raise AccountCodesInvalid(f"line {line}: has {len(fields)} fields, not {len(header)}")
    cells = dict(zip(header, fields, strict=True))
    valid_from = cells.get("valid_from")
    try:
        return AccountCode(cells["account"], cells["code"], date.fromisoformat(valid_from) if valid_from else None)
    except ValueError:
        raise AccountCodesInvalid(f"line {line}: valid_from: must be a day, as in 2027-01-31") from None
