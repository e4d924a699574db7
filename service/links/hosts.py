"""Where links point, and which hosts their tokens address: the service's, or one of the brand's own."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from service.brands.brand import Brand
from service.egress.hosts import host_of, requested
from service.links.last_known import LastKnown


class LinkHosts(msgspec.Struct, frozen=True):
    """Where links point (``base_url``) and whom their tokens address (``host``), unless their brand has a host of its own.

    Hosts are in their normal form.
    """

    base_url: str
    host: str
    host_as_written: str
    """What old tokens address: the host as the base URL spells it."""
    last_known: LastKnown

    def base_url_of(self, brand: Brand) -> str:
        """What the brand's links begin with."""
        return self.last_known.link_base_url_of(brand) or self.base_url

    def brand_at(self, headers: Mapping[str, str]) -> Brand | None:
        """The brand whose own host was asked, as it was last known."""
        return self.last_known.brand_at(requested_host(headers))

    def base_url_at(self, headers: Mapping[str, str]) -> str:
        """What links begin with on the host that was asked: a brand's own, or else the service's."""
        brand = self.brand_at(headers)
        return self.base_url if brand is None else self.base_url_of(brand)

    def host_of(self, brand: Brand) -> str:
        """Whom the tokens of the brand's links address."""
        own = self.last_known.link_base_url_of(brand)
        return self.host if own is None else host_of(own)

    def addressable(self, headers: Mapping[str, str]) -> tuple[str, ...]:
        """Whom a token may address that was brought with a request: the service, and the host that was asked."""
        return self.host, self.host_as_written, requested_host(headers)

    def is_at_home(self, brand: Brand, headers: Mapping[str, str]) -> bool:
        """Whether a brand may show itself on the host that was asked: on any but another brand's."""
        there = self.brand_at(headers)
        return there is None or there.brand_id == brand.brand_id


def link_hosts(base_url: str, last_known: LastKnown) -> LinkHosts:
    """The hosts of a service that is reached at ``base_url``."""
    return LinkHosts(base_url, host_of(base_url), urlsplit(base_url).netloc.lower(), last_known)


def requested_host(headers: Mapping[str, str]) -> str:
    """The host that a request names, in its normal form."""
    return requested(headers.get("host", ""))
