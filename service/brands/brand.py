"""What the service knows of a tenant."""

from __future__ import annotations

from typing import Literal

import msgspec

from ledger import Book, Calendar, PointValue
from service.brands.calendars import calendar_of

Mode = Literal["live", "test"]

Language = Literal["ar", "de", "en", "es", "fr", "it", "nl", "pt"]
"""A language of the pages (BCP 47): those there are texts for."""


Font = Literal["system", "humanist", "geometric", "rounded", "serif", "slab", "mono"]
"""A family of typefaces for pages. All of it is on the customer's device: a page loads nothing."""

CORNER_RADIUS = 16
"""How round corners are unless a brand says otherwise, in pixels."""


class Goal(msgspec.Struct, frozen=True):
    """A reward to save for. The wallet shows progress towards it."""

    name: str
    """The reward, as the wallet shows it."""
    points: int
    """What it costs, in points."""


class AndroidApp(msgspec.Struct, frozen=True):
    """An Android app that may open the brand's links."""

    package: str
    """The app's package name, such as `com.example.shop`."""
    sha256: tuple[str, ...]
    """SHA-256 fingerprints of the app's signing certificates, such as `14:6D:E9:...`."""


class AppLinks(msgspec.Struct, frozen=True):
    """The brand's apps that may open its links."""

    apple: tuple[str, ...] = ()
    """Apple app ids, such as `ABCDE12345.com.example.app`."""
    android: tuple[AndroidApp, ...] = ()
    """Android apps."""


class Brand(msgspec.Struct, frozen=True):
    """A tenant and the book it keeps. ``mode`` and ``time_zone`` are fixed for ever.

    ``point_value`` is what its points are worth now; ``None``: nobody has said so, and redemptions are in points alone.
    ``logo``, ``logo_dark`` (for dark pages) and ``banner`` name pictures in `brand_logo`; ``picture``, ``dark_picture`` and
    ``banner_picture`` are they where pages are made: see `BrandDirectory`;
    ``home_url`` is where a customer goes when nothing better is known;
    ``link_base_url`` is what links begin with, where the brand has proved a host of its own.
    ``late_capture_grace_s`` is how long after its deadline a hold may be captured;
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
    language: Language = "en"
    logo: str | None = None
    home_url: str | None = None
    link_base_url: str | None = None
    app_links: AppLinks = AppLinks()
    goals: tuple[Goal, ...] = ()
    late_capture_grace_s: int = 0
    picture: bytes | None = None
    logo_dark: str | None = None
    dark_picture: bytes | None = None
    banner: str | None = None
    banner_picture: bytes | None = None
    font: Font = "system"
    corner_radius: int = CORNER_RADIUS

    @property
    def picture_names(self) -> tuple[str | None, str | None, str | None]:
        """Which pictures its pages show."""
        return self.logo, self.logo_dark, self.banner

    @property
    def has_pictures(self) -> bool:
        """Whether all of them are here."""
        pictures = (self.picture, self.dark_picture, self.banner_picture)
        return all(name is None or picture is not None for name, picture in zip(self.picture_names, pictures, strict=True))

    @property
    def calendar(self) -> Calendar:
        """Which day it is where the brand keeps its books."""
        return calendar_of(self.time_zone)
