"""Batches of codes, and claims of codes, on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from service.customers.schemas import CustomerRef
from service.http.bodies import Body, Identifier, Slug
from service.links.schemas import Instant

CODES_MAX = 100_000


class CodeBatchRequest(Body, frozen=True):
    """Codes for packs, print or a display. Each code pays the first person, or every person once (`pays`)."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$(?!\n)")]
    """Your id for the batch. Sending the same batch again returns it."""
    campaign: Identifier
    """The id of the campaign."""
    action: Slug
    """The action that claiming a code counts as, as a rule of the campaign names it."""
    codes: Annotated[int, msgspec.Meta(ge=1, le=CODES_MAX)]
    """How many codes to make."""
    channel: Slug | None = None
    """The channel it counts for. Absent: the channel on which the campaign pays for the action."""
    destination: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    """Where the page continues to. Absent: the brand's `home_url`."""
    expires_at: Instant | None = None
    """When the codes stop earning, at most five years from now. Absent: 72 hours after the campaign's end, at most 366 days
    from now."""
    pays: Literal["first", "each"] = "first"
    """Who a code pays. `first`: the first person to claim it. `each`: every person once, with the same code printed for all.
    """
    rotates_every_s: Annotated[int, msgspec.Meta(ge=10, le=86_400)] | None = None
    """Seconds after which a display shows the next code. Only for a single code that pays `each`. Absent: the code does not
    rotate."""

    example: ClassVar[dict[str, Any]] = {
        "id": "spring-packs-1",
        "campaign": "hello-again",
        "action": "click",
        "channel": "email",
        "codes": 100,
    }


class CodeBatchResponse(msgspec.Struct, frozen=True):
    """A batch of codes."""

    id: str
    """Your id for the batch."""
    campaign: str
    """The id of the campaign."""
    action: str
    """The action that claiming a code counts as, such as `scan`."""
    channel: str
    """The channel it counts for."""
    codes: int
    """How many codes the batch has."""
    pays: Literal["first", "each"]
    """`first`: a code pays the first person to claim it. `each`: it pays every person once."""
    rotates_every_s: int | None
    """Seconds after which a display shows the next code; null: the codes do not rotate."""
    screen: str | None
    """The URL of a rotating code's image, for the display only: it shows every code to come. Null for other batches."""
    display: str | None
    """The URL of a page for a display: the brand, what a scan earns, the code, and a countdown. It shows every code to come, as
    `screen` does. Null for other batches."""
    claimed: int | None
    """How many codes were claimed; null for `each`, where the campaign's reconciliation has the count."""
    control_total: str
    """The SHA-256 of all codes in order, each followed by a line feed, in hexadecimal."""
    made_at: datetime
    """When the batch was made."""
    expires_at: datetime
    """When its codes stop earning."""
    revoked: bool
    """Whether its codes were revoked."""


class CodeClaimRequest(Body, frozen=True):
    """A code a customer brought, and who they are."""

    code: Annotated[str, msgspec.Meta(min_length=1, max_length=2_048)]
    """The code as typed or scanned, at most 2,048 characters. Spaces, hyphens, lower case, the QR code's whole URL and
    look-alike characters (`0` for `O`, `1` for `I`) are all accepted."""
    customer: CustomerRef
    """The customer who brought the code, by at least one name."""

    example: ClassVar[dict[str, Any]] = {"code": "MZXW6YTBOI4GC2LT", "customer": {"id": "customer-1"}}
