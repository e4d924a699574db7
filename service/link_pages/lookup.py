"""From what is asked for to the link: a token or a code is read, then looked up.

    parse     what a token says, checked, or what to look for a code by; nobody is parsed
    resolve   the link with all it takes to honour it, or the dead end there is instead
    in_time   a context for whatever else a customer waits for

Nothing is looked up for a token that is not ours.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
import structlog

from service.brands.brand import Brand
from service.campaigns.queries import campaign_is_paused, campaign_version
from service.campaigns.rules import Campaign, Rule
from service.concurrency.shared_timeout import Deadline
from service.customers import actions as customers
from service.customers.queries import Customer
from service.http.problems import Problem
from service.link_pages.pages import Page
from service.links import offline_links
from service.links.queries import LinkRow
from service.links.revocation_subjects import of_campaign, of_campaign_named, of_key, of_link, of_message
from service.observability import log
from service.storage.database import is_away
from service.tokens import link as link_tokens
from service.tokens.code import code_hash, normal_code
from service.tokens.link import LinkClaims, LinkKind, LinkMode, LinkRefusal, LinkRefused
from service.tokens.offline import key_named_by, says

if TYPE_CHECKING:
    from service.services import Services

TIMEOUT_S = 3.0
"""How long a customer waits for us before they are offered the way on."""


class Unavailable(Exception):
    """What a customer waits for cannot be had now, but may be soon."""


class Visitor(msgspec.Struct, frozen=True, gc=False):
    """Who asks for a link, by what the request says. ``at`` is by the world's clock; ``headers`` have lower-case names."""

    method: str
    headers: Mapping[str, str]
    address: str
    at: datetime


class ParsedLink(msgspec.Struct, frozen=True, gc=False):
    """What was asked for: a token of ours, which may have expired; or a code or an offline token, which the database knows."""

    kind: LinkKind = LinkKind.CLAIM
    claims: LinkClaims | None = None
    is_expired: bool = False
    code_hash: bytes | None = None
    offline: str | None = None

    @property
    def mode(self) -> LinkMode:
        """How the link says it is honoured; what a code stands for it does not say."""
        if self.claims is not None:
            return self.claims.mode
        return LinkMode.PAGE if self.offline is None else says(self.offline).mode


class ResolvedLink(msgspec.Struct, frozen=True, gc=False):
    """A link that can be claimed, if its campaign still pays. ``known`` is its customer, ``now`` is by the brand's clock."""

    row: LinkRow
    known: Customer
    brand: Brand
    campaign: Campaign
    is_paused: bool
    now: datetime

    @property
    def rule(self) -> Rule | None:
        """What the campaign pays by."""
        return self.campaign.rule_of_link(self.row.action, self.row.channel)

    @property
    def points(self) -> int:
        """What the link would earn, before caps and budget."""
        rule = self.rule
        return 0 if rule is None else rule.points


class DeadEnd(msgspec.Struct, frozen=True):
    """A link that cannot be claimed now: the page that says so, and what is known of where it leads.

    ``Page.BUSY``: nobody could look it up, so it may be as good as any. ``link_id`` is that of a token that was checked.
    """

    page: Page
    brand: Brand | None = None
    destination: str | None = None
    link_id: bytes | None = None


def parse(services: Services, subject: str, visitor: Visitor, kind: LinkKind = LinkKind.CLAIM) -> ParsedLink | DeadEnd:
    """What a token says or a code is."""
    code = normal_code(subject)
    if code is not None:
        return ParsedLink(kind, code_hash=code_hash(code))
    subject = link_tokens.trimmed(subject)
    if key_named_by(subject) is not None:
        return ParsedLink(kind, offline=subject)
    hosts, is_expired = services.link_hosts.addressable(visitor.headers), False
    try:
        keys, now = services.token_keys.links, int(visitor.at.timestamp())
        claims = link_tokens.verify(subject, keys, hosts=hosts, now=now, kind=kind)
    except LinkRefused as refused:
        if refused.refusal is not LinkRefusal.EXPIRED or refused.claims is None:
            return DeadEnd(Page.NOT_FOUND)
        claims, is_expired = refused.claims, True
    brand = services.last_known.brand(claims.brand)
    if brand is not None and not services.link_hosts.is_at_home(brand, visitor.headers):
        return DeadEnd(Page.NOT_FOUND)
    return ParsedLink(kind, claims, is_expired)


async def resolve(services: Services, parsed: ParsedLink, visitor: Visitor) -> ResolvedLink | DeadEnd:
    """The link that was asked for."""
    try:
        with in_time(services):
            found = await look_up(services, parsed, visitor.headers, visitor.at)
    except Unavailable:
        return _as_last_known(services, parsed, visitor)
    return alive(found, parsed)


def within_timeout(services: Services) -> Deadline:
    """A context whose body takes no longer than a customer waits; else ``TimeoutError``."""
    return services.page_timeout.within(TIMEOUT_S)


@contextlib.contextmanager
def in_time(services: Services) -> Generator[None]:
    """Raise ``Unavailable`` if the body takes longer than a customer waits, or fails in a way that may pass."""
    try:
        with within_timeout(services):
            yield
    except Exception as error:
        if not may_pass(error):
            raise
        structlog.get_logger().warning("link_not_served", **log.describe_error(error))
        raise Unavailable from error


