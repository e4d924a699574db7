"""What time it is for a brand: the world's time for a live one, what its book's clock says for a test one."""

from __future__ import annotations

from datetime import UTC, datetime

from ledger import Book, BookClock, Ledger
from service.brands.brand import Brand
from service.concurrency.ttl_cache import TtlCache

_TTL_S = 1.0


class BookClocks:
    """The clocks of test brands, as they were at most a second ago; one that was moved by this process, as it is."""

    def __init__(self, ledger: Ledger) -> None:
        self._read: TtlCache[Book, BookClock] = TtlCache(ledger.clock, ttl_s=_TTL_S)
        self._moved: dict[Book, BookClock] = {}

    async def now(self, brand: Brand) -> datetime:
        """What the brand's clock says."""
        return await self.at(brand, datetime.now(UTC))

    async def at(self, brand: Brand, world: datetime) -> datetime:
        """What the brand's clock says when the world's says ``world``."""
        if brand.mode == "live":
            return world
        says = (await self._read.get(brand.book)).at(world)
        # A clock is moved forward only, so of two readings the later is the newer one.
        moved = self._moved.get(brand.book)
        return says if moved is None else max(says, moved.at(world))

    def moved(self, brand: Brand, clock: BookClock) -> None:
        """Take note of how the brand's clock stands, which was moved just now."""
        self._moved[brand.book] = clock
