"""A brand on the wire."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from ledger import TERM_MAX, PointValue
from service.brand_settings import link_hosts
from service.brand_settings.link_hosts import Held
from service.brands import logos
from service.brands.brand import AppLinks, Brand, Goal, Language
from service.http.bodies import Body, Points

DESTINATION_HOSTS_MAX = 100
GOALS_MAX = 20
APPS_MAX = 20
LOGO_CHARACTERS_MAX = 4 * (logos.BYTES_MAX // 3 + 1)

Term = Annotated[int, msgspec.Meta(ge=1, le=TERM_MAX)]
Shown = Annotated[str, msgspec.Meta(min_length=1, max_length=100, description="At most 100 printable characters.")]


class PointValueRequest(Body, frozen=True):
    """So many points are worth so many minor units of the brand's currency: 100 and 50 make half a cent a point."""

    points: Term
    """So many points."""
    minor_units: Term
    """Are worth so many minor units (cents, pence, yen) of the brand's currency."""


class PointValueResponse(msgspec.Struct, frozen=True):
    """So many points are worth so many minor units of the brand's currency."""

    points: int
    """So many points."""
    minor_units: int
    """Are worth so many minor units (cents, pence, yen) of the brand's currency."""

    @classmethod
    def of(cls, value: PointValue | None) -> PointValueResponse | None:
        """The value of a brand's points, if it has named one."""
        return None if value is None else cls(value.points, value.minor_units)


class PointValueVersionResponse(msgspec.Struct, frozen=True):
    """What points were worth from ``valid_from`` until the next version."""

    version: int
    """The number of this version: 1, 2, 3 ..."""
    points: int
    """So many points."""
    minor_units: int
    """Were worth so many minor units of the brand's currency."""
    valid_from: datetime
    """From when on this version held, until the next."""


class GoalRequest(Body, frozen=True):
    """A reward to save for: a wallet shows how far it is to the next."""

    name: Shown
    """What the customer gets, as the wallet shows it."""
    points: Points
    """What it costs."""


class AndroidAppRequest(Body, frozen=True):
    """An Android app that may open the brand's links."""

    package: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+$(?!\n)", max_length=255)]
    """The app's package name, as in `com.example.shop`; at most 255 characters."""
    sha256: Annotated[
        list[Annotated[str, msgspec.Meta(pattern=r"^([0-9A-F]{2}:){31}[0-9A-F]{2}$(?!\n)")]],
        msgspec.Meta(min_length=1, max_length=APPS_MAX),
    ]
    """Fingerprints of the certificates that the app is signed with, as in `14:6D:E9:...`."""


class AppLinksRequest(Body, frozen=True):
    """The brand's own apps that may open its links: served to Apple's and Google's systems from each of its link hosts."""

    apple: Annotated[
        list[Annotated[str, msgspec.Meta(pattern=r"^[A-Z0-9]{10}\.[A-Za-z0-9.-]{1,155}$(?!\n)")]],
        msgspec.Meta(max_length=APPS_MAX),
    ] = msgspec.field(default_factory=list[str])
    """App ids, as in `ABCDE12345.com.example.app`."""
    android: Annotated[list[AndroidAppRequest], msgspec.Meta(max_length=APPS_MAX)] = msgspec.field(
        default_factory=list[AndroidAppRequest]
    )
    """The brand's Android apps."""


