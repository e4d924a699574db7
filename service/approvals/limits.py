"""What a brand lets pass without approval. Nothing here reads or writes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

DAYS_DEFAULT = 7
"""How long a request waits unless the brand says otherwise."""


class Limit(msgspec.Struct, frozen=True):
    """The limits of one kind; what is more waits. ``None`` is no limit."""

    kind: str
    per_request: int | None = None
    per_maker_day: int | None = None
    per_customer_day: int | None = None


class Policy(msgspec.Struct, frozen=True):
    """A brand's limits. A kind without any passes."""

    version: int = 0
    expires_after_days: int = DAYS_DEFAULT
    limits: Sequence[Limit] = ()

    def of(self, kind: str) -> Limit | None:
        """The limits of a kind."""
        return next((limit for limit in self.limits if limit.kind == kind), None)


class Used(msgspec.Struct, frozen=True):
    """What has passed today without approval."""

    by_maker: int
    for_customer: int


def exceeded(limit: Limit, amount: int, used: Used, *, has_customer: bool) -> str | None:
    """Which limit a request of ``amount`` exceeds first, by its name."""
    counted = {
        "per_request": amount,
        "per_maker_day": used.by_maker + amount,
        "per_customer_day": used.for_customer + amount if has_customer else 0,
    }
    return next((name for name, total in counted.items() if _is_more(total, getattr(limit, name))), None)


def _is_more(total: int, at_most: int | None) -> bool:
    return at_most is not None and total > at_most
