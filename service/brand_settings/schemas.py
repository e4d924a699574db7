"""A brand on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from ledger import PointValue
from service.bodies import Body
from service.brands.brand import Brand

DESTINATION_HOSTS_MAX = 100

Term = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
Shown = Annotated[str, msgspec.Meta(min_length=1, max_length=100, description="At most 100 printable characters.")]


class PointValueRequest(Body, frozen=True):
    """So many points are worth so many minor units of the brand's currency: 100 and 50 make half a cent a point."""

    points: Term
    minor_units: Term


class PointValueResponse(msgspec.Struct, frozen=True):
    """So many points are worth so many minor units of the brand's currency."""

    points: int
    minor_units: int

    @classmethod
    def of(cls, value: PointValue | None) -> PointValueResponse | None:
        """The value of a brand's points, if it has named one."""
        return None if value is None else cls(value.points, value.minor_units)


class PointValueVersionResponse(msgspec.Struct, frozen=True):
    """What points were worth from ``valid_from`` until the next version."""

    version: int
    points: int
    minor_units: int
    valid_from: datetime


class BrandRequest(Body, frozen=True):
    """All that may change of a brand, as it shall be; send back what GET answered, changed where you like.

    The fields that are fixed for ever may be absent; present, they must be as they are.
    """

    name: Shown
    points_name: Shown
    accent_color: Annotated[str, msgspec.Meta(pattern="^#[0-9a-f]{6}$(?!\\n)")]
    destination_hosts: Annotated[list[str], msgspec.Meta(max_length=DESTINATION_HOSTS_MAX)]
    """Where reward links may lead: host names in lower case, with a port if need be."""
    point_value: PointValueRequest | None
    """Null for a brand that has none yet. A value is changed, and never taken away."""
    point_value_version: int | None = None
    """The version you have read. If there is a newer one, nothing is changed."""
    code: str | None = None
    mode: str | None = None
    points_code: str | None = None
    currency: str | None = None
    time_zone: str | None = None

    example: ClassVar[dict[str, Any]] = {
        "name": "Lumen",
        "points_name": "Lumens",
        "accent_color": "#1f4fd8",
        "destination_hosts": ["shop.example"],
        "point_value": {"points": 100, "minor_units": 50},
    }


class BrandResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A brand. ``code``, ``mode``, ``points_code``, ``currency`` and ``time_zone`` are fixed for ever."""

    code: str
    mode: Literal["live", "test"]
    name: str
    points_code: str
    points_name: str
    currency: str
    time_zone: str
    accent_color: str
    destination_hosts: Sequence[str]
    point_value: PointValueResponse | None
    point_value_version: int | None

    @classmethod
    def of(cls, brand: Brand) -> BrandResponse:
        """The brand as its administrators see it."""
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
        )