class BrandRequest(Body, frozen=True):
    """All that may change of a brand, as it shall be; send back what GET answered, changed where you like.

    The fields that are fixed for ever may be absent; present, they must be as they are.
    """

    name: Shown
    """The brand's name as customers see it."""
    points_name: Shown
    """What the points are called in front of customers, such as "Beans"."""
    accent_color: Annotated[str, msgspec.Meta(pattern="^#[0-9a-f]{6}$(?!\\n)")]
    """The colour of buttons and marks on customers' pages: `#` and six hexadecimal digits in lower case."""
    destination_hosts: Annotated[list[str], msgspec.Meta(max_length=DESTINATION_HOSTS_MAX)]
    """Where reward links may lead: at most 100 host names, each with a port if need be."""
    point_value: PointValueRequest | None
    """What points are worth. Null for a brand that has not said so yet; once said it is changed, and never taken away."""
    point_value_version: int | None = None
    """The version of the point value that you have read. If there is a newer one, nothing is changed. Absent: change
    it anyway."""
    language: Language | msgspec.UnsetType = msgspec.UNSET
    """The language of the pages. This and what follows stays as it is where it is absent."""
    logo: Annotated[str, msgspec.Meta(max_length=LOGO_CHARACTERS_MAX)] | msgspec.UnsetType | None = msgspec.UNSET
    """A PNG, JPEG or WebP picture in base64, at most 32 KiB and 1,024 pixels wide and high; every page carries it."""
    home_url: str | msgspec.UnsetType | None = msgspec.UNSET
    """Where a customer goes when nothing better is known: https, on one of the destination hosts."""
    link_base_url: str | msgspec.UnsetType | None = msgspec.UNSET
    """What links shall begin with, as in `https://r.shop.example`, a host that leads here. This claims it; it is used once
    it is verified: see `link_host`. Null: the address of this service."""
    app_links: AppLinksRequest | msgspec.UnsetType = msgspec.UNSET
    """The brand's own apps that may open its links. Absent: as it is."""
    goals: Annotated[list[GoalRequest], msgspec.Meta(max_length=GOALS_MAX)] | msgspec.UnsetType = msgspec.UNSET
    """Rewards to save for, shown in a wallet."""
    code: str | None = None
    """Fixed for ever: absent, or as it is."""
    mode: str | None = None
    """Fixed for ever: absent, or as it is."""
    points_code: str | None = None
    """Fixed for ever: absent, or as it is."""
    currency: str | None = None
    """Fixed for ever: absent, or as it is."""
    time_zone: str | None = None
    """Fixed for ever: absent, or as it is."""
    link_host: Any = msgspec.UNSET
    """Read only: what GET answered may be sent back, and changes nothing. Change `link_base_url`."""

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
    """The value of points, in part: what is absent stays."""

    points: Term | msgspec.UnsetType = msgspec.UNSET
    """So many points, at most 1,000,000,000."""
    minor_units: Term | msgspec.UnsetType = msgspec.UNSET
    """Are worth so many minor units of the brand's currency, such as cents; at most 1,000,000,000."""


