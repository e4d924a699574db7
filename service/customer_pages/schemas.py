"""Links to customers' pages on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from service.customers.schemas import CustomerRef
from service.http.bodies import Batch, Body, Identifier
from service.http.field_docs import ItemResult
from service.http.problems import Problem, ProblemDocument


class PageLinkRequest(Body, frozen=True):
    """A link to a customer's own page, or to an image of their balance for a message (`live`)."""

    customer: CustomerRef
    """The customer whose page it is, by at least one name."""
    kind: Literal["wallet", "preferences", "live"]
    """`wallet`: what they have. `preferences`: where and how often they want to hear from the brand. `live`: an image of
    their balance."""
    message_id: Identifier | None = None
    """The message that carries it; revoking the message's links revokes it too. Required for a live image."""
    expires_in_s: Annotated[int, msgspec.Meta(ge=60, le=90 * 86_400)] | None = None
    """Seconds until the link expires. Absent: 15 minutes for a wallet, 30 days for preferences and live images. At most a
    day for a wallet, 90 days for the others."""

    example: ClassVar[dict[str, Any]] = {"customer": {"id": "customer-1"}, "kind": "wallet"}


class PageLinkBatch(Batch[PageLinkRequest]):
    """``{"pages": [...]}``, 1 to 10,000 of them."""

    member: ClassVar[str | None] = "pages"


class MintedPage(msgspec.Struct, frozen=True):
    """A page's URL and expiry."""

    url: str
    expires_at: datetime


class PageLinkResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One item's result: a link, or a problem."""

    described_by: ClassVar[tuple[type, ...]] = (ItemResult,)

    index: int
    status: int
    url: str | msgspec.UnsetType = msgspec.UNSET
    """The URL of the page or image."""
    expires_at: datetime | msgspec.UnsetType = msgspec.UNSET
    """When it expires."""
    problem: ProblemDocument | msgspec.UnsetType = msgspec.UNSET


def page_link_result(index: int, minted: MintedPage | Problem, request_id: str) -> PageLinkResult:
    """Build an item's result."""
    if isinstance(minted, Problem):
        return PageLinkResult(index=index, status=minted.status, problem=minted.document(request_id))
    return PageLinkResult(index=index, status=201, url=minted.url, expires_at=minted.expires_at)
