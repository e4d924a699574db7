"""A file of balances that a brand brings along: CSV in UTF-8, its first line the names of its columns.

    id          the brand's own id of the customer, or our number of them (``cus_``)
    points      a whole number, from 1
    expires_on  the last day they can be spent, as in 2027-12-31; empty or absent: never
    class       engagement, purchase or third_party; empty or absent: engagement

A customer may have several lines, one for each last day and class. Blanks around a field are no part of it; empty lines are
passed over. A file is known by what it says: saved again by another program, in another order, it is the same.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Sequence
from datetime import date

import msgspec

from ledger import POINTS_MAX, AccountClass
from service.http.identifiers import CUSTOMER_ID_PREFIX, parse_customer_id
from service.http.names import refusal_of

COLUMNS = ("id", "points", "expires_on", "class")
_WRONG_MAX = 10
_POINTS = re.compile(r"[1-9][0-9]{0,9}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class BalanceFileInvalid(Exception):
    """Why a file of balances is not imported; the message is for the operator."""


class BroughtBalance(msgspec.Struct, frozen=True):
    """One line, and where the file has it."""

    id: str
    points: int
    expires_on: date | None
    account_class: AccountClass
    line: int

    @property
    def number(self) -> int | None:
        """Our number of the customer, where the line names them by it."""
        return parse_customer_id(self.id)


def content_hash(brought: Iterable[BroughtBalance]) -> bytes:
    """What a file is known by: the SHA-256 of what its lines say, in order, however they were written."""
    said = sorted((each.id, str(each.expires_on or ""), each.account_class.name, each.points) for each in brought)
    return hashlib.sha256(msgspec.json.encode(said)).digest()


def refused_lines(lines: Sequence[int], why: str) -> BalanceFileInvalid:
    """Why a file is not imported that is wrong in these lines."""
    return _wrong([f"line {line}: {why}" for line in sorted(lines)])


def _wrong(lines: Sequence[str]) -> BalanceFileInvalid:
    more = f"\nand {len(lines) - _WRONG_MAX} more" if len(lines) > _WRONG_MAX else ""
    return BalanceFileInvalid("\n".join(lines[:_WRONG_MAX]) + more)


def read_balances(content: bytes, *, today: date) -> list[BroughtBalance]:
    """Read a file whole. Raises `BalanceFileInvalid`, which names the first lines that are wrong."""
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        header = [column.strip() for column in next(reader, [""])]
        if not {"id", "points"} <= set(header) <= set(COLUMNS) or len(header) != len(set(header)):
            raise BalanceFileInvalid(f"The first line must name the columns, out of {', '.join(COLUMNS)}.")
        balances: list[BroughtBalance] = []
        wrong: list[str] = []
        seen: dict[tuple[str, date | None, AccountClass], int] = {}
        for fields in reader:
            fields = [field.strip() for field in fields]
            if not any(fields):
                continue
            read = _read_line(header, fields, today, reader.line_num)
            if isinstance(read, str):
                wrong.append(f"line {reader.line_num}: {read}")
                continue
            lot = (read.id, read.expires_on, read.account_class)
            if lot in seen:
                wrong.append(f"line {reader.line_num}: the same customer, last day and class as line {seen[lot]}")
            seen[lot] = reader.line_num
            balances.append(read)
    except UnicodeDecodeError:
        raise BalanceFileInvalid("The file is not UTF-8.") from None
    except csv.Error as error:
        raise BalanceFileInvalid(f"The file is not CSV: {error}.") from None
    if wrong:
        raise _wrong(wrong)
    if not balances:
        raise BalanceFileInvalid("There are no lines.")
    return balances


def _read_line(header: list[str], fields: list[str], today: date, line: int) -> BroughtBalance | str:
    """One line, or what is wrong with it."""
    if len(fields) != len(header):
        return f"has {len(fields)} fields, not {len(header)}"
    values = dict(zip(header, fields, strict=True))
    name, points, day, class_name = (values.get(column, "") for column in COLUMNS)
    if (wrong := refusal_of(name)) is not None:
        return f"id {wrong}"
    if name.startswith(CUSTOMER_ID_PREFIX) and parse_customer_id(name) is None:
        return f"{name} is no number of ours"
    if not _POINTS.fullmatch(points) or int(points) > POINTS_MAX:
        return f"points must be a whole number from 1 to {POINTS_MAX}"
    try:
        expires_on = date.fromisoformat(day) if _DAY.fullmatch(day) else None
    except ValueError:
        return "expires_on is not a day"
    if day and expires_on is None:
        return "expires_on must be a day such as 2027-12-31"
    if expires_on is not None and expires_on < today:
        return "expires_on is past"
    if class_name and class_name.upper() not in AccountClass.__members__:
        return "class must be engagement, purchase or third_party"
    return BroughtBalance(name, int(points), expires_on, AccountClass[(class_name or "engagement").upper()], line)