class AppLinksPatch(Body, frozen=True):
    """The brand's own apps, in part: what is absent stays. A list is replaced whole."""

    apple: (
        Annotated[
            list[Annotated[str, msgspec.Meta(pattern=r"^[A-Z0-9]{10}\.[A-Za-z0-9.-]{1,155}$(?!\n)")]],
            msgspec.Meta(max_length=APPS_MAX),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    """App ids, as in `ABCDE12345.com.example.app`; at most 20."""
    android: Annotated[list[AndroidAppRequest], msgspec.Meta(max_length=APPS_MAX)] | msgspec.UnsetType = msgspec.UNSET
    """The brand's Android apps; at most 20."""


class BrandPatch(Body, frozen=True):
    """A part of what may change of a brand (JSON merge patch, RFC 7396): what is absent stays, null clears what can be null."""

    name: Shown | msgspec.UnsetType = msgspec.UNSET
    """The brand's name as customers see it."""
    points_name: Shown | msgspec.UnsetType = msgspec.UNSET
    """What the points are called in front of customers, such as "Beans"."""
    accent_color: Annotated[str, msgspec.Meta(pattern="^#[0-9a-f]{6}$(?!\\n)")] | msgspec.UnsetType = msgspec.UNSET
    """The colour of buttons and marks on customers' pages: `#` and six hexadecimal digits in lower case."""
    destination_hosts: Annotated[list[str], msgspec.Meta(max_length=DESTINATION_HOSTS_MAX)] | msgspec.UnsetType = msgspec.UNSET
    """Where reward links may lead: at most 100 host names, each with a port if need be. The list is replaced whole."""
    point_value: PointValuePatch | msgspec.UnsetType | None = msgspec.UNSET
    """What points are worth. It is changed, and never taken away."""
    point_value_version: int | msgspec.UnsetType | None = msgspec.UNSET
    """The version of the point value that you have read. If there is a newer one, nothing is changed. Absent: change
    it anyway."""
    language: Language | msgspec.UnsetType = msgspec.UNSET
    """The language of the pages."""
    logo: Annotated[str, msgspec.Meta(max_length=LOGO_CHARACTERS_MAX)] | msgspec.UnsetType | None = msgspec.UNSET
    """A PNG, JPEG or WebP picture in base64, at most 32 KiB and 1,024 pixels wide and high. Null: none."""
    home_url: str | msgspec.UnsetType | None = msgspec.UNSET
    """Where a customer goes when nothing better is known: https, on one of the destination hosts. Null: nowhere."""
    link_base_url: str | msgspec.UnsetType | None = msgspec.UNSET
    """What links shall begin with, as in `https://r.shop.example`, a host that leads here. This claims it; it is used once
    it is verified: see `link_host`. Null: the address of this service."""
    app_links: AppLinksPatch | msgspec.UnsetType = msgspec.UNSET
    """The brand's own apps that may open its links."""
    goals: Annotated[list[GoalRequest], msgspec.Meta(max_length=GOALS_MAX)] | msgspec.UnsetType = msgspec.UNSET
    """Rewards to save for, shown in a wallet; at most 20. The list is replaced whole."""
    code: str | msgspec.UnsetType = msgspec.UNSET
    """Fixed for ever: absent, or as it is."""
    mode: str | msgspec.UnsetType = msgspec.UNSET
    """Fixed for ever: absent, or as it is."""
    points_code: str | msgspec.UnsetType = msgspec.UNSET
    """Fixed for ever: absent, or as it is."""
    currency: str | msgspec.UnsetType = msgspec.UNSET
    """Fixed for ever: absent, or as it is."""
    time_zone: str | msgspec.UnsetType = msgspec.UNSET
    """Fixed for ever: absent, or as it is."""
    link_host: Any = msgspec.UNSET
    """Read only: what GET answered may be sent back, and changes nothing. Change `link_base_url`."""

    example: ClassVar[dict[str, Any]] = {"accent_color": "#7a3e1d", "point_value": {"points": 100, "minor_units": 50}}


class DnsRecord(msgspec.Struct, frozen=True):
    """A record to publish in the DNS."""

    name: str
    """The name of the record, as in `_rewards-challenge.r.shop.example`."""
    type: Literal["TXT"]
    """The kind of record."""
    value: str
    """What the record must say, in whole. Other records of the same name do not matter."""


class LinkHostResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A host that the brand claims for its links, and how far that is."""

    host: str
    """The host in its normal form: lower case, A-labels, no usual port."""
    state: link_hosts.State
    """`pending`: not proved yet. `verified`: links begin with it. `lapsed`: its proof is gone; publish it and verify again."""
    dns_record: DnsRecord | None
    """The record to publish, and to keep. Null where no proof is needed: on this machine itself."""
    links_begin_with: str
    """What the brand's links begin with now."""
    proven_by: Literal["dns", "operator", "this_machine"] | None
    """`dns`: the record. `operator`: it was in use before proofs were asked for. `this_machine`: a test brand's."""
    verified_at: datetime | None
    """When the host was proved. Null: never."""
    checked_at: datetime | None
    """When the record was looked for last. Null: never."""
    lapses_at: datetime | None
    """When the host lapses if the record is not found until then. Null: it is there, or was never asked for."""
    last_error: str | None
    """What was wrong when the record was looked for last. Null: nothing."""

    @classmethod
    def of(cls, held: Held, links_begin_with: str) -> LinkHostResponse:
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


class BrandResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A brand. ``code``, ``mode``, ``points_code``, ``currency`` and ``time_zone`` are fixed for ever."""

    code: str
    """The brand's short name in code and on the command line. Fixed for ever."""
    mode: Literal["live", "test"]
    """`live` or `test`; fixed for ever. Only a test brand has a clock that can be moved."""
    name: str
    """The brand's name as customers see it."""
    points_code: str
    """The code of the points as the books and exports name them. Fixed for ever."""
    points_name: str
    """What the points are called in front of customers."""
    currency: str
    """The currency of money values: three letters of ISO 4217. Fixed for ever."""
    time_zone: str
    """The IANA time zone of the brand's days, weeks and months. Fixed for ever."""
    accent_color: str
    """The colour of buttons and marks on customers' pages: `#` and six hexadecimal digits."""
    destination_hosts: Sequence[str]
    """Where reward links may lead: host names in lower case, with a port where one is needed."""
    point_value: PointValueResponse | None
    """What points are worth now; null while the brand has not said so."""
    point_value_version: int | None
    """The number of the point value in force, to send back with a change; null while there is none."""
    language: Language
    """The language of customers' pages."""
    logo: str | None
    """The picture on every page, in base64; null: none."""
    home_url: str | None
    """Where a customer goes when nothing better is known; null: nowhere."""
    link_base_url: str | None
    """What links shall begin with; null: the address of this service. `link_host` says whether they do."""
    link_host: LinkHostResponse | None
    """The host of `link_base_url`, the record that proves it, and whether it is in use; null: the brand claims none."""
    app_links: AppLinks
    """The brand's own apps that may open its links."""
    goals: Sequence[Goal]
    """Rewards to save for, as wallets show them."""

    @classmethod
    def of(cls, brand: Brand, held: Held | None, links_begin_with: str) -> BrandResponse:
        """The brand, read with its picture, as its administrators see it.

        ``held`` is the host that it wants, ``links_begin_with`` what its links begin with now.
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
            logo=None if brand.picture is None else base64.b64encode(brand.picture).decode(),
            home_url=brand.home_url,
            link_base_url=None if held is None else held.base_url,
            link_host=None if held is None else LinkHostResponse.of(held, links_begin_with),
            app_links=brand.app_links,
            goals=brand.goals,
        )
