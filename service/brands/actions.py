"""Creating a brand: what the operator's command line does, over the owner's connection."""

from __future__ import annotations

import functools
import re
import zoneinfo
from collections.abc import Sequence
from typing import Any

import asyncpg

from ledger import Book, IssueLimitResult, open_book, set_issue_limit
from service.brands.brand import Brand, Mode
from service.brands.calendars import learn_from
from service.brands.destinations import DestinationRefused, normal_entry
from service.brands.errors import BrandExists, BrandInvalid, BrandUnknown, IssueLimitRefused
from service.brands.tables import brand as brands

ISSUE_LIMIT_DEFAULT = 1_000_000_000_000
ISSUE_LIMIT_MAX = 1_000_000_000_000_000_000
ACCENT_COLOR_DEFAULT = "#1f4fd8"

# The list is read from some hundred files.
_time_zones = functools.cache(zoneinfo.available_timezones)


async def create_brand(
    connection: asyncpg.Connection[Any],
    *,
    code: str,
    name: str,
    mode: Mode,
    points_code: str,
    points_name: str,
    currency: str,
    time_zone: str,
    issue_limit: int = ISSUE_LIMIT_DEFAULT,
    accent_color: str = ACCENT_COLOR_DEFAULT,
    destination_hosts: Sequence[str] = (),
) -> Brand:
    """Create a brand and open its book, in one transaction. Raises `BrandExists` or `BrandInvalid`."""
    normal_hosts = _check(
        code, name, mode, points_code, points_name, currency, time_zone, issue_limit, accent_color, destination_hosts
    )
    try:
        await learn_from(connection, time_zone)
    except asyncpg.InvalidParameterValueError as error:
        raise BrandInvalid(f"The database does not know the time zone {time_zone!r}: its zones are older.") from error
    async with connection.transaction():
        if await connection.fetchval(f"SELECT true FROM {brands.fullname} WHERE code = $1", code):
            raise BrandExists(f"There is a brand {code!r} already.")
        # The book needs the brand's number and the brand its book's, so the number is drawn first.
        brand_id: int = await connection.fetchval("SELECT nextval(pg_get_serial_sequence($1, 'brand_id'))", brands.fullname)
        book = await open_book(
            connection,
            brand_id=brand_id,
            unit=points_code,
            time_zone=time_zone,
            issue_limit=issue_limit,
            mode=mode,
        )
        try:
            await connection.execute(
                _INSERT,
                brand_id, code, name, mode, points_code, points_name, currency, time_zone, book.book_id, accent_color,
                list(normal_hosts),
            )  # fmt: skip
        except asyncpg.UniqueViolationError as error:
            raise BrandExists(f"There is a brand {code!r} already.") from error
    return Brand(
        brand_id=brand_id,
        book=book,
        code=code,
        name=name,
        mode=mode,
        points_code=points_code,
        points_name=points_name,
        currency=currency,
        time_zone=time_zone,
        accent_color=accent_color,
        destination_hosts=normal_hosts,
    )


async def change_issue_limit(connection: asyncpg.Connection[Any], code: str, limit: int) -> tuple[int, IssueLimitResult]:
    """Set how many points a brand may ever issue; return its number and what was before.

    Raises `BrandUnknown`, or `IssueLimitRefused` for less than was issued.
    """
    row = await connection.fetchrow(f"SELECT brand_id, book_id FROM {brands.fullname} WHERE code = $1", code)
    if row is None:
        raise BrandUnknown(f"There is no brand {code!r}.")
    result = await set_issue_limit(connection, Book(brand_id=row["brand_id"], book_id=row["book_id"]), limit)
    if not result.changed:
        raise IssueLimitRefused(f"The brand has issued {result.issued} points; the limit cannot be less.")
    return row["brand_id"], result


_INSERT = f"""
    INSERT INTO {brands.fullname}
        (brand_id, code, name, mode, points_code, points_name, currency, time_zone, book_id, accent_color, destination_hosts)
    OVERRIDING SYSTEM VALUE
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""


def _check(
    code: str,
    name: str,
    mode: str,
    points_code: str,
    points_name: str,
    currency: str,
    time_zone: str,
    issue_limit: int,
    accent_color: str,
    destination_hosts: Sequence[str],
) -> tuple[str, ...]:
    """The destination hosts in their normal form. Raises ``BrandInvalid`` with all that is wrong."""
    wrong: list[str] = []
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,38}", code):
        wrong.append(f"code {code!r} must be 1 to 39 of a-z, 0-9 and -, beginning with a letter or a digit")
    if code.startswith("cus"):
        wrong.append(f"code {code!r} must not begin with cus, which customers' ids begin with")
    if mode not in {"live", "test"}:
        wrong.append(f"mode {mode!r} must be live or test")
    for field, text in (("name", name), ("points name", points_name)):
        if not 1 <= len(text) <= 100 or not text.isprintable():
            wrong.append(f"{field} must be 1 to 100 printable characters")
    if not re.fullmatch(r"[A-Z][A-Z0-9]{1,11}", points_code):
        wrong.append(f"points code {points_code!r} must be 2 to 12 of A-Z and 0-9, beginning with a letter, as in PTS")
    if not re.fullmatch(r"[A-Z]{3}", currency):
        wrong.append(f"currency {currency!r} must be a code of three letters, as in EUR")
    if time_zone not in _time_zones():
        wrong.append(f"time zone {time_zone!r} must be a name from the IANA list, as in Europe/Berlin")
    if not 0 <= issue_limit <= ISSUE_LIMIT_MAX:
        wrong.append(f"issue limit must be between 0 and {ISSUE_LIMIT_MAX}")
    if not re.fullmatch(r"#[0-9a-f]{6}", accent_color):
        wrong.append(f"accent colour {accent_color!r} must be written as in #1f4fd8")
    normal_hosts: list[str] = []
    for host in destination_hosts:
        try:
            normal_hosts.append(normal_entry(host))
        except DestinationRefused:
            wrong.append(f"destination host {host!r} must be a host name, with a port if need be, as in shop.example")
    if wrong:
        raise BrandInvalid("; ".join(wrong))
    return tuple(normal_hosts)
