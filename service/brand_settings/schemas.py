"""A brand on the wire. A bound that PUT and PATCH share is a type alias."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from ledger import TERM_MAX, PointValue
from service.brand_settings import link_hosts
from service.brand_settings.link_hosts import HostClaim
from service.brands import logos
from service.brands.actions import ISSUE_LIMIT_MAX
from service.brands.brand import AppLinks, Brand, Font, Goal, Language
from service.http.bodies import Body, Points

DESTINATION_HOSTS_MAX = 100
GOALS_MAX = 20
APPS_MAX = 20
LOGO_CHARACTERS_MAX = 4 * (logos.BYTES_MAX // 3 + 1)

Term = Annotated[int, msgspec.Meta(ge=1, le=TERM_MAX)]
DisplayName = Annotated[str, msgspec.Meta(min_length=1, max_length=100, description="At most 100 printable characters.")]
AccentColor = Annotated[str, msgspec.Meta(pattern="^#[0-9a-f]{6}$(?!\\n)")]
DestinationHosts = Annotated[list[str], msgspec.Meta(max_length=DESTINATION_HOSTS_MAX)]
Logo = Annotated[str, msgspec.Meta(max_length=LOGO_CHARACTERS_MAX)]
CornerRadius = Annotated[int, msgspec.Meta(ge=0, le=32)]
AppleApps = Annotated[
    list[Annotated[str, msgspec.Meta(pattern=r"^[A-Z0-9]{10}\.[A-Za-z0-9.-]{1,155}$(?!\n)")]],
    msgspec.Meta(max_length=APPS_MAX),
]


class PointValueRequest(Body, frozen=True):
    """What points are worth: `points` points equal `minor_units` of the brand's currency. 100 and 50 make half a cent a
    point."""

    points: Term
    """This number of points ..."""
    minor_units: Term
    """... is worth this many minor units (cents, pence, yen) of the brand's currency."""


class PointValueResponse(msgspec.Struct, frozen=True):
    """What points are worth: `points` points equal `minor_units` of the brand's currency."""

    points: int
    """This number of points ..."""
    minor_units: int
    """... is worth this many minor units (cents, pence, yen) of the brand's currency."""

    @classmethod
    def of(cls, value: PointValue | None) -> PointValueResponse | None:
        """The value of a brand's points; ``None`` if it has none."""
        return None if value is None else cls(value.points, value.minor_units)


class PointValueChange(Body, frozen=True):
    """Another value of points, which waits for approval."""

    points: Term
    """This number of points ..."""
    minor_units: Term
    """... is to be worth this many minor units of the brand's currency."""
    replaces: int = 0
    """The version that it takes the place of; 0: the brand has none."""


class IssueLimitRequest(Body, frozen=True):
    """How many points the brand may issue."""

    example: ClassVar[dict[str, Any]] = {"points": 2_000_000_000_000}

    points: Annotated[int, msgspec.Meta(ge=0, le=ISSUE_LIMIT_MAX)]
    """How many points the brand may issue in total, including those it has issued already."""


class IssueLimitChange(IssueLimitRequest, frozen=True):
    """Another limit of issue, which waits for approval."""

    example: ClassVar[dict[str, Any]] = IssueLimitRequest.example | {"replaces": 1_000_000_000_000}

    replaces: int
    """The limit that it takes the place of."""


class IssueLimitResponse(msgspec.Struct, frozen=True):
    """How many points the brand may issue."""

    points: int
    """How many points the brand may issue in total, including those it has issued already."""
    issued: int
    """How many it has issued: what campaigns were funded with."""


class PointValueVersionResponse(msgspec.Struct, frozen=True):
    """What points were worth from `valid_from` until the next version."""

    version: int
    """The number of this version: 1, 2, 3 ..."""
    points: int
    """This number of points ..."""
    minor_units: int
    """... was worth this many minor units of the brand's currency."""
    valid_from: datetime
    """When this version took effect."""


class GoalRequest(Body, frozen=True):
    """A reward to save for. The wallet shows progress towards it."""

    name: DisplayName
    """The reward, as the wallet shows it."""
    points: Points
    """What it costs, in points."""


class AndroidAppRequest(Body, frozen=True):
    """An Android app that may open the brand's links."""

    package: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+$(?!\n)", max_length=255)]
    """The app's package name, such as `com.example.shop`; at most 255 characters."""
    sha256: Annotated[
        list[Annotated[str, msgspec.Meta(pattern=r"^([0-9A-F]{2}:){31}[0-9A-F]{2}$(?!\n)")]],
        msgspec.Meta(min_length=1, max_length=APPS_MAX),
    ]
    """SHA-256 fingerprints of the app's signing certificates, such as `14:6D:E9:...`."""


