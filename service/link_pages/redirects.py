"""Following a link that redirects: the customer is sent on at once, and what the request showed is kept to be judged later.

No database is asked: where the link leads is known to every process, and the act is on the local disk before they are answered.
It is judged when it is known what else was fetched of the same message (see ``deferred_claims``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.evidence import bot_detection
from service.evidence.bot_detection import Verdict
from service.evidence.click_log import Way, network_of
from service.link_pages import lookup
from service.link_pages.deferred_claims import DeferredClaim
from service.link_pages.lookup import ParsedLink, ResolvedLink, Visitor
from service.link_pages.pages import Answer
from service.links.hosts import requested_host
from service.pages.rendering import HEADERS_OF_NO_PAGE
from service.tokens.link import LinkKind

if TYPE_CHECKING:
    from service.services import Services

_SHARE = 0.5
"""How full the spool may be of machines, of codes, which anybody can make up, and of what earns little or nothing."""
_EARNS_LITTLE = {Way.OPEN, Way.HANDOFF}
_LONG_AGO_S = 1e9


async def follow(services: Services, parsed: ParsedLink, visitor: Visitor, link: ResolvedLink | None = None) -> Answer | None:
    """Lead on to where the link leads, or else to its brand's home; ``None`` if neither is known."""
    if visitor.method == "GET" and not parsed.is_expired:
        await keep(services, parsed, visitor, Way.REDIRECT, judge(parsed, visitor))
    leads_to = link.row.destination if link is not None else await _destination(services, parsed, visitor)
    return None if leads_to is None else Answer(302, "", {"Location": leads_to, **HEADERS_OF_NO_PAGE})


def judge(parsed: ParsedLink, visitor: Visitor) -> Verdict:
    """What a request shows by itself, when nobody can be asked what time it is for the brand."""
    is_picture = parsed.kind is LinkKind.OPEN
    return bot_detection.grade(visitor.method, visitor.headers, since_sent_s=_since_sent_s(parsed, visitor), picture=is_picture)


async def keep(services: Services, parsed: ParsedLink, visitor: Visitor, way: Way, verdict: Verdict) -> bool:
    """Keep an act to be judged and posted later; says whether it is on the disk."""
    late = services.deferred_claims
    act = DeferredClaim(
        at=visitor.at,
        host=requested_host(visitor.headers),
        way=way,
        grade=verdict.letter,
        why=verdict.why,
        since_sent_s=_since_sent_s(parsed, visitor),
        claims=parsed.claims,
        code_hash=parsed.code_hash,
        offline=parsed.offline,
        network=network_of(visitor.address),
        agent=services.click_log.agent_of(visitor.headers),
    )
    is_vouched_for = parsed.claims is not None and not verdict.is_machine and way not in _EARNS_LITTLE
    return await late.keep(act, share=1.0 if is_vouched_for else _SHARE)


def _since_sent_s(parsed: ParsedLink, visitor: Visitor) -> float:
    # When a code's message was sent is looked up when the act is settled.
    return visitor.at.timestamp() - parsed.claims.sent_at if parsed.claims else _LONG_AGO_S


async def _destination(services: Services, parsed: ParsedLink, visitor: Visitor) -> str | None:
    """Where a token leads. What another process numbered a moment ago is the only thing to be looked up."""
    if parsed.claims is None:
        return None
    brand = services.last_known.brand(parsed.claims.brand)
    known = services.last_known.destination(brand, parsed.claims.destination_no)
    if known is not None:
        return known
    link = await lookup.resolve(services, parsed, visitor)
    if isinstance(link, ResolvedLink):
        return link.row.destination
    return link.destination or (brand and brand.home_url)
