"""From tokens of reward links to the messages they are of: one look-up for all events of a batch.

A token stands in the provider's opaque field, or is the address that was clicked, if that is one of our links. It was made for
one customer and message, so what it leads to needs no recipient.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol
from urllib.parse import SplitResult, urlsplit

from service.brands.brand import Brand
from service.campaigns.queries import campaign_version
from service.ingest.meanings import FoundMessage, NoMessage
from service.link_pages import lookup
from service.link_pages.lookup import DeadEnd, ParsedLink, Visitor
from service.links import offline_links
from service.links.hosts import requested_host
from service.links.queries import LinkRow
from service.links.store import NewLink
from service.providers.types import ProviderEvent
from service.tokens.link import LinkKind

if TYPE_CHECKING:
    from service.services import Services

_LINK = re.compile(r"/(?:[rR]/)?([^/]+)/?")
_ADDRESS = re.compile(r"https?://", re.IGNORECASE)


class OfBrand(Protocol):
    """What belongs to a brand."""

    @property
    def brand(self) -> Brand: ...


async def linked_messages(
    services: Services, source: OfBrand, events: Sequence[ProviderEvent], at: datetime, *, writes: bool = True
) -> list[FoundMessage | NoMessage | None]:
    """What the token of each event leads to, in order; ``None`` for an event without one. ``at`` is by the brand's clock.

    Unless it ``writes``, a link that the brand signed itself is not stored.
    """
    subjects = [_subject(services, source, event) for event in events]
    wanted = dict.fromkeys(subject for subject in subjects if subject is not None)
    if not wanted:
        return [None] * len(events)
    visitor = Visitor("POST", {"host": _host(services, source)}, "", at)
    parsed = {subject: _parsed(services, subject, visitor) for subject in wanted}
    known = {subject: each for subject, each in parsed.items() if each is not None}
    unstored = {} if writes else await _unstored(services, known, visitor)
    found = await _found(
        services, source, {subject: each for subject, each in known.items() if subject not in unstored}, visitor
    )
    for subject, row in unstored.items():
        found[subject] = await _message(services, source, known[subject], row)
    return [None if subject is None else found.get(subject, NoMessage("unknown_token")) for subject in subjects]


def _host(services: Services, source: OfBrand) -> str:
    own = source.brand.link_base_url
    return services.link_hosts.host if own is None else urlsplit(own).netloc


def _subject(services: Services, source: OfBrand, event: ProviderEvent) -> str | None:
    """The token of an event, as it stands in the message."""
    if event.token is not None:
        token = event.token.strip()
        return _in_path(token) or token if _ADDRESS.match(token) else token
    if event.url is None or requested_host({"host": _split(event.url).netloc}) not in _hosts(services, source):
        return None
    return _in_path(event.url)


def _split(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError:
        return SplitResult("", "", "", "", "")


def _hosts(services: Services, source: OfBrand) -> set[str]:
    own = source.brand.link_base_url
    return {services.link_hosts.host} | (set() if own is None else {requested_host({"host": urlsplit(own).netloc})})


def _in_path(address: str) -> str | None:
    match = _LINK.fullmatch(_split(address).path)
    return None if match is None else match[1]


def _parsed(services: Services, subject: str, visitor: Visitor) -> ParsedLink | None:
    for kind in (LinkKind.CLAIM, LinkKind.OPEN):
        parsed = lookup.parse(services, subject, visitor, kind)
        if not isinstance(parsed, DeadEnd):
            return parsed
    return None


async def _unstored(
    services: Services, parsed: Mapping[str, ParsedLink], visitor: Visitor
) -> dict[str, LinkRow | NewLink | None]:
    """The links of tokens that the brand signed itself, as they are stored or would be."""
    hosts = services.link_hosts.addressable(visitor.headers)
    found: dict[str, LinkRow | NewLink | None] = {}
    for subject, each in parsed.items():
        if each.offline is not None:
            row = await offline_links.stands_for(services, each.offline, hosts, visitor.at)
            found[subject] = row and (await services.links.get(row.link_id) or row)
    return found


async def _found(
    services: Services, source: OfBrand, parsed: Mapping[str, ParsedLink], visitor: Visitor
) -> dict[str, FoundMessage | NoMessage]:
    ids = await asyncio.gather(*(lookup.link_id_of(services, each, visitor.headers, visitor.at) for each in parsed.values()))
    rows = await services.links.get_many({link_id for link_id in ids if link_id is not None})
    return {
        subject: await _message(services, source, parsed[subject], rows.get(link_id) if link_id is not None else None)
        for subject, link_id in zip(parsed, ids, strict=True)
    }


async def _message(
    services: Services, source: OfBrand, parsed: ParsedLink, row: LinkRow | NewLink | None
) -> FoundMessage | NoMessage:
    if row is None or (parsed.claims is not None and parsed.claims.customer != row.customer):
        return NoMessage("unknown_token")
    if row.brand_id != source.brand.brand_id:
        return NoMessage("token_of_another_brand")
    if isinstance(row, LinkRow) and row.revoked_at is not None:
        return NoMessage("link_revoked")
    campaign = await campaign_version(services, row.campaign_no, row.campaign_version)
    if campaign is None:
        return NoMessage("unknown_token")
    return FoundMessage(row.message_id, campaign.id, row.customer, row.channel, "token", row.label, row.expires_at)