AndroidApps = Annotated[list[AndroidAppRequest], msgspec.Meta(max_length=APPS_MAX)]
LateCaptureGrace = Annotated[int, msgspec.Meta(ge=0, le=30 * 86_400)]
Goals = Annotated[list[GoalRequest], msgspec.Meta(max_length=GOALS_MAX)]


class AppLinksRequest(Body, frozen=True):
    """The brand's apps that may open its links. Each link host serves them to Apple's and Google's systems."""

    apple: AppleApps = msgspec.field(default_factory=list[str])
    """App ids, such as `ABCDE12345.com.example.app`."""
    android: AndroidApps = msgspec.field(default_factory=list[AndroidAppRequest])
    """The brand's Android apps."""


class BrandRequest(Body, frozen=True):
    """All settings that can change. Send back what GET returned, with your changes. Fields that cannot change may be left
    out; if present, they must match."""

    name: DisplayName
    """The brand's name as customers see it."""
    points_name: DisplayName
    """The name of the points as customers see it, such as "Beans"."""
    accent_color: AccentColor
    """The colour of buttons and accents on customer pages: `#` and six lower-case hexadecimal digits."""
    destination_hosts: DestinationHosts
    """Hosts that reward links may lead to, each with a port if needed; at most 100."""
    point_value: PointValueRequest | None
    """What points are worth. Null while not set; once set it can change but not be removed."""
    point_value_version: int | None = None
    """The version of the point value you read. If a newer one exists, nothing changes. Absent: change it regardless."""
    language: Language | msgspec.UnsetType = msgspec.UNSET
    """The language of customer pages. This and the fields below keep their value when absent."""
    logo: Logo | msgspec.UnsetType | None = msgspec.UNSET
    """A PNG, JPEG or WebP image in base64, at most 32 KiB and 1,024 pixels wide and high. Every page shows it."""
    logo_dark: Logo | msgspec.UnsetType | None = msgspec.UNSET
    """The logo for dark pages, in the same formats and sizes as `logo`. Null: `logo` is shown on white."""
    banner: Logo | msgspec.UnsetType | None = msgspec.UNSET
    """A wide image above every page: a PNG, JPEG or WebP in base64, at most 32 KiB and 2,048 pixels wide, at least twice as
    wide as high. Null: none."""
    font: Font | msgspec.UnsetType = msgspec.UNSET
    """The typeface of customer pages, as customers' devices have it; pages load none."""
    corner_radius: CornerRadius | msgspec.UnsetType = msgspec.UNSET
    """How round the corners of pages and buttons are, in pixels."""
    home_url: str | msgspec.UnsetType | None = msgspec.UNSET
    """Where customers go when there is no better destination: https, on one of the destination hosts."""
    link_base_url: str | msgspec.UnsetType | None = msgspec.UNSET
    """What links should begin with, such as `https://r.shop.example`, on a host that points here. Setting it claims the
    host; it is used once verified (see `link_host`). Null: this service's address."""
    app_links: AppLinksRequest | msgspec.UnsetType = msgspec.UNSET
    """The brand's apps that may open its links. Absent: unchanged."""
    goals: Goals | msgspec.UnsetType = msgspec.UNSET
    """Rewards to save for, shown in the wallet."""
    late_capture_grace_s: LateCaptureGrace | msgspec.UnsetType = msgspec.UNSET
    """For how many seconds after a hold timed out a capture is still accepted, if the customer has the points; at most 30 days.
    0: for none."""
    code: str | None = None
    """Cannot change: leave it out, or send the current value."""
    mode: str | None = None
    """Cannot change: leave it out, or send the current value."""
    points_code: str | None = None
    """Cannot change: leave it out, or send the current value."""
    currency: str | None = None
    """Cannot change: leave it out, or send the current value."""
    time_zone: str | None = None
    """Cannot change: leave it out, or send the current value."""
    link_host: Any = msgspec.UNSET
    """Read-only. You may send back what GET returned; it changes nothing. Change `link_base_url` instead."""

    example: ClassVar[dict[str, Any]] = {
        "name": "Harbour Coffee",
        "points_name": "Beans",
        "accent_color": "#7a3e1d",
        "destination_hosts": ["shop.example"],
        "point_value": {"points": 10, "minor_units": 100},
        "language": "en",
        "logo": None,
        "goals": [{"name": "Espresso", "points": 22}, {"name": "House blend, 500 g", "points": 115}],
    }


class PointValuePatch(Body, frozen=True):
    """A partial change of the point value; absent fields stay."""

    points: Term | msgspec.UnsetType = msgspec.UNSET
    """This number of points, at most 1,000,000,000 ..."""
    minor_units: Term | msgspec.UnsetType = msgspec.UNSET
    """... is worth this many minor units of the brand's currency, such as cents; at most 1,000,000,000."""


