"""Links on the wire."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from service.customers.schemas import CustomerRef
from service.grants.schemas import Outcome, Reason
from service.http.bodies import Batch, Body, Identifier, Slug
from service.http.field_docs import ItemResult
from service.http.problems import Problem, ProblemDocument
from service.links.queries import LinkRow
from service.tokens.link import LinkKind, LinkMode

LINKS_MAX = 10_000


class MintedLink(msgspec.Struct, frozen=True):
    """A link and its URLs. ``is_new`` is false if it had been minted before."""

    link: LinkRow
    url: str
    short_url: str | None
    is_new: bool


Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class LinkRequest(Body, frozen=True):
    """A reward link for one customer in one message."""

    campaign: Identifier
    """The id of the campaign that pays."""
    message_id: Identifier
    """The sender's id of the message, chosen before it is sent."""
    customer: CustomerRef
    """The customer the link is for, by at least one name. An unknown customer is created."""
    action: Slug
    """The action it counts as, as a rule of the campaign names it, such as `click`."""
    destination: (
        Annotated[str, msgspec.Meta(min_length=1, description="Where the link leads: https, on one of the brand's hosts.")]
        | None
    ) = None
    """Required for a claim; not allowed for an open."""
    kind: LinkKind = LinkKind.CLAIM
    """`claim` pays for what the customer does with the link. `open` is an image, and reports only that it was fetched."""
    mode: LinkMode = LinkMode.PAGE
    """How a claim is made: on our `page`, by a `handoff` to the shop, or on the way (`redirect`)."""
    link: Identifier | None = None
    """A label that tells the links of one message apart."""
    channel: Slug | None = None
    """The channel it counts for. Absent: the channel on which the campaign pays for the action."""
    sent_at: Instant | None = None
    """When the message is sent; used to judge who follows the link. Absent: when the link is minted."""
    expires_at: Instant | None = None
    """When the link stops earning. Absent: 72 hours after the campaign's end, at most 366 days from now."""
    short: bool = False
    """Also return a `short_url`, for SMS or a QR code."""

    example: ClassVar[dict[str, Any]] = {
        "campaign": "hello-again",
        "message_id": "newsletter-0412",
        "customer": {"id": "customer-1"},
        "action": "click",
        "channel": "email",
        "destination": "https://shop.example/welcome",
    }


class LinkBatch(Batch[LinkRequest]):
    """``{"links": [...]}``, 1 to 10,000 of them."""

    member: ClassVar[str | None] = "links"
    items_max: ClassVar[int] = LINKS_MAX


class LinkResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One item's result: a link (201, or 200 if it had been minted before), or a problem."""

    described_by: ClassVar[tuple[type, ...]] = (ItemResult,)

    index: int
    status: int
    link_id: str | msgspec.UnsetType = msgspec.UNSET
    """The link's id: `lnk_` and 40 hexadecimal digits."""
    url: str | msgspec.UnsetType = msgspec.UNSET
    """The URL to put into the message."""
    short_url: str | msgspec.UnsetType = msgspec.UNSET
    """The link's short form, for SMS or a QR code; absent unless `short` was requested."""
    expires_at: datetime | msgspec.UnsetType = msgspec.UNSET
    """When the link stops earning."""
    problem: ProblemDocument | msgspec.UnsetType = msgspec.UNSET


class LinkResults(msgspec.Struct, frozen=True):
    """One result per item, in request order."""

    results: list[LinkResult]
    """One result per item, in request order."""

    @classmethod
    def of(cls, minted: Sequence[MintedLink | Problem], *, request_id: str) -> LinkResults:
        """Build the results."""
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


class LinkCheckResults(msgspec.Struct, frozen=True):
    """One result per link, in request order."""

    results: list[LinkCheckResult]
    """One result per link."""

    @classmethod
    def of(cls, checked: Sequence[LinkCheck | Problem], *, request_id: str) -> LinkCheckResults:
        """Build the results."""
        return cls([_checked(index, each, request_id) for index, each in enumerate(checked)])


def _checked(index: int, checked: LinkCheck | Problem, request_id: str) -> LinkCheckResult:
    if isinstance(checked, Problem):
        return LinkCheckResult(index=index, status=checked.status, problem=checked.document(request_id))
    return LinkCheckResult(index=index, status=200, link=checked)


class RevocationRequest(Body, frozen=True):
    """What to revoke: exactly one of a link, a message, a campaign, a key or a batch of codes."""

    link: Identifier | None = None
    """One link, by its `link_id`."""
    message_id: Identifier | None = None
    """All links of this message, by the sender's id."""
    campaign: Identifier | None = None
    """All links of this campaign, by its id."""
    key: Identifier | None = None
    """All links this API key (`key_`) made or will make, or all that this minting key signs."""
    code_batch: Identifier | None = None
    """All codes of this batch, by its id."""
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    """Why, for your own records. Customers do not see it."""

    example: ClassVar[dict[str, Any]] = {"message_id": "newsletter-0412", "reason": "went to the wrong list"}

    def named(self) -> list[tuple[str, str]]:
        """What is named, and by which field."""
        fields = ("link", "message_id", "campaign", "key", "code_batch")
        return [(field, named) for field in fields if (named := getattr(self, field)) is not None]


class RevocationResponse(msgspec.Struct, frozen=True):
    """A revocation."""

    id: int
    """The revocation's number, with which it can be undone."""
    kind: str
    """What was revoked: a `link`, `message_id`, `campaign`, `key` or `code_batch`."""
    named: str
    """Which one, as the request named it."""
    reason: str | None
    """Why, for your own records; null if not given."""
    revoked_at: datetime
    """When it was revoked."""
    revoked_by: str
    """The id of the key that revoked it, or `operator`."""


