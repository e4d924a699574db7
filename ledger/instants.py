"""Instants as whole microseconds: since 2000 as PostgreSQL counts them, since 1970 as Unix does.

Whole, because a fraction would be rounded, and equal instants must stay equal.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""PostgreSQL's."""

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(at: datetime) -> int:
    """Microseconds from PostgreSQL's epoch to an instant."""
    return (at - EPOCH) // _MICROSECOND


def unix_microseconds(at: datetime) -> int:
    """Microseconds from the Unix epoch to an instant."""
    return (at - _UNIX_EPOCH) // _MICROSECOND


def from_unix_microseconds(count: int) -> datetime:
    """The instant so many microseconds after the Unix epoch."""
    return _UNIX_EPOCH + count * _MICROSECOND
