"""Links that a brand's own system has signed: we hear of each when it is first followed, and store it then.

    adopt        what an offline token stands for: from then on it is a link like any other
    stands_for   the same, without storing it
    claims_of    what it says, if its key signed it so
    wrong_with   why what it says is not honoured
    is_too_late  whether what nobody has followed by now is not honoured any more
    draft        the link that it would be, or why it would be none
    id_named_by  the id of that link
    numbers      what a token names customers and destinations by

A token is taken at its word in what its brand may decide: when it was signed, and until when it is good. What it pays is the
campaign's to say, by the version that was in force when it was signed, or when the key was registered if that was later.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.brands.brand import Brand
from service.brands.queries import brand_now
from service.campaigns.queries import campaign_standing
from service.campaigns.rules import Campaign
from service.customers import actions as customers
from service.customers.schemas import CustomerRef
from service.egress.hosts import is_one_of
from service.http.problems import Problem, invalid_field
from service.links import minting_keys
from service.links.destinations import allowed_destination, number_destinations
from service.links.drafts import LIFE_ASKED_MAX, OPEN_ACTION, channel_of
from service.links.minting_keys import MintingKey
from service.links.queries import destination_url
from service.links.schemas import NumberedCustomer, NumberedDestination, NumbersRequest, NumbersResponse
from service.links.store import NewLink, link_id_of, store
from service.tokens import offline as offline_tokens
from service.tokens.link import LinkKind, LinkRefused
from service.tokens.offline import OfflineClaims

if TYPE_CHECKING:
    from service.services import Services

_AHEAD_MAX = timedelta(minutes=5)
"""How far a signer's clock may be ahead of ours."""


async def adopt(services: Services, token: str, hosts: Collection[str], now: datetime) -> bytes | None:
    """The id of the link that a token stands for, which is stored now if it never was; ``None`` for what we do not honour."""
    row = await stands_for(services, token, hosts, now)
    if row is not None and await services.links.get(row.link_id) is None:
        await store(services, [row])
    return None if row is None else row.link_id


async def stands_for(services: Services, token: str, hosts: Collection[str], now: datetime) -> NewLink | None:
    """The link that a token stands for, whether or not it is stored; ``None`` for what we do not honour."""
    key_no = offline_tokens.key_named_by(token)
    key = None if key_no is None else await minting_keys.find(services.engine, key_no)
    brand: Brand | None = None if key is None else await services.brands.by_id(key.brand_id)
    claims = None if key is None else claims_of(token, key, brand, hosts, now)
    if key is None or brand is None or claims is None:
        return None
    row = await draft(services, brand, key, claims)
    if isinstance(row, Problem):
        return None
    return None if is_too_late(key, now) and await services.links.get(row.link_id) is None else row


def claims_of(token: str, key: MintingKey, brand: Brand | None, hosts: Collection[str], now: datetime) -> OfflineClaims | None:
    """What a token says, if ``key`` is the brand's and signed it for one of ``hosts`` in its time. It may be revoked now."""
    try:
        claims = offline_tokens.verify(token, key.key_no, key.public_key)
    except LinkRefused:
        return None
    return claims if wrong_with(claims, key, brand, hosts, now) is None else None


def wrong_with(
    claims: OfflineClaims, key: MintingKey, brand: Brand | None, hosts: Collection[str], now: datetime
) -> Problem | None:
    """Why the claims that a key signed are not honoured, whatever they name. They may have expired."""
    if brand is None or brand.brand_id != key.brand_id or brand.code != claims.iss:
        return invalid_field("/iss", "is not the code of the brand that registered the key")
    if not any(is_one_of(host, hosts) for host in claims.audience):
        return invalid_field("/aud", f"is not one of the brand's link hosts: {', '.join(sorted(hosts))}")
    signed_at = _instant(claims.iat)
    if signed_at > now + _AHEAD_MAX:
        return invalid_field("/iat", "lies in the future")
    if key.retired_at is not None and signed_at > key.retired_at:
        return invalid_field("/iat", "is later than the key was retired")
    if not timedelta() < _instant(claims.exp) - signed_at <= LIFE_ASKED_MAX:
        return invalid_field("/exp", f"must be later than iat, by at most {LIFE_ASKED_MAX.days} days")
    return None


