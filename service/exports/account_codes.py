"""Which code each journal account has in the brand's general ledger: a CSV file with the columns below.

account      a journal account, or what its name begins with: ``Liabilities`` stands for all accounts under it
code         the general ledger's own, as it is
valid_from   the first day on which it applies; empty: from the beginning
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
LINES_MAX = 10_000
FILE_BYTES_MAX = 1 << 20
_COLUMNS = ("account", "code", "valid_from")
_REQUIRED = ("account", "code")


class AccountCodesInvalid(ValueError):
    """The file says something that cannot be meant; its text names the lines."""


class AccountCodes(msgspec.Struct, frozen=True):
    """Codes by account, each with the days from which they apply, in order. ``sha256`` is the file's."""

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


NO_CODES = AccountCodes({})


def read_account_codes(content: bytes) -> AccountCodes:
    """Read the file. Raises `AccountCodesInvalid` with all that is wrong."""
    if len(content) > FILE_BYTES_MAX:
        raise AccountCodesInvalid(f"The file has more than {FILE_BYTES_MAX:,} bytes.")
    try:
        rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise AccountCodesInvalid(f"This is no CSV file in UTF-8: {error}") from None
    if len(rows) > LINES_MAX:
        raise AccountCodesInvalid(f"The file has more than {LINES_MAX:,} lines.")
    wrong: list[str] = []
    found: dict[tuple[str, date], str] = {}
    for line, row in enumerate(rows, 2):
        try:
            account, code, valid_from = _read(row)
            if (account, valid_from) in found:
                raise ValueError(f"{account} has a code of this day already")
            found[account, valid_from] = code
        except ValueError as error:
            wrong.append(f"line {line}: {error}")
    if wrong:
        raise AccountCodesInvalid("; ".join(wrong))
    return AccountCodes(_by_account(found), sha256(content).hexdigest())


def _read(row: Mapping[str | None, str | Sequence[str] | None]) -> tuple[str, str, date]:
    cells = {name: cell.strip() for name, cell in row.items() if isinstance(name, str) and isinstance(cell, str)}
    if unknown := [str(name) for name in row if name not in _COLUMNS]:
        raise ValueError(f"there is no column {unknown[0]}")
    if missing := [name for name in _REQUIRED if not cells.get(name)]:
        raise ValueError(f"{missing[0]} is missing")
    account, code, valid_from = cells["account"], cells["code"], cells.get("valid_from")
    if not any(f"{known}:".startswith(f"{account}:") for known in SUMMARY_ACCOUNTS):
        raise ValueError(f"there is no account {account!r}")
    if len(code) > CODE_MAX or not code.isprintable():
        raise ValueError(f"a code has at most {CODE_MAX} characters, all of them printable")
    return account, code, date.fromisoformat(valid_from) if valid_from else date.min


def _by_account(found: Mapping[tuple[str, date], str]) -> dict[str, tuple[tuple[date, ...], tuple[str, ...]]]:
    gathered: dict[str, tuple[tuple[date, ...], tuple[str, ...]]] = {}
    for (account, valid_from), code in sorted(found.items()):
        days, codes = gathered.get(account, ((), ()))
        gathered[account] = (*days, valid_from), (*codes, code)
    return gathered
