"""Erasures on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Literal

import msgspec

from service.http.bodies import Body

State = Literal["waiting", "erasing", "erased"]


class ErasureRequest(Body, frozen=True):
    """Who is to be erased, as two people see it who ask for it and approve of it."""

    example: ClassVar[dict[str, Any]] = {"customer": "cus_42", "forfeit_points": False}

    customer: str
    """Our number of the customer, `cus_` and digits."""
    forfeit_points: bool = False
    """Whether the customer gives up what they have, so that nobody waits for it to be used."""


class OwnErasureRequest(Body, frozen=True):
    """A customer's own request to be erased."""

    example: ClassVar[dict[str, Any]] = {"forfeit_points": True}

    forfeit_points: bool = False
    """Whether the customer gives up what they have. Otherwise they may use it until `erases_at`."""


class ErasureResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The erasure of a customer."""

    id: str
    """The erasure's id, `ers_` and a number."""
    customer: str
    """Our number of the customer, which stays in the books."""
    state: State
    """`waiting` until `erases_at`, and while points are held; `erasing`: names are gone, details are on their way; `erased`."""
    asked_at: datetime
    """When it was asked for."""
    asked_by: str | None
    """The API key that asked for it; null: the customer did, or a backup from before the erasure was restored."""
    by_customer: bool
    """Whether the customer asked for it."""
    erases_at: datetime
    """Until then the customer may use their points; what is left then is forfeited."""
    points_forfeited: int | None
    """How many points were left over and went to breakage; null: it has not come to that."""
    erased_at: datetime | None
    """When it was done."""
