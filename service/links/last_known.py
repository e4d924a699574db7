"""Brands and destinations as they were last seen, so that a link leads on while the database is away.

A token carries the number of its destination. What this process has seen is enough to take a customer where she was going;
nothing else is ever decided from here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from service.brands.brand import Brand

DESTINATIONS_MAX = 100_000


class LastKnown:
    """Brands by code and destinations by number."""

    def __init__(self) -> None:
        self._brands: dict[str, Brand] = {}
        self._destinations: OrderedDict[int, tuple[int, str]] = OrderedDict()

    def see_brand(self, brand: Brand) -> None:
        """Keep a brand as it is now."""
        self._brands[brand.code] = brand

    def see_destinations(self, destinations: Iterable[tuple[int, int, str]]) -> None:
        """Keep destinations (number, brand's number, URL); those not seen for longest make room."""
        for destination_no, brand_id, url in destinations:
            self._destinations[destination_no] = (brand_id, url)
            self._destinations.move_to_end(destination_no)
        while len(self._destinations) > DESTINATIONS_MAX:
            self._destinations.popitem(last=False)

    def brand(self, code: str) -> Brand | None:
        """The brand as it was last seen."""
        return self._brands.get(code)

    def destination(self, brand: Brand | None, destination_no: int) -> str | None:
        """Where ``destination_no`` leads, if it is this brand's."""
        brand_id, url = self._destinations.get(destination_no, (0, None))
        return url if brand is not None and brand.brand_id == brand_id else None
