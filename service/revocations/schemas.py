"""Revocations on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar

import msgspec

from service.http.bodies import Body, Identifier


class RevocationRequest(Body, frozen=True):
    """What to revoke: exactly one of a link, a message, a campaign, a key or a batch of codes."""

    link: Identifier | None = None
    """One link, by its `link_id`."""
    message_id: Identifier | None = None
    """All links of this message, by the sender's id."""
    campaign: Identifier | None = None
    """All links of this campaign, by its id."""
    key: Identifier | None = None
    """All links that this API key (`key_`) made or will make. A minting key is revoked by a call of its own."""
    code_batch: Identifier | None = None
    """All codes of this batch, by its id."""
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    """Why, for your own records. Customers do not see it."""

    example: ClassVar[dict[str, Any]] = {"message_id": "newsletter-0412", "reason": "went to the wrong list"}


class RevocationResponse(msgspec.Struct, frozen=True):
    """A revocation."""

    id: int
    """The revocation's number, with which it can be undone."""
    kind: str
    """What was revoked: a `link`, `message`, `campaign`, `key` or `code_batch`."""
    named: str
    """Which one, as the request named it."""
    reason: str | None
    """Why, for your own records; null if not given."""
    revoked_at: datetime
    """When it was revoked."""
    revoked_by: str
    """The id of the key that revoked it, or `operator`."""