class ClaimConfirmation(Body, frozen=True, omit_defaults=True):
    """Confirms that a person arrived in the shop through a handoff link."""

    claim: Annotated[str, msgspec.Meta(min_length=1, max_length=1_024)]
    """The `rewards_claim` parameter that the link's redirect added."""
    evidence: Literal["A", "B", "C", "D", "X"] | None = None
    """How sure you are that a person acted, from `A` to `D`; `X` is a machine. It can lower the caller's grade, not raise
    it."""

    example: ClassVar[dict[str, Any]] = {"claim": "1B7nGYcBh4S0m0aEZgPUWpWoYmx1ZWJpcmTEFAAAAAc"}


class ScriptAnswer(msgspec.Struct, frozen=True):
    """The answer to a page's script: the decision, and nothing else about the customer."""

    outcome: Outcome
    reason: Reason | None
    points: int


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


class MintingKeyRequest(Body, frozen=True):
    """A key with which your own systems sign links. You send, and we store, only its public half."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    """Which system signs with the key, as shown in lists."""
    public_key: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{43}$(?!\n)")]
    """The 32 bytes of an Ed25519 public key in base64url, as in `x` of a JSON Web Key (RFC 8037).

    Points of low order are refused.
    """

    example: ClassVar[dict[str, Any]] = {
        "name": "campaign manager, 2027",
        "public_key": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    }


class MintingKeyResponse(msgspec.Struct, frozen=True):
    """A minting key of the brand."""

    kid: str
    """The key's id, for the `kid` in a link's header."""
    name: str
    """Which system signs with the key."""
    public_key: str
    """The 32 bytes of the Ed25519 public key in base64url."""
    registered_at: datetime
    """When it was registered."""
    expires_at: datetime | None
    """When the API key that registered it expires: a link not followed by then is no longer honoured. Null: never."""
    retired_at: datetime | None
    """When it was retired: links signed before are honoured, later ones are not. Null if it was not."""
    revoked_at: datetime | None
    """When it was revoked: no link it signed is honoured. Null if it was not."""


class NumbersRequest(Body, frozen=True):
    """Customers and destinations, to get the numbers that links you sign yourself contain."""

    customers: Annotated[list[CustomerRef], msgspec.Meta(max_length=10_000)] = msgspec.field(default_factory=list[CustomerRef])
    """Customers, each by at least one name. An unknown customer is created."""
    destinations: Annotated[list[str], msgspec.Meta(max_length=100)] = msgspec.field(default_factory=list[str])
    """Where the links lead: https, on the brand's hosts."""

    example: ClassVar[dict[str, Any]] = {
        "customers": [{"id": "customer-1"}],
        "destinations": ["https://shop.example/welcome"],
    }


class NumberedCustomer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The customer's `sub`, or what is wrong with the names given."""

    sub: str | msgspec.UnsetType = msgspec.UNSET
    """Our number of the customer, for the claim `sub`."""
    problem: ProblemDocument | msgspec.UnsetType = msgspec.UNSET
    """What is wrong with the names given; absent if there is a `sub`."""


class NumberedDestination(msgspec.Struct, frozen=True):
    """A destination and its `d`."""

    url: str
    """The destination as we store it."""
    d: int
    """Its number, for the claim `d`."""


class NumbersResponse(msgspec.Struct, frozen=True):
    """The numbers, in request order. They never change."""

    customers: list[NumberedCustomer]
    """One entry per customer, in request order."""
    destinations: list[NumberedDestination]
    """One entry per destination, in request order."""


def public_link_id(link_id: bytes) -> str:
    """The public id of a link: its campaign's number and its event key."""
    return f"lnk_{link_id.hex()}"


_LINK_ID = re.compile(r"lnk_([0-7][0-9a-f]{39})")


def parse_link_id(text: str) -> bytes | None:
    """The link with a public id."""
    match = _LINK_ID.fullmatch(text)
    return bytes.fromhex(match[1]) if match else None


class PageLinkRequest(Body, frozen=True):
    """A link to a customer's own page, or to an image of their balance for a message (`live`)."""

    customer: CustomerRef
    """The customer whose page it is, by at least one name."""
    kind: Literal["wallet", "preferences", "live"]
    """`wallet`: what they have. `preferences`: where and how often they want to hear from the brand. `live`: an image of
    their balance."""
    message_id: Identifier | None = None
    """The message that carries it; revoking the message's links revokes it too. Required for a live picture."""
    expires_in_s: Annotated[int, msgspec.Meta(ge=60, le=90 * 86_400)] | None = None
    """Seconds until the link expires. Absent: 15 minutes for a wallet, 30 days for preferences and live pictures. At most a
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


class PageLinkResults(msgspec.Struct, frozen=True):
    """One result per item, in request order."""

    results: list[PageLinkResult]
    """One result per item, in request order."""

    @classmethod
    def of(cls, minted: Sequence[MintedPage | Problem], *, request_id: str) -> PageLinkResults:
        """Build the results."""
        return cls([_page_result(index, each, request_id) for index, each in enumerate(minted)])


def _page_result(index: int, minted: MintedPage | Problem, request_id: str) -> PageLinkResult:
    if isinstance(minted, Problem):
        return PageLinkResult(index=index, status=minted.status, problem=minted.document(request_id))
    return PageLinkResult(index=index, status=201, url=minted.url, expires_at=minted.expires_at)
