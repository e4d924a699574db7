"""Links on the wire."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, ClassVar

import msgspec

from service.customers.schemas import CustomerRef
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
    offer_group: Identifier | None = None
    """Your id of the offer that the message makes, which other messages to the customer may make on other channels. For a
    campaign that makes offers. The offer is paid once, for whichever is answered first."""
    lapses_at: Instant | None = None
    """When the offer lapses unless it is claimed. Absent: when another message said, or else with the link or the campaign,
    whichever ends first."""
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


def link_result(index: int, minted: MintedLink | Problem, request_id: str) -> LinkResult:
    """Build an item's result."""
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
