"""What the service knows of a tenant."""

from __future__ import annotations

from typing import Literal

import msgspec

from ledger import Book, PointValue

Mode = Literal["live", "test"]


class Brand(msgspec.Struct, frozen=True):
    """A tenant and the book it keeps. ``mode`` and ``time_zone`` are fixed for ever.

    ``point_value`` is what its points are worth now; ``None``: nobody has said so, and redemptions are in points alone.
    ``consent_no`` is how often its customers' consents had been changed when it was read.
    """

    brand_id: int
    book: Book
    code: str
    name: str
    mode: Mode
    points_code: str
    points_name: str
    currency: str
    time_zone: str
    accent_color: str
    destination_hosts: tuple[str, ...]
    point_value: PointValue | None = None
    point_value_version: int | None = None
    consent_no: int = 0
