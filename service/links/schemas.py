"""Links on the wire."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from service.bodies import Batch, Body, Identifier, Slug
from service.customers.schemas import CustomerRef
from service.grants.schemas import Outcome, Reason
from service.links.link_tokens import LinkKind, LinkMode
from service.links.queries import LinkRow
from service.problems import Problem, ProblemDocument

LINKS_MAX = 10_000


class MintedLink(msgspec.Struct, frozen=True):
    """A link and its URLs. ``is_new`` is false when it had been minted before."""

    link: LinkRow
    url: str
    short_url: str | None
    is_new: bool


Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class LinkRequest(Body, frozen=True):
    """A reward link for one customer in one message."""

    campaign: Identifier
    message_id: Identifier
    """The sender's own id of the message, chosen before it is sent."""
    customer: CustomerRef
    action: Slug
    destination: (
        Annotated[str, msgspec.Meta(min_length=1, description="Where the link leads: https, on one of the brand's hosts.")]
        | None
    ) = None
    """Required, but for an open, which has none."""
    kind: LinkKind = LinkKind.CLAIM
    """`claim` pays for what the customer does with the link; `open` is a picture, and says only that it was fetched."""
    mode: LinkMode = LinkMode.PAGE
    """How a claim is honoured: on our `page`, by a `handoff` to the shop, or while we `redirect`."""
    link: Identifier | None = None
    """A label that tells the links of one message apart."""
    channel: Slug | None = None
    """Absent: the one channel on which the campaign pays for the action."""
    sent_at: Instant | None = None
    expires_at: Instant | None = None
    """Absent: 72 hours after the campaign's end, at most 366 days from now."""
    short: bool = False
    """Give a `short_url` as well, for an SMS or a QR code."""

    example: ClassVar[dict[str, Any]] = {
        "campaign": "autumn-2026",
        "message_id": "newsletter-0412",
        "customer": {"id": "C-1001"},
        "action": "click",
        "channel": "email",
        "destination": "https://shop.example/autumn",
    }


class LinkBatch(Batch[LinkRequest]):
    """``{"links": [...]}``, 1 to 10,000 of them."""

    member: ClassVar[str | None] = "links"
    items_max: ClassVar[int] = LINKS_MAX


class LinkResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What became of one item: a link (201, or 200 when it had been minted before), or a problem."""

    index: int
    status: int
    link_id: str | msgspec.UnsetType = msgspec.UNSET
    url: str | msgspec.UnsetType = msgspec.UNSET
    short_url: str | msgspec.UnsetType = msgspec.UNSET
    expires_at: datetime | msgspec.UnsetType = msgspec.UNSET
    problem: ProblemDocument | msgspec.UnsetType = msgspec.UNSET


class LinkResults(msgspec.Struct, frozen=True):
    """One result for each item, in the order of the request."""

    results: list[LinkResult]

    @classmethod
    def of(cls, minted: Sequence[MintedLink | Problem], *, request_id: str) -> LinkResults:
        """Say what became of each item."""
        return cls([_result(index, each, request_id) for index, each in enumerate(minted)])


def _result(index: int, minted: MintedLink | Problem, request_id: str) -> LinkResult:
    if isinstance(minted, Problem):
        return LinkResult(index=index, status=minted.status, problem=minted.document(request_id))
    return LinkResult(
        index=index,
        status=201 if minted.is_new else 200,
        link_id=public_link_id(minted.link.link_id),
        url=minted.url,
        short_url=minted.short_url or msgspec.UNSET,
        expires_at=minted.link.expires_at,
    )


class RevocationRequest(Body, frozen=True):
    """What shall earn no more: one of a link, all of a message, of a campaign, of an API key's making, or a batch of codes."""

    link: Identifier | None = None
    """Its `link_id`."""
    message_id: Identifier | None = None
    campaign: Identifier | None = None
    key: Identifier | None = None
    code_batch: Identifier | None = None
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    """For yourselves: no customer is shown it."""

    example: ClassVar[dict[str, Any]] = {"message_id": "newsletter-0412", "reason": "went to the wrong list"}

    def named(self) -> list[tuple[str, str]]:
        """What is named, and by which field."""
        fields = ("link", "message_id", "campaign", "key", "code_batch")
        return [(field, named) for field in fields if (named := getattr(self, field)) is not None]


