"""What queries ask for: days, and filters; those that no index answers are refused unless another leaves few rows to look at.

A page of a list looks at so many rows and no more. That is always quick, and finds what is frequent; what is rare would take
thousands of empty pages. So who asks for something rare says where to look.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Annotated

from litestar.params import QueryParameter

from service.http.identifiers import parse_key_id
from service.http.periods import YEAR_MAX
from service.http.problems import FieldError, Problem, invalid_field

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)

DAYS_MAX = 31
"""How many days are narrow enough."""

PrincipalFilter = Annotated[
    str | None,
    QueryParameter(
        name="principal",
        description="The id of the API key that reported the event, such as `key_12`; `none`: our own links.",
    ),
]

MetadataFilter = Annotated[
    str | None,
    QueryParameter(
        description="A name in the event's metadata and its value, such as `store:Mitte`. The first colon ends the name;"
        " numbers and `true`, `false`, `null` are written as in JSON."
    ),
]


def check_narrow(asked: Mapping[str, object], narrow: Sequence[str], since: date | None, until: date | None) -> None:
    """Raise ``filter_too_broad`` if one of the filters is ``asked`` for, and neither one of those in ``narrow`` nor a month.

    Filters that are not asked for are ``None`` in it. Those in ``narrow`` come in the order in which they are proposed.
    """
    broad = [name for name, sent in asked.items() if sent is not None and name not in narrow]
    if not broad or any(asked[name] is not None for name in narrow) or _is_short(since, until):
        return
    detail = f"?{broad[0]}: add {', '.join(narrow)}, or from and to with at most {DAYS_MAX} days"
    errors = [FieldError(f"?{name}", "filter_too_broad", f"add it, to search by {broad[0]}") for name in narrow]
    days = FieldError("?from", "filter_too_broad", f"or add from and to, with at most {DAYS_MAX} days")
    raise Problem("filter_too_broad", detail, errors=[*errors, days])


def _is_short(since: date | None, until: date | None) -> bool:
    return since is not None and until is not None and until - since < timedelta(days=DAYS_MAX)


def read_principal(sent: str) -> int:
    """The number of the API key that ``?principal=`` names; 0 is nobody's. Raises the problem of what names none."""
    number = 0 if sent == "none" else parse_key_id(sent)
    if number is None:
        raise invalid_field("?principal", "must be the id of an API key, such as key_12, or `none`")
    return number


def read_metadata(sent: str) -> tuple[str, str]:
    """The name and the value in ``?metadata=``. Raises the problem of what has no colon between the two."""
    name, colon, value = sent.partition(":")
    if not colon:
        raise invalid_field("?metadata", "must be a name and a value with a colon between them, such as store:Mitte")
    return name, value


def read_date(pointer: str, sent: str) -> date:
    """The date that ``sent`` spells. Raises the problem of the field at ``pointer``."""
    try:
        day = date.fromisoformat(sent) if _DATE.fullmatch(sent) else None
    except ValueError:
        day = None
    if day is None:
        raise invalid_field(pointer, "must be a date, such as 2026-11-30")
    if day.year > YEAR_MAX:
        raise invalid_field(pointer, f"must not be after {YEAR_MAX}-12-31")
    return day


def read_days(since: str | None, until: str | None) -> tuple[date | None, date | None]:
    """The days that ``?from=`` and ``?to=`` spell; ``None`` is any. Raises the problem of what spells none."""
    first = None if since is None else read_date("?from", since)
    last = None if until is None else read_date("?to", until)
    if first is not None and last is not None and last < first:
        raise invalid_field("?to", "must not be before `from`")
    return first, last
