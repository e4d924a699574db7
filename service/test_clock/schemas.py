"""The test clock on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar

import msgspec

from service.http.bodies import Body

SECONDS_MAX = 3_660 * 86_400


class ClockAdvanceRequest(Body, frozen=True):
    """How far to move the clock, or the time to move it to: exactly one of them."""

    seconds: Annotated[int, msgspec.Meta(ge=1, le=SECONDS_MAX)] | None = None
    """Move the clock forward by so many seconds, some ten years at most."""
    to: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """Move the clock forward to this time, with a time zone."""

    example: ClassVar[dict[str, Any]] = {"seconds": 86_400}


class ClockResponse(msgspec.Struct, frozen=True):
    """What the brand's clock says now. It goes on from there."""

    now: datetime
    """What the brand's clock says now."""