class RevocationResponse(msgspec.Struct, frozen=True):
    """What is revoked: of which kind, and as whoever revoked it named it."""

    id: int
    kind: str
    named: str
    reason: str | None
    revoked_at: datetime
    revoked_by: str


class ClaimConfirmation(Body, frozen=True):
    """That a person arrived in the shop by a handoff link."""

    claim: Annotated[str, msgspec.Meta(min_length=1, max_length=1_024)]
    """What the link's redirect brought along as ``rewards_claim``."""
    evidence: Literal["A", "B", "C", "D", "X"] | None = None
    """How sure it is that a person acts. It can lower what the caller may claim, never raise it; X is a machine."""

    example: ClassVar[dict[str, Any]] = {"claim": "1B7nGYcBh4S0m0aEZgPUWpWoYmx1ZWJpcmTEFAAAAAc"}


class ScriptAnswer(msgspec.Struct, frozen=True):
    """What a page's script is told: what was decided, and nothing else of the customer."""

    outcome: Outcome
    reason: Reason | None
    points: int


CODES_MAX = 100_000


class CodeBatchRequest(Body, frozen=True):
    """Codes for packs, print or a screen. Each pays one person, once; or each person, once."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$(?!\n)")]
    """Your own name for the batch. The same batch again is the same batch."""
    campaign: Identifier
    action: Slug
    codes: Annotated[int, msgspec.Meta(ge=1, le=CODES_MAX)]
    channel: Slug | None = None
    """Absent: the one channel on which the campaign pays for the action."""
    destination: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    """Where the page leads on to; absent, to the brand's home."""
    expires_at: Instant | None = None
    """Absent: 72 hours after the campaign's end, at most 366 days from now. At most five years: print lasts."""
    pays: Literal["first", "each"] = "first"
    """`first`: whoever comes first. `each`: everybody, once; the same code is printed for all."""
    rotates_every_s: Annotated[int, msgspec.Meta(ge=10, le=86_400)] | None = None
    """For a screen, with one code that pays `each`: it is another one every so many seconds, and an old one pays nobody."""

    example: ClassVar[dict[str, Any]] = {
        "id": "spring-packs-1",
        "campaign": "autumn-2026",
        "action": "click",
        "channel": "email",
        "codes": 10_000,
    }


class CodeBatchResponse(msgspec.Struct, frozen=True):
    """A batch of codes. ``control_total`` is the SHA-256 of all of them in order, each with a line feed behind it.

    ``claimed`` is null where a code pays each: the campaign's reconciliation says how many. ``screen`` is the picture of a code
    that rotates; who has its address has every code to come, so it is for the screen alone.
    """

    id: str
    campaign: str
    action: str
    channel: str
    codes: int
    pays: Literal["first", "each"]
    rotates_every_s: int | None
    screen: str | None
    claimed: int | None
    control_total: str
    made_at: datetime
    expires_at: datetime
    revoked: bool


class CodeClaimRequest(Body, frozen=True):
    """A code that a customer brought, and who she is."""

    code: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    """As it is printed; spaces, hyphens and small letters are taken."""
    customer: CustomerRef

    example: ClassVar[dict[str, Any]] = {"code": "MZXW6YTBOI4GC2LT", "customer": {"id": "C-1001"}}