async def look_up(services: Services, parsed: ParsedLink, headers: Mapping[str, str], now: datetime) -> ResolvedLink | None:
    """The link, whatever has become of it, unless it is foreign: of another brand or customer, or not ours at all."""
    link_id = await link_id_of(services, parsed, headers, now)
    row = None if link_id is None else await services.links.get(link_id)
    return None if row is None else await honour(services, parsed, row, headers, now)


async def link_id_of(services: Services, parsed: ParsedLink, headers: Mapping[str, str], now: datetime) -> bytes | None:
    """The link's id, if there is one."""
    if parsed.code_hash is not None:
        return await services.link_ids.get(parsed.code_hash)
    if parsed.offline is not None:
        return await offline_links.adopt(services, parsed.offline, services.link_hosts.addressable(headers), now)
    return parsed.claims.link_id if parsed.claims else None


async def honour(
    services: Services, parsed: ParsedLink, row: LinkRow, headers: Mapping[str, str], now: datetime
) -> ResolvedLink | None:
    """The link of a row that was looked up, unless it is foreign."""
    if parsed.claims and row.customer != parsed.claims.customer:
        return None
    found = await _with_brand(services, row, headers, now)
    return None if found is None or (parsed.claims and found.brand.code != parsed.claims.brand) else found


def alive(found: ResolvedLink | None, parsed: ParsedLink) -> ResolvedLink | DeadEnd:
    """The link, unless there is none, or it is past its life."""
    if found is None or found.row.kind is not parsed.kind:
        return DeadEnd(Page.NOT_FOUND)
    if found.row.revoked_at is not None:
        return DeadEnd(Page.REVOKED, found.brand, found.row.destination)
    if parsed.is_expired or found.row.expires_at <= found.now:
        return DeadEnd(Page.EXPIRED, found.brand, found.row.destination)
    return found


def may_pass(error: BaseException) -> bool:
    """Whether trying again may help: then customers are shown the way on rather than an error."""
    return (isinstance(error, Problem) and error.spec.retryable) or is_away(error)


def _as_last_known(services: Services, parsed: ParsedLink, visitor: Visitor) -> DeadEnd:
    headers = visitor.headers
    if parsed.offline is not None:
        return _offline_as_last_known(services, parsed.offline, parsed.kind, visitor)
    if parsed.claims is None:
        # A code says nothing of where it leads; on a host of the brand's own it is at least known whose it is.
        brand = services.link_hosts.brand_at(headers)
        return DeadEnd(Page.BUSY, brand, brand and brand.home_url)
    brand = services.last_known.brand(parsed.claims.brand)
    destination = services.last_known.destination(brand, parsed.claims.destination_no)
    said = parsed.claims
    subjects = (of_link(said.link_id), of_message(said.message_id), of_campaign(said.campaign_no))
    if brand is not None and services.last_known.is_revoked(brand, subjects):
        return DeadEnd(Page.REVOKED, brand, destination)
    return DeadEnd(Page.EXPIRED if parsed.is_expired and brand else Page.BUSY, brand, destination, said.link_id)


def _offline_as_last_known(services: Services, token: str, kind: LinkKind, visitor: Visitor) -> DeadEnd:
    said = says(token)
    brand = services.last_known.brand(said.brand)
    destination = services.last_known.destination(brand, said.destination_no)
    key_no = key_named_by(token)
    key = None if key_no is None else services.last_known.minting_key(key_no)
    if key is None:
        # Registered a moment ago, or never. It leads where the brand of that name allows, or nowhere, which is safe.
        return DeadEnd(Page.BUSY, brand, destination)
    claims = offline_links.claims_of(token, key, brand, services.link_hosts.addressable(visitor.headers), visitor.at)
    if claims is None or claims.kind is not kind or brand is None or not services.link_hosts.is_at_home(brand, visitor.headers):
        return DeadEnd(Page.NOT_FOUND)
    campaign_no = services.last_known.campaign_no(brand, claims.c)
    link_id = None if campaign_no is None else offline_links.id_named_by(claims, campaign_no)
    subjects = [of_key(key.minted_by), of_message(claims.m), of_campaign_named(claims.c)]
    subjects += [] if link_id is None else [of_link(link_id)]
    if key.revoked_at is not None or services.last_known.is_revoked(brand, subjects):
        return DeadEnd(Page.REVOKED, brand, destination)
    return DeadEnd(Page.EXPIRED if claims.exp <= visitor.at.timestamp() else Page.BUSY, brand, destination, link_id)


async def _with_brand(services: Services, row: LinkRow, headers: Mapping[str, str], now: datetime) -> ResolvedLink | None:
    """A link with all it takes to honour it, unless it was brought to another brand's host."""
    brand = await services.brands.by_id(row.brand_id)
    if brand is None or not services.link_hosts.is_at_home(brand, headers):
        return None
    services.last_known.see_brand(brand)
    if row.destination is not None:
        services.last_known.see_destinations([(row.destination_no, brand.brand_id, row.destination)])
    campaign = await campaign_version(services, row.campaign_no, row.campaign_version)
    if campaign is None:
        return None
    clocks = services.clocks
    is_paused = await campaign_is_paused(services, row.campaign_no)
    known = row.known or await customers.by_number(services, brand, row.customer)
    return ResolvedLink(
        row=row, known=known, brand=brand, campaign=campaign, is_paused=is_paused, now=await clocks.at(brand, now)
    )
