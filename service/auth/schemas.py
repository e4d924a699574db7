"""What ``GET /v1/meta`` answers."""

from __future__ import annotations

import msgspec

from service.auth.principal import Principal
from service.brands.brand import Mode


class MetaBrand(msgspec.Struct, frozen=True):
    """The brand that an API key belongs to."""

    code: str
    name: str
    mode: Mode
    points_code: str
    points_name: str
    currency: str
    time_zone: str


class MetaResponse(msgspec.Struct, frozen=True):
    """Who you are here. ``max_evidence`` is the strongest grade your reports may claim."""

    version: str
    brand: MetaBrand
    mode: Mode
    key_name: str
    scopes: list[str]
    max_evidence: str

    @classmethod
    def of(cls, principal: Principal, version: str) -> MetaResponse:
        """Describe the caller."""
        brand = principal.brand
        return cls(
            version=version,
            brand=MetaBrand(
                code=brand.code,
                name=brand.name,
                mode=brand.mode,
                points_code=brand.points_code,
                points_name=brand.points_name,
                currency=brand.currency,
                time_zone=brand.time_zone,
            ),
            mode=brand.mode,
            key_name=principal.name,
            scopes=sorted(principal.scopes),
            max_evidence=principal.max_evidence,
        )
