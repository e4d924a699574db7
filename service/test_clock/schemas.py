"""The test clock on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar

import msgspec

from service.http.bodies import Body

SECONDS_MAX = 3_660 * 86_400


class ClockAdvanceRequest(Body, frozen=True):
    """How far to advance the clock, or the time to advance it to: exactly one of the two."""

    seconds: Annotated[int, msgspec.Meta(ge=1, le=SECONDS_MAX)] | None = None
    """Seconds to advance by, at most about ten years."""
    to: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """The time to advance to, with a time zone."""

    example: ClassVar[dict[str, Any]] = {"seconds": 86_400}


class ClockResponse(msgspec.Struct, frozen=True):
    """The brand's clock. It keeps running from there."""

    now: datetime
    """The brand's time now."""
