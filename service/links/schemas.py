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
    """A link and its URLs. ``is_new`` is false when it had been minted before."""

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
    """The sender's own id of the message, chosen before it is sent."""
    customer: CustomerRef
    """Whom the link is for, by at least one name. A customer nobody knows yet is created."""
    action: Slug
    """What following the link stands for, as a rule of the campaign names it, such as `click`."""
    destination: (
        Annotated[str, msgspec.Meta(min_length=1, description="Where the link leads: https, on one of the brand's hosts.")]
        | None
    ) = None
    """Required for a claim; an open has none."""
    kind: LinkKind = LinkKind.CLAIM
    """`claim` pays for what the customer does with the link; `open` is a picture, and says only that it was fetched."""
    mode: LinkMode = LinkMode.PAGE
    """How a claim is honoured: on our `page`, by a `handoff` to the shop, or while we `redirect`."""
    link: Identifier | None = None
    """A label that tells the links of one message apart."""
    channel: Slug | None = None
    """The channel on which it counts. Absent: the one on which the campaign pays for the action."""
    sent_at: Instant | None = None
    """When the message is sent, for evidence of who follows the link and when. Absent: when the link is made."""
    expires_at: Instant | None = None
    """From when on the link earns nothing. Absent: 72 hours after the campaign's end, at most 366 days from now."""
    short: bool = False
    """Give a `short_url` as well, for an SMS or a QR code."""

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
    """What became of one item: a link (201, or 200 when it had been minted before), or a problem."""

    described_by: ClassVar[tuple[type, ...]] = (ItemResult,)

    index: int
    status: int
    link_id: str | msgspec.UnsetType = msgspec.UNSET
    """The link's id: `lnk_` and 40 hexadecimal digits."""
    url: str | msgspec.UnsetType = msgspec.UNSET
    """The address to put into the message."""
    short_url: str | msgspec.UnsetType = msgspec.UNSET
    """The same link in a short form, for an SMS or a QR code; absent unless `short` was asked for."""
    expires_at: datetime | msgspec.UnsetType = msgspec.UNSET
    """From when on the link earns nothing."""
    problem: ProblemDocument | msgspec.UnsetType = msgspec.UNSET


class LinkResults(msgspec.Struct, frozen=True):
    """One result for each item, in the order of the request."""

    results: list[LinkResult]
    """One result for each item, in the order of the request."""

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


LinkState = Literal["good", "expired", "revoked"]

LINKS_CHECKED_MAX = 100


class LinkCheckRequest(Body, frozen=True):
    """Links to look at, as your systems signed or minted them."""

    links: Annotated[
        list[Annotated[str, msgspec.Meta(min_length=1, max_length=6_144)]],
        msgspec.Meta(min_length=1, max_length=LINKS_CHECKED_MAX),
    ]
    """1 to 100 links: each a URL, or its token or short code alone; at most 6,144 characters."""

    example: ClassVar[dict[str, Any]] = {"links": ["https://rewards.example/r/eyJhbGciOiJFZERTQSJ9.eyJhIjoiY2xpY2sifQ.c2ln"]}


class LinkCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A link that was signed as it should be, as it stands now."""

    state: LinkState
    """`good`: it is honoured; `expired` and `revoked`: it earns nothing any more.

    A signed link that nobody has followed is `expired` also when the key that signed it is past its `expires_at`.
    """
    link_id: str
    """Its public id, by which it can be revoked."""
    kind: LinkKind
    """`claim` pays for an act; `open` is a picture."""
    mode: LinkMode
    """How a claim is honoured: on our `page`, by a `handoff` to the shop, or while we `redirect`."""
    campaign: str
    """The id of the campaign that pays."""
    campaign_version: int
    """The version of its terms that the link is bound to."""
    customer: str
    """Whose link it is, as `cus_` and our number."""
    message_id: str
    """The sender's own id of the message."""
    action: str
    """The act that the link pays for."""
    channel: str
    """The channel that will be reported."""
    destination: str | None
    """Where it leads; null for an open."""
    points: int
    """What the campaign pays for the act, before caps and budget; 0: nothing."""
    campaign_paused: bool
    """Whether the campaign pays nothing for now."""
    signed_by: str | None
    """The `kid` of the minting key that signed it; null: this service did."""
    minted_at: datetime
    """When it was minted, or signed."""
    sent_at: datetime | None
    """When the message was sent, if somebody said so."""
    expires_at: datetime
    """From when on it earns nothing."""


class LinkCheckResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What we think of one link: how it stands (200), or why it is not honoured."""

    index: int
    """Its place in the request, from 0."""
    status: int
    """200, or the status of the problem."""
    link: LinkCheck | msgspec.UnsetType = msgspec.UNSET
    """The link, where it was signed as it should be."""
    problem: ProblemDocument | msgspec.UnsetType = msgspec.UNSET
    """Why it is not honoured. Pointers go into the token: `/header/kid`, `/claims/exp`, `/signature`."""


class LinkCheckResults(msgspec.Struct, frozen=True):
    """One result for each link, in the order of the request."""

    results: list[LinkCheckResult]
    """As many as there were links."""

    @classmethod
    def of(cls, checked: Sequence[LinkCheck | Problem], *, request_id: str) -> LinkCheckResults:
        """Say what became of each."""
        return cls([_checked(index, each, request_id) for index, each in enumerate(checked)])


def _checked(index: int, checked: LinkCheck | Problem, request_id: str) -> LinkCheckResult:
    if isinstance(checked, Problem):
        return LinkCheckResult(index=index, status=checked.status, problem=checked.document(request_id))
    return LinkCheckResult(index=index, status=200, link=checked)


class RevocationRequest(Body, frozen=True):
    """What shall earn no more: one of a link, all of a message, of a campaign, of an API key's making, or a batch of codes."""

    link: Identifier | None = None
    """One link, by its `link_id`."""
    message_id: Identifier | None = None
    """All links of this message, by the sender's own id of it."""
    campaign: Identifier | None = None
    """All links of this campaign, by its id."""
    key: Identifier | None = None
    """All links that this API key made or will make (`key_`), or that this minting key signs."""
    code_batch: Identifier | None = None
    """All codes of this batch, by its id."""
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    """Why it is revoked, for yourselves: no customer is shown it."""

    example: ClassVar[dict[str, Any]] = {"message_id": "newsletter-0412", "reason": "went to the wrong list"}

    def named(self) -> list[tuple[str, str]]:
        """What is named, and by which field."""
        fields = ("link", "message_id", "campaign", "key", "code_batch")
        return [(field, named) for field in fields if (named := getattr(self, field)) is not None]


class RevocationResponse(msgspec.Struct, frozen=True):
    """What is revoked: of which kind, and as whoever revoked it named it."""

    id: int
    """The revocation's number, to take it back with."""
    kind: str
    """What was revoked: a `link`, a `message_id`, a `campaign`, a `key` or a `code_batch`."""
    named: str
    """Which one, as whoever revoked it named it."""
    reason: str | None
    """Why, for yourselves; null: nobody said."""
    revoked_at: datetime
    """When it was revoked."""
    revoked_by: str
    """The id of the key that revoked it, or `operator`."""


class ClaimConfirmation(Body, frozen=True, omit_defaults=True):
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
    """The id of the campaign that pays."""
    action: Slug
    """What bringing a code stands for, as a rule of the campaign names it."""
    codes: Annotated[int, msgspec.Meta(ge=1, le=CODES_MAX)]
    """How many codes to make."""
    channel: Slug | None = None
    """The channel on which it counts. Absent: the one on which the campaign pays for the action."""
    destination: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    """Where the page leads on to; absent, to the brand's home."""
    expires_at: Instant | None = None
    """From when on the codes earn nothing: at most five years from now, for print lasts. Absent: 72 hours after the
    campaign's end, at most 366 days from now."""
    pays: Literal["first", "each"] = "first"
    """Whom a code pays. `first`: whoever comes first. `each`: everybody, once; the same code is printed for all."""
    rotates_every_s: Annotated[int, msgspec.Meta(ge=10, le=86_400)] | None = None
    """After how many seconds a screen shows another code, and the old one pays nobody; for one code that pays `each`.
    Absent: it stays."""

    example: ClassVar[dict[str, Any]] = {
        "id": "spring-packs-1",
        "campaign": "hello-again",
        "action": "click",
        "channel": "email",
        "codes": 100,
    }


class CodeBatchResponse(msgspec.Struct, frozen=True):
    """A batch of codes. ``control_total`` is the SHA-256 of all of them in order, each with a line feed behind it.

    ``claimed`` is null where a code pays each: the campaign's reconciliation says how many. ``screen`` is the picture of a code
    that rotates; who has its address has every code to come, so it is for the screen alone.
    """

    id: str
    """The brand's own name for the batch."""
    campaign: str
    """The id of the campaign that pays."""
    action: str
    """What bringing a code stands for, such as `click`."""
    channel: str
    """The channel on which it counts."""
    codes: int
    """How many codes there are."""
    pays: Literal["first", "each"]
    """`first`: a code pays whoever comes first. `each`: it pays everybody, once."""
    rotates_every_s: int | None
    """After how many seconds a screen shows another code; null: the codes stay."""
    screen: str | None
    """The address of the picture of a code that rotates, for the screen alone: who has it has every code to come. Null
    for all others."""
    claimed: int | None
    """How many codes were claimed; null where a code pays each."""
    control_total: str
    """The SHA-256 of all codes in order, each with a line feed behind it, in hexadecimal digits."""
    made_at: datetime
    """When the batch was made."""
    expires_at: datetime
    """From when on its codes earn nothing."""
    revoked: bool
    """Whether its codes were revoked, and earn nothing."""


class CodeClaimRequest(Body, frozen=True):
    """A code that a customer brought, and who she is."""

    code: Annotated[str, msgspec.Meta(min_length=1, max_length=2_048)]
    """As it was typed or scanned, at most 2,048 characters: with spaces, hyphens and small letters, as the whole URL that its
    QR code holds, and with letters that look alike (`0` for `O`, `1` for `I`) mistaken for each other."""
    customer: CustomerRef
    """Who brought the code, by at least one name."""

    example: ClassVar[dict[str, Any]] = {"code": "MZXW6YTBOI4GC2LT", "customer": {"id": "customer-1"}}


