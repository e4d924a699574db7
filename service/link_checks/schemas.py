"""Checks of links on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from service.http.bodies import Body
from service.http.problems import Problem, ProblemDocument
from service.tokens.link import LinkKind, LinkMode

LinkState = Literal["good", "expired", "revoked"]

LINKS_CHECKED_MAX = 100


class LinkCheckRequest(Body, frozen=True):
    """Links to check."""

    links: Annotated[
        list[Annotated[str, msgspec.Meta(min_length=1, max_length=6_144)]],
        msgspec.Meta(min_length=1, max_length=LINKS_CHECKED_MAX),
    ]
    """1 to 100 links: each a URL, or just its token or short code; at most 6,144 characters."""

    example: ClassVar[dict[str, Any]] = {"links": ["https://rewards.example/r/eyJhbGciOiJFZERTQSJ9.eyJhIjoiY2xpY2sifQ.c2ln"]}


class LinkCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A correctly signed link, and its state."""

    state: LinkState
    """`good`: it is honoured. `expired` or `revoked`: it earns nothing any more.

    A self-signed link that nobody has followed is also `expired` once its minting key is past its `expires_at`.
    """
    link_id: str
    """The link's id, by which it can be revoked."""
    kind: LinkKind
    """`claim` pays for an action; `open` is an image."""
    mode: LinkMode
    """How a claim is made: on our `page`, by a `handoff` to the shop, or on the way (`redirect`)."""
    campaign: str
    """The id of the campaign."""
    campaign_version: int
    """The version of the campaign's terms the link is bound to."""
    customer: str
    """The customer it is for: `cus_` and our number."""
    message_id: str
    """The sender's id of the message."""
    action: str
    """The action it pays for."""
    channel: str
    """The channel it counts for."""
    destination: str | None
    """Where it leads; null for an open."""
    points: int
    """What the campaign pays for the action, before caps and budget; 0: nothing."""
    campaign_paused: bool
    """Whether the campaign is paused."""
    signed_by: str | None
    """The `kid` of the minting key that signed it; null: we signed it."""
    minted_at: datetime
    """When it was minted or signed."""
    sent_at: datetime | None
    """When the message was sent; null if not given."""
    expires_at: datetime
    """When it stops earning."""


class LinkCheckResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One link's result: its state (200), or why it is not honoured."""

    index: int
    """The link's place in the request, from 0."""
    status: int
    """200, or the status of the problem."""
    link: LinkCheck | msgspec.UnsetType = msgspec.UNSET
    """The link, if it is correctly signed."""
    problem: ProblemDocument | msgspec.UnsetType = msgspec.UNSET
    """Why it is not honoured. Pointers lead into the token: `/header/kid`, `/claims/exp`, `/signature`."""


def link_check_result(index: int, checked: LinkCheck | Problem, request_id: str) -> LinkCheckResult:
    """Build an item's result."""
    if isinstance(checked, Problem):
        return LinkCheckResult(index=index, status=checked.status, problem=checked.document(request_id))
    return LinkCheckResult(index=index, status=200, link=checked)
