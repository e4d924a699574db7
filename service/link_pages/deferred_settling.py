"""Settling deferred claims: each is judged by all that was fetched of its message, and posted as if it had come at once.

    note     one round trip for a batch, and what its campaigns pay, where that is not remembered: the clicks
    settle   the links of all in one, the siblings of all in one; then each its claim, which the ledger posts together

It counts when it happened: campaigns, caps and dates are those of the moment of the act.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from ledger import Grade
from service.campaigns.queries import campaign_version
from service.campaigns.rules import Campaign
from service.customers.queries import erased_among
from service.evidence.bot_detection import SENT_JUST_NOW_S, SIBLINGS_OF_A_MACHINE, Why
from service.evidence.click_log import Click, Way, click_of, count_siblings, message_key, record, since_sent_s
from service.grants import actions as grants
from service.link_pages import lookup
from service.link_pages.deferred_claims import DeferredClaim, Settlement
from service.link_pages.lookup import DeadEnd, ParsedLink, ResolvedLink
from service.link_pages.pages import Page
from service.links.queries import LinkRow
from service.tokens.link import LinkKind, LinkMode

if TYPE_CHECKING:
    from service.services import Services

_MACHINE = "X"


def settlement(services: Services) -> Settlement:
    """How acts are settled with what the application has."""
    return Settlement(
        functools.partial(note, services),
        functools.partial(settle, services),
        functools.partial(erased_among, services.pool),
        lookup.may_pass,
        timedelta(days=services.settings.dead_letters_days) if services.settings.dead_letters_days else None,
    )


async def note(services: Services, acts: Sequence[DeferredClaim]) -> None:
    """Store the clicks of acts; a token says enough for one, so that nothing is looked up but what its campaign pays."""
    brands = services.brands
    erased = await erased_among(services.pool, {act.claims.customer for act in acts if act.claims is not None})
    acts = [act for act in acts if act.claims is None or act.claims.customer not in erased]
    said = [act.claims for act in acts if act.claims is not None]
    brand_ids = {code: brand.brand_id for code in {claims.brand for claims in said} if (brand := await brands.by_code(code))}
    campaigns = {
        numbers: await campaign_version(services, *numbers)
        for numbers in {(claims.campaign_no, claims.campaign_version) for claims in said}
    }
    clicks: list[Click] = []
    for act in acts:
        claims = act.claims
        if claims is None:
            link = await _find(services, act)
            if isinstance(link, ResolvedLink):
                row = link.row
                known = (row.link_id, row.customer, row.message_id, row.action)
                clicks.append(_touch(act, row.brand_id, link.campaign, *known))
        elif (brand_id := brand_ids.get(claims.brand)) and (campaign := campaigns[claims.campaign_no, claims.campaign_version]):
            known = (claims.link_id, claims.customer, claims.message_id, claims.action)
            clicks.append(_touch(act, brand_id, campaign, *known))
    if clicks:
        await record(services.pool, clicks)


async def settle(services: Services, acts: Sequence[DeferredClaim]) -> list[str | BaseException]:
    """Judge and post acts; says of each, in order, what became of it, or what failed."""
    rows = await _rows(services, acts)
    found = [(act, row) for act, row in zip(acts, rows, strict=True) if isinstance(row, LinkRow)]
    siblings = iter(
        await count_siblings(services.pool, [(message_key(row.customer, row.message_id), act.at) for act, row in found])
    )
    settled = iter(
        await asyncio.gather(*(_settle(services, act, row, next(siblings)) for act, row in found), return_exceptions=True)
    )
    return [next(settled) if isinstance(row, LinkRow) else row or Page.NOT_FOUND.value for row in rows]


async def _rows(services: Services, acts: Sequence[DeferredClaim]) -> list[LinkRow | BaseException | None]:
    """The link of each act, in order, or what failed. A token says which it is; what else there is, is looked up first."""
    unnamed = [act for act in acts if act.claims is None]
    looked_up = iter(await asyncio.gather(*(_link_id(services, act) for act in unnamed), return_exceptions=True))
    link_ids = [next(looked_up) if act.claims is None else act.claims.link_id for act in acts]
    rows = await services.links.get_many({link_id for link_id in link_ids if isinstance(link_id, bytes)})
    return [rows.get(link_id) if isinstance(link_id, bytes) else link_id for link_id in link_ids]


async def _settle(services: Services, act: DeferredClaim, row: LinkRow, siblings: int) -> str:
    parsed = _parsed(act)
    link = lookup.alive(await lookup.honour(services, parsed, row, {"host": act.host}, act.at), parsed)
    if isinstance(link, DeadEnd):
        return link.page.value
    is_followed = act.way == Way.REDIRECT
    if act.way == Way.HANDOFF or (is_followed and link.row.mode is not LinkMode.REDIRECT):
        # The shop says whether the customer is there; or it is a code that nobody could look up, and whose link has a page.
        return "looked"
    if act.grade == _MACHINE or (is_followed and siblings >= SIBLINGS_OF_A_MACHINE):
        return "machine"
    answer = await grants.claim(services, link.row, link.known, link.brand, _grade(act, link), link.now)
    return "replayed" if answer.replayed else answer.outcome


def _grade(act: DeferredClaim, link: ResolvedLink) -> Grade:
    """As it was judged then, but for the time since the message was sent: that is by the brand's clock, and no code says it."""
    if act.way != Way.REDIRECT or (act.grade != Grade.C.value and act.why != Why.SENT_JUST_NOW):
        return Grade(act.grade)
    return Grade.C if since_sent_s(link.row, link.now) >= SENT_JUST_NOW_S else Grade.D


async def _find(services: Services, act: DeferredClaim) -> ResolvedLink | DeadEnd:
    parsed = _parsed(act)
    return lookup.alive(await lookup.look_up(services, parsed, {"host": act.host}, act.at), parsed)


async def _link_id(services: Services, act: DeferredClaim) -> bytes | None:
    return await lookup.link_id_of(services, _parsed(act), {"host": act.host}, act.at)


def _parsed(act: DeferredClaim) -> ParsedLink:
    kind = LinkKind.OPEN if act.way == Way.OPEN else LinkKind.CLAIM
    return ParsedLink(kind, claims=act.claims, code_hash=act.code_hash, offline=act.offline)


def _touch(
    act: DeferredClaim, brand_id: int, campaign: Campaign, link_id: bytes, customer: int, message_id: str, action: str
) -> Click:
    return click_of(
        act.way,
        act.grade,
        act.why,
        at=act.at,
        brand_id=brand_id,
        link_id=link_id,
        customer=customer,
        message_id=message_id,
        points=next((rule.points for rule in campaign.rules if rule.action == action), 0),
        network=act.network,
        agent=act.agent,
        since_sent_s=act.since_sent_s,
    )