class MintingKeyRequest(Body, frozen=True):
    """A key of your own with which your systems sign links. Only its public half is sent, and known to us."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    """What signs with the key, as lists show it."""
    public_key: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{43}$(?!\n)")]
    """The 32 bytes of an Ed25519 public key in base64url, as `x` of a JSON Web Key has them (RFC 8037).

    Points of low order are refused.
    """

    example: ClassVar[dict[str, Any]] = {
        "name": "campaign manager, 2027",
        "public_key": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    }


class MintingKeyResponse(msgspec.Struct, frozen=True):
    """A key of the brand's with which its systems sign links. ``kid`` is what their headers say."""

    kid: str
    """The key's id, for the `kid` of a link's header."""
    name: str
    """What signs with the key, as whoever registered it says."""
    public_key: str
    """The 32 bytes of the Ed25519 public key in base64url."""
    registered_at: datetime
    """When it was registered."""
    expires_at: datetime | None
    """When the API key that registered it expires: a link that was not followed by then is honoured no more. Null: never."""
    retired_at: datetime | None
    """Since when it signs no more; what it signed before is honoured. Null while it signs."""
    revoked_at: datetime | None
    """Since when nothing that it signed is honoured; null while it is."""


class NumbersRequest(Body, frozen=True):
    """Whom and what a link that you sign yourself names by our numbers."""

    customers: Annotated[list[CustomerRef], msgspec.Meta(max_length=10_000)] = msgspec.field(default_factory=list[CustomerRef])
    """Customers to number, each by at least one name. Who is not known yet is created."""
    destinations: Annotated[list[str], msgspec.Meta(max_length=100)] = msgspec.field(default_factory=list[str])
    """Where links shall lead: https, on the brand's hosts."""

    example: ClassVar[dict[str, Any]] = {
        "customers": [{"id": "customer-1"}],
        "destinations": ["https://shop.example/welcome"],
    }


class NumberedCustomer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What to write into ``sub``, or what is wrong with how she was named."""

    sub: str | msgspec.UnsetType = msgspec.UNSET
    """Our number of the customer, to write into `sub`."""
    problem: ProblemDocument | msgspec.UnsetType = msgspec.UNSET
    """What is wrong with how the customer was named; absent where there is a `sub`."""


class NumberedDestination(msgspec.Struct, frozen=True):
    """What to write into ``d``, for a destination as it is kept."""

    url: str
    """The destination as it is kept."""
    d: int
    """Its number, to write into `d`."""


class NumbersResponse(msgspec.Struct, frozen=True):
    """Numbers in the order of the request. They never change."""

    customers: list[NumberedCustomer]
    """One entry for each customer, in the order of the request."""
    destinations: list[NumberedDestination]
    """One entry for each destination, in the order of the request."""


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
    """Whose page it is, by at least one name."""
    kind: Literal["wallet", "preferences", "live"]
    """`wallet`: what they have. `preferences`: where and how often they want to hear of the brand. `live`: a picture
    of their balance."""
    message_id: Identifier | None = None
    """The message that shows it, with whose links it is taken back. Required for a live picture."""
    expires_in_s: Annotated[int, msgspec.Meta(ge=60, le=90 * 86_400)] | None = None
    """How many seconds the link works. Absent: 15 minutes for a wallet, 30 days for preferences and live pictures. At
    most a day for a wallet, 90 days for the others."""

    example: ClassVar[dict[str, Any]] = {"customer": {"id": "customer-1"}, "kind": "wallet"}


class PageLinkBatch(Batch[PageLinkRequest]):
    """``{"pages": [...]}``, 1 to 10,000 of them."""

    member: ClassVar[str | None] = "pages"


class MintedPage(msgspec.Struct, frozen=True):
    """Where a page is, and until when."""

    url: str
    expires_at: datetime


class PageLinkResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What became of one item: a link, or a problem."""

    described_by: ClassVar[tuple[type, ...]] = (ItemResult,)

    index: int
    status: int
    url: str | msgspec.UnsetType = msgspec.UNSET
    """The address of the page or picture."""
    expires_at: datetime | msgspec.UnsetType = msgspec.UNSET
    """Until when it can be opened."""
    problem: ProblemDocument | msgspec.UnsetType = msgspec.UNSET


class PageLinkResults(msgspec.Struct, frozen=True):
    """One result for each item, in the order of the request."""

    results: list[PageLinkResult]
    """One result for each item, in the order of the request."""

    @classmethod
    def of(cls, minted: Sequence[MintedPage | Problem], *, request_id: str) -> PageLinkResults:
        """Say what became of each item."""
        return cls([_page_result(index, each, request_id) for index, each in enumerate(minted)])


def _page_result(index: int, minted: MintedPage | Problem, request_id: str) -> PageLinkResult:
    if isinstance(minted, Problem):
        return PageLinkResult(index=index, status=minted.status, problem=minted.document(request_id))
    return PageLinkResult(index=index, status=201, url=minted.url, expires_at=minted.expires_at)