class MintingKeyRequest(Body, frozen=True):
    """A key of your own with which your systems sign links. Only its public half is sent, and known to us."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    public_key: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{43}$(?!\n)")]
    """The 32 bytes of an Ed25519 public key in base64url, as `x` of a JSON Web Key has them (RFC 8037)."""

    example: ClassVar[dict[str, Any]] = {
        "name": "campaign manager, 2027",
        "public_key": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    }


class MintingKeyResponse(msgspec.Struct, frozen=True):
    """A key of the brand's with which its systems sign links. ``kid`` is what their headers say."""

    kid: str
    name: str
    public_key: str
    registered_at: datetime
    retired_at: datetime | None
    revoked_at: datetime | None


class NumbersRequest(Body, frozen=True):
    """Whom and what a link that you sign yourself names by our numbers."""

    customers: Annotated[list[CustomerRef], msgspec.Meta(max_length=10_000)] = msgspec.field(default_factory=list[CustomerRef])
    destinations: Annotated[list[str], msgspec.Meta(max_length=100)] = msgspec.field(default_factory=list[str])

    example: ClassVar[dict[str, Any]] = {
        "customers": [{"id": "C-1001"}],
        "destinations": ["https://shop.example/autumn"],
    }


class NumberedCustomer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What to write into ``sub``, or what is wrong with how she was named."""

    sub: str | msgspec.UnsetType = msgspec.UNSET
    problem: ProblemDocument | msgspec.UnsetType = msgspec.UNSET


class NumberedDestination(msgspec.Struct, frozen=True):
    """What to write into ``d``, for a destination as it is kept."""

    url: str
    d: int


class NumbersResponse(msgspec.Struct, frozen=True):
    """Numbers in the order of the request. They never change."""

    customers: list[NumberedCustomer]
    destinations: list[NumberedDestination]


def public_link_id(link_id: bytes) -> str:
    """The public id of a link: its campaign's number and its event key."""
    return f"lnk_{link_id.hex()}"


_LINK_ID = re.compile(r"lnk_([0-7][0-9a-f]{39})")


def parse_link_id(text: str) -> bytes | None:
    """The link of a public id."""
    match = _LINK_ID.fullmatch(text)
    return bytes.fromhex(match[1]) if match else None


class PageLinkRequest(Body, frozen=True):
    """A link to a page of one customer's own, or to a picture of her balance for a message (`live`)."""

    customer: CustomerRef
    kind: Literal["wallet", "preferences", "live"]
    message_id: Identifier | None = None
    """For a live picture, and required there: the message that shows it. It is taken back with that message's links."""
    expires_in_s: Annotated[int, msgspec.Meta(ge=60, le=90 * 86_400)] | None = None
    """Absent: a wallet is open for 15 minutes, preferences and live pictures for 30 days. At most a day, and 90 days."""

    example: ClassVar[dict[str, Any]] = {"customer": {"id": "C-1001"}, "kind": "wallet"}


class PageLinkBatch(Batch[PageLinkRequest]):
    """``{"pages": [...]}``, 1 to 10,000 of them."""

    member: ClassVar[str | None] = "pages"


class MintedPage(msgspec.Struct, frozen=True):
    """Where a page is, and until when."""

    url: str
    expires_at: datetime


class PageLinkResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What became of one item: a link, or a problem."""

    index: int
    status: int
    url: str | msgspec.UnsetType = msgspec.UNSET
    expires_at: datetime | msgspec.UnsetType = msgspec.UNSET
    problem: ProblemDocument | msgspec.UnsetType = msgspec.UNSET


class PageLinkResults(msgspec.Struct, frozen=True):
    """One result for each item, in the order of the request."""

    results: list[PageLinkResult]

    @classmethod
    def of(cls, minted: Sequence[MintedPage | Problem], *, request_id: str) -> PageLinkResults:
        """Say what became of each item."""
        return cls([_page_result(index, each, request_id) for index, each in enumerate(minted)])


def _page_result(index: int, minted: MintedPage | Problem, request_id: str) -> PageLinkResult:
    if isinstance(minted, Problem):
        return PageLinkResult(index=index, status=minted.status, problem=minted.document(request_id))
    return PageLinkResult(index=index, status=201, url=minted.url, expires_at=minted.expires_at)