class AppLinksPatch(Body, frozen=True):
    """A partial change of the brand's apps; absent fields stay. A list is replaced whole."""

    apple: AppleApps | msgspec.UnsetType = msgspec.UNSET
    """App ids, such as `ABCDE12345.com.example.app`; at most 20."""
    android: AndroidApps | msgspec.UnsetType = msgspec.UNSET
    """The brand's Android apps; at most 20."""


class BrandPatch(Body, frozen=True):
    """A partial change of the brand's settings (JSON merge patch, RFC 7396): absent fields stay, null clears a field that
    can be null."""

    name: DisplayName | msgspec.UnsetType = msgspec.UNSET
    """The brand's name as customers see it."""
    points_name: DisplayName | msgspec.UnsetType = msgspec.UNSET
    """The name of the points as customers see it, such as "Beans"."""
    accent_color: AccentColor | msgspec.UnsetType = msgspec.UNSET
    """The colour of buttons and accents on customer pages: `#` and six lower-case hexadecimal digits."""
    destination_hosts: DestinationHosts | msgspec.UnsetType = msgspec.UNSET
    """Hosts that reward links may lead to, each with a port if needed; at most 100. The list is replaced whole."""
    point_value: PointValuePatch | msgspec.UnsetType | None = msgspec.UNSET
    """What points are worth. Once set it can change but not be removed."""
    point_value_version: int | msgspec.UnsetType | None = msgspec.UNSET
    """The version of the point value you read. If a newer one exists, nothing changes. Absent: change it regardless."""
    language: Language | msgspec.UnsetType = msgspec.UNSET
    """The language of customer pages."""
    logo: Logo | msgspec.UnsetType | None = msgspec.UNSET
    """A PNG, JPEG or WebP image in base64, at most 32 KiB and 1,024 pixels wide and high. Null: none."""
    logo_dark: Logo | msgspec.UnsetType | None = msgspec.UNSET
    """The logo for dark pages, in the same formats and sizes as `logo`. Null: `logo` is shown on white."""
    banner: Logo | msgspec.UnsetType | None = msgspec.UNSET
    """A wide image above every page: a PNG, JPEG or WebP in base64, at most 32 KiB and 2,048 pixels wide, at least twice as
    wide as high. Null: none."""
    font: Font | msgspec.UnsetType = msgspec.UNSET
    """The typeface of customer pages, as customers' devices have it; pages load none."""
    corner_radius: CornerRadius | msgspec.UnsetType = msgspec.UNSET
    """How round the corners of pages and buttons are, in pixels."""
    home_url: str | msgspec.UnsetType | None = msgspec.UNSET
    """Where customers go when there is no better destination: https, on one of the destination hosts. Null: none."""
    link_base_url: str | msgspec.UnsetType | None = msgspec.UNSET
    """What links should begin with, such as `https://r.shop.example`, on a host that points here. Setting it claims the
    host; it is used once verified (see `link_host`). Null: this service's address."""
    app_links: AppLinksPatch | msgspec.UnsetType = msgspec.UNSET
    """The brand's own apps that may open its links."""
    goals: Goals | msgspec.UnsetType = msgspec.UNSET
    """Rewards to save for, shown in the wallet; at most 20. The list is replaced whole."""
    late_capture_grace_s: LateCaptureGrace | msgspec.UnsetType = msgspec.UNSET
    """For how many seconds after a hold timed out a capture is still accepted, if the customer has the points; at most 30 days.
    0: for none."""
    code: str | msgspec.UnsetType = msgspec.UNSET
    """Cannot change: leave it out, or send the current value."""
    mode: str | msgspec.UnsetType = msgspec.UNSET
    """Cannot change: leave it out, or send the current value."""
    points_code: str | msgspec.UnsetType = msgspec.UNSET
    """Cannot change: leave it out, or send the current value."""
    currency: str | msgspec.UnsetType = msgspec.UNSET
    """Cannot change: leave it out, or send the current value."""
    time_zone: str | msgspec.UnsetType = msgspec.UNSET
    """Cannot change: leave it out, or send the current value."""
    link_host: Any = msgspec.UNSET
    """Read-only. You may send back what GET returned; it changes nothing. Change `link_base_url` instead."""

    example: ClassVar[dict[str, Any]] = {"accent_color": "#7a3e1d", "point_value": {"points": 100, "minor_units": 50}}


class DnsRecord(msgspec.Struct, frozen=True):
    """A DNS record to publish."""

    name: str
    """The record's name, such as `_rewards-challenge.r.shop.example`."""
    type: Literal["TXT"]
    """The record's type."""
    value: str
    """The record's full value. Other records of the same name do not matter."""


class LinkHostResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A host the brand claims for its links, and the state of its verification."""

    host: str
    """The host in its normal form: lower case, A-labels, no default port."""
    state: link_hosts.State
    """`pending`: not proved yet. `verified`: links begin with it. `lapsed`: its record is gone; publish it and verify again.
    """
    dns_record: DnsRecord | None
    """The record to publish and keep. Null if no proof is needed, which is only so on the local machine."""
    links_begin_with: str
    """What the brand's links begin with now."""
    proven_by: Literal["dns", "operator", "this_machine"] | None
    """`dns`: by the record. `operator`: it was in use before proofs were required. `this_machine`: a test brand's local
    host."""
    verified_at: datetime | None
    """When the host was verified. Null: never."""
    checked_at: datetime | None
    """When the record was last looked up. Null: never."""
    lapses_at: datetime | None
    """When the host lapses unless the record is found again. Null while nothing is missing."""
    last_error: str | None
    """What was wrong at the last lookup. Null: nothing."""

    @classmethod
    def of(cls, held: HostClaim, links_begin_with: str) -> LinkHostResponse:
        """The host, with what the brand's links begin with now."""
        proven_by: Any = held.proven_by
        return cls(
            host=held.host,
            state=held.state,
            dns_record=None if held.needs_no_proof else DnsRecord(held.record_name, "TXT", held.record_value),
            links_begin_with=links_begin_with,
            proven_by=proven_by,
            verified_at=held.verified_at,
            checked_at=held.checked_at,
            lapses_at=held.lapses_at,
            last_error=held.last_error,
        )


def _base64_of(picture: bytes | None) -> str | None:
    return None if picture is None else base64.b64encode(picture).decode()


class BrandResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A brand. `code`, `mode`, `points_code`, `currency` and `time_zone` cannot change."""

    code: str
    """The brand's short name in code and on the command line. Cannot change."""
    mode: Literal["live", "test"]
    """`live` or `test`; cannot change. Only a test brand has a clock that can be advanced."""
    name: str
    """The brand's name as customers see it."""
    points_code: str
    """The code of the points in the books and in exports. Cannot change."""
    points_name: str
    """The name of the points as customers see it."""
    currency: str
    """The currency of money values: three letters of ISO 4217. Cannot change."""
    time_zone: str
    """The IANA time zone of the brand's days, weeks and months. Cannot change."""
    accent_color: str
    """The colour of buttons and accents on customer pages: `#` and six hexadecimal digits."""
    destination_hosts: Sequence[str]
    """Hosts that reward links may lead to, in lower case, with a port where needed."""
    point_value: PointValueResponse | None
    """What points are worth now; null while not set."""
    point_value_version: int | None
    """The version of the point value in force, to send back with a change; null while there is none."""
    language: Language
    """The language of customer pages."""
    logo: str | None
    """The image on every page, in base64; null: none."""
    logo_dark: str | None
    """The logo for dark pages, in base64; null: `logo` is shown on white."""
    banner: str | None
    """The wide image above every page, in base64; null: none."""
    font: Font
    """The typeface of customer pages."""
    corner_radius: int
    """How round the corners of pages and buttons are, in pixels."""
    home_url: str | None
    """Where customers go when there is no better destination; null: none."""
    link_base_url: str | None
    """What links should begin with; null: this service's address. `link_host` tells whether they do."""
    link_host: LinkHostResponse | None
    """The host of `link_base_url`, the record that proves it, and its state; null if the brand claims none."""
    app_links: AppLinks
    """The brand's apps that may open its links."""
    goals: Sequence[Goal]
    """Rewards to save for, as the wallet shows them."""
    late_capture_grace_s: int
    """For how many seconds after a hold timed out a capture is still accepted; 0: for none."""

    @classmethod
    def of(cls, brand: Brand, held: HostClaim | None, links_begin_with: str) -> BrandResponse:
        """The brand with its logo, as its administrators see it.

        ``held`` is the host it claims, ``links_begin_with`` what its links begin with now.
        """
        return cls(
            code=brand.code,
            mode=brand.mode,
            name=brand.name,
            points_code=brand.points_code,
            points_name=brand.points_name,
            currency=brand.currency,
            time_zone=brand.time_zone,
            accent_color=brand.accent_color,
            destination_hosts=brand.destination_hosts,
            point_value=PointValueResponse.of(brand.point_value),
            point_value_version=brand.point_value_version,
            language=brand.language,
            logo=_base64_of(brand.picture),
            logo_dark=_base64_of(brand.dark_picture),
            banner=_base64_of(brand.banner_picture),
            font=brand.font,
            corner_radius=brand.corner_radius,
            home_url=brand.home_url,
            link_base_url=None if held is None else held.base_url,
            link_host=None if held is None else LinkHostResponse.of(held, links_begin_with),
            app_links=brand.app_links,
            goals=brand.goals,
            late_capture_grace_s=brand.late_capture_grace_s,
        )