def id_named_by(claims: OfflineClaims, campaign_no: int) -> bytes:
    """The id of the link that a token stands for, where it is stored or will be; ``campaign_no`` is its campaign's number."""
    return link_id_of(campaign_no, message_id=claims.m, customer=int(claims.sub), action=claims.a, label=claims.l)


def is_too_late(key: MintingKey, now: datetime) -> bool:
    """Whether a key is past its life: who has the private half can date a link back, so what nobody has followed is no link."""
    return key.expires_at is not None and now >= key.expires_at


async def numbers(services: Services, principal: Principal, wanted: NumbersRequest, *, request_id: str) -> NumbersResponse:
    """The numbers of customers and destinations; whom nobody knows gets one."""
    brand = principal.brand
    urls = [allowed_destination(url, brand) for url in wanted.destinations]
    if any(isinstance(url, Problem) for url in urls):
        brand = await brand_now(services.engine, brand)
        urls = [allowed_destination(url, brand) for url in wanted.destinations]
    for n, url in enumerate(urls):
        if isinstance(url, Problem):
            raise invalid_field(f"/destinations/{n}", url.errors[0].detail)
    good = [url for url in urls if isinstance(url, str)]
    numbered = await number_destinations(services.engine, brand, set(good))
    return NumbersResponse(
        customers=await _numbered(services, principal, wanted.customers, request_id),
        destinations=[NumberedDestination(url=url, d=numbered[url]) for url in good],
    )


async def _numbered(
    services: Services, principal: Principal, refs: Sequence[CustomerRef], request_id: str
) -> list[NumberedCustomer]:
    may_attach = Scope.CUSTOMERS_WRITE in principal.scopes
    known = await customers.resolve(services, principal.brand, refs, may_attach=may_attach) if refs else []
    return [
        NumberedCustomer(problem=each.document(request_id))
        if isinstance(each, Problem)
        else NumberedCustomer(sub=str(each.named))
        for each in known
    ]


async def draft(services: Services, brand: Brand, key: MintingKey, claims: OfflineClaims) -> NewLink | Problem:
    """The link as it is stored; or which of the things that it names is not there, or is not paid for by the campaign."""
    standing = await campaign_standing(services, brand, claims.c)
    if standing is None:
        return invalid_field("/c", "is not the id of a campaign of the brand", code="unknown_campaign")
    is_open = claims.kind is LinkKind.OPEN
    if is_open and claims.a != OPEN_ACTION:
        return invalid_field("/a", f"must be {OPEN_ACTION}: an image reports nothing else")
    if is_open != (claims.d == 0):
        return invalid_field("/d", "must be 0 for an open" if is_open else "must be a number that /v1/link-numbers gave")
    signed_at = _instant(claims.iat)
    campaign: Campaign = standing.version_at(max(signed_at, key.registered_at))
    channel = channel_of(claims.a, claims.ch, campaign)
    if isinstance(channel, Problem):
        (error,) = channel.errors
        return invalid_field({"/action": "/a", "/channel": "/ch"}[error.pointer], error.detail)
    customer = int(claims.sub)
    directory = services.customers
    known = await directory.find_number(brand, customer)
    if known is None or known.erased:
        return invalid_field("/sub", "is not the number of a customer of the brand")
    if claims.d and await destination_url(services.engine, brand.brand_id, claims.d) is None:
        return invalid_field("/d", "is not the number of a destination of the brand")
    return NewLink(
        link_id=id_named_by(claims, campaign.campaign_no),
        brand_id=brand.brand_id,
        campaign_no=campaign.campaign_no,
        campaign_version=campaign.version,
        customer=customer,
        message_id=claims.m,
        action=claims.a,
        channel=channel,
        label=claims.l,
        destination_no=claims.d,
        sent_at=None if claims.sent_at is None else _instant(claims.sent_at),
        minted_at=signed_at,
        expires_at=_instant(claims.exp),
        minted_by=key.minted_by,
        kind=claims.kind,
        mode=claims.mode,
    )


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)
