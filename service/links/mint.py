"""Minting links.

    mint    three round trips and two transactions for a thousand: customers, destinations, links; one more for short ones, and
            two for those of offers

A link's id is the event key of what it will report, so asking for the same link twice gives the same link: what was stored
first is what is signed, also its times. Under a newer signing key the URL and the code differ, and the link is still the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.brands.brand import Brand
from service.brands.queries import brand_now
from service.campaigns.queries import campaign_by_id
from service.campaigns.rules import Campaign
from service.concurrency.fairness import in_chunks, parts
from service.customers import actions as customers
from service.customers.opt_outs import has_refused, promised_before_opt_out
from service.customers.queries import Customer
from service.http.problems import Problem, invalid_field
from service.links.destinations import leads_to, number_destinations
from service.links.drafts import Draft, destination_of, draft_of, whole_seconds
from service.links.queries import LinkRow, links_by_id
from service.links.schemas import LinkBatch, LinkRequest, MintedLink
from service.links.store import NewLink, link_id_of, store, store_codes
from service.observability import metrics
from service.offers import actions as offers
from service.offers.actions import OfferedMessage
from service.tokens import link as link_tokens
from service.tokens.link import LinkClaims, LinkKeys, LinkKind

if TYPE_CHECKING:
    from service.services import Services

MINTED_AT_ONCE = 1_000
"""A longer batch is cut, so that others get their turn in between."""
_SIGNED_ON_THE_LOOP = 8
"""Signing takes some 40 µs: a few are not worth a thread."""

_LABEL_IT = "give `link` a label of its own for another one"

_Item: TypeAlias = LinkRequest | Problem
_Campaigns: TypeAlias = Mapping[str, Campaign | None]


async def mint(services: Services, principal: Principal, batch: LinkBatch, *, now: datetime) -> list[MintedLink | Problem]:
    """Mint a link for each item, in order; what is wrong with one item is its own problem."""
    minted: list[MintedLink | Problem] = []
    async with services.batch_items.hold(min(len(batch), MINTED_AT_ONCE)):
        for start in range(0, len(batch), MINTED_AT_ONCE):
            minted += await _mint(services, principal, await batch.items(start, start + MINTED_AT_ONCE), now)
    return minted


async def _mint(services: Services, principal: Principal, items: Sequence[_Item], now: datetime) -> list[MintedLink | Problem]:
    brand, campaigns, drafts = await _drafts(services, principal.brand, items, now)
    outcomes: dict[int, LinkRow | Problem] = {index: each for index, each in enumerate(drafts) if isinstance(each, Problem)}
    if outcomes:
        outcomes |= await _minted_before(services, brand, {index: items[index] for index in outcomes}, campaigns)
    rows = await _rows(services, principal, drafts, now)
    offered = _offered(drafts, rows)
    rows |= await offers.check(services, brand, offered)
    new, stored = await store(services, (row for row in rows.values() if isinstance(row, NewLink)))
    outcomes |= {index: row if isinstance(row, Problem) else _as_asked(stored[row.link_id], row) for index, row in rows.items()}
    await offers.store(services, brand, [each for n, each in offered.items() if isinstance(outcomes[n], LinkRow)])
    return await _published(services, brand, items, [_unless_revoked(outcomes[index]) for index in range(len(items))], new)


def _offered(drafts: Sequence[Draft | Problem], rows: Mapping[int, NewLink | Problem]) -> dict[int, OfferedMessage]:
    """The offers that the messages of links make, by index."""
    offered: dict[int, OfferedMessage] = {}
    for index, row in rows.items():
        draft = drafts[index]
        if isinstance(draft, Draft) and isinstance(row, NewLink) and draft.request.offer_group is not None:
            stated = draft.request.lapses_at
            offered[index] = OfferedMessage(
                group=draft.request.offer_group,
                message_id=row.message_id,
                customer=row.customer,
                campaign_no=row.campaign_no,
                channel=row.channel,
                sent_at=row.sent_at or row.minted_at,
                lapses_at=stated or min(row.expires_at, draft.campaign.ends_at),
                is_stated=stated is not None,
            )
    return offered


async def _drafts(
    services: Services, brand: Brand, items: Sequence[_Item], now: datetime
) -> tuple[Brand, _Campaigns, list[Draft | Problem]]:
    """What is asked for by each item, or what is wrong with it, with the brand and the campaigns that it was held against."""
    named = {item.campaign for item in items if isinstance(item, LinkRequest)}
    campaigns = {name: await campaign_by_id(services, brand, name) for name in named}
    drafts = await _draft_all(items, brand, campaigns, now)
    doubtful = {
        item.campaign
        for item, each in zip(items, drafts, strict=True)
        if isinstance(item, LinkRequest) and isinstance(each, Problem)
    }
    if doubtful:
        # Nobody is refused for what is remembered of a campaign or a brand: another process may have changed them.
        brand = await brand_now(services.engine, brand)
        campaigns |= {name: await campaign_by_id(services, brand, name, now=True) for name in doubtful}
        drafts = await _draft_all(items, brand, campaigns, now)
    return brand, campaigns, drafts


async def _draft_all(items: Sequence[_Item], brand: Brand, campaigns: _Campaigns, now: datetime) -> list[Draft | Problem]:
    def read(item: _Item) -> Draft | Problem:
        return item if isinstance(item, Problem) else draft_of(item, brand, campaigns[item.campaign], now)

    return await in_chunks(read, items)


async def _minted_before(
    services: Services, brand: Brand, items: Mapping[int, _Item], campaigns: _Campaigns
) -> dict[int, LinkRow]:
    """The links that were minted for the same requests before, by index, whatever has become of campaign and brand since."""
    asked = {
        index: item
        for index, item in items.items()
        if isinstance(item, LinkRequest)
        and campaigns.get(item.campaign)
        # What is asked for an open wrongly was never minted so.
        and (item.kind is LinkKind.CLAIM or not isinstance(destination_of(item, brand), Problem))
    }
    people = await customers.resolve(services, brand, [item.customer for item in asked.values()], dry_run=True)
    link_ids: dict[int, list[bytes]] = {}
    for (index, item), known in zip(asked.items(), people, strict=True):
        campaign = campaigns[item.campaign]
        if campaign is not None and not isinstance(known, Problem):
            link_ids[index] = [_link_id(campaign, item, number) for number in (known.customer, *known.former)]
    there = await links_by_id(services.pool, [link_id for ids in link_ids.values() for link_id in ids]) if link_ids else {}
    found = {
        index: next((there[link_id] for link_id in ids if link_id in there and _is_of(there[link_id], asked[index])), None)
        for index, ids in link_ids.items()
    }
    return {index: link for index, link in found.items() if link is not None}


def _is_of(there: LinkRow, asked: LinkRequest) -> bool:
    """Whether a link is what is asked for."""
    is_such = (there.kind, there.mode) == (asked.kind, asked.mode) and asked.channel in (None, there.channel)
    return is_such and leads_to(asked.destination, there.destination)


def _link_id(campaign: Campaign, item: LinkRequest, customer: int) -> bytes:
    return link_id_of(
        campaign.campaign_no, message_id=item.message_id, customer=customer, action=item.action, label=item.link or ""
    )


async def _rows(
    services: Services, principal: Principal, drafts: Sequence[Draft | Problem], now: datetime
) -> dict[int, NewLink | Problem]:
    """The row of each draft, by its index; or why there is none: what is wrong with its customer, or that they refuse it."""
    good = {index: draft for index, draft in enumerate(drafts) if isinstance(draft, Draft)}
    if not good:
        return {}
    brand = principal.brand
    may_attach = Scope.CUSTOMERS_WRITE in principal.scopes
    refs = [draft.request.customer for draft in good.values()]
    resolved: list[Customer | Problem] = []
    for part in parts(refs):
        resolved += await customers.resolve(services, brand, part, may_attach=may_attach)
    # The few who were ever merged are looked up: a link is for good, and what is remembered of them may be old.
    resolved = [await _up_to_date(services, brand, known) for known in resolved]
    urls = {draft.destination for draft in good.values() if draft.destination is not None}
    numbers = await number_destinations(services.engine, brand, urls)
    services.last_known.see_brand(brand)
    services.last_known.see_destinations((number, brand.brand_id, url) for url, number in numbers.items())
    rows: dict[int, NewLink | Problem] = {}
    refused: dict[int, Customer] = {}
    for (index, draft), known in zip(good.items(), resolved, strict=True):
        if isinstance(known, Problem):
            rows[index] = known
            continue
        destination_no = 0 if draft.destination is None else numbers[draft.destination]
        # It is for the number that the name leads to, so that after a split it is still theirs: see decision 32.
        rows[index] = _row(draft, known.named, destination_no, principal, now)
        if has_refused(known.refused, draft.channel, now):
            refused[index] = known
    return rows | await _not_minted(services, refused, rows) if refused else rows


async def _up_to_date(services: Services, brand: Brand, known: Customer | Problem) -> Customer | Problem:
    """Who a customer is now, if they were ever merged; what any name they came with has refused stays refused."""
    if isinstance(known, Problem) or not known.generation:
        return known
    now = await customers.by_number(services, brand, known.named)
    return msgspec.structs.replace(now, refused=(*now.refused, *known.refused))


async def _not_minted(
    services: Services, refused: Mapping[int, Customer], rows: Mapping[int, NewLink | Problem]
) -> dict[int, Problem]:
    """Which of the links to those who have ``refused`` the channel are not given: all but those that were minted before."""
    wanted = {index: row for index in refused if isinstance(row := rows[index], NewLink)}
    there = await links_by_id(services.pool, [row.link_id for row in wanted.values()])

    def is_promised(index: int, link: LinkRow | None) -> bool:
        return link is not None and promised_before_opt_out(refused[index].refused, link.channel, link.minted_at)

    answers = {
        index: Problem("consent_refused", f"The customer has refused to be contacted on {row.channel}.")
        for index, row in wanted.items()
        if not is_promised(index, there.get(row.link_id))
    }
    metrics.consent_refused.labels("link").inc(len(answers))
    return answers


def _row(draft: Draft, customer: int, destination_no: int, principal: Principal, now: datetime) -> NewLink:
    request = draft.request
    return NewLink(
        link_id=_link_id(draft.campaign, request, customer),
        brand_id=principal.brand.brand_id,
        campaign_no=draft.campaign.campaign_no,
        campaign_version=draft.campaign.version,
        customer=customer,
        message_id=request.message_id,
        action=request.action,
        channel=draft.channel,
        label=request.link or "",
        destination_no=destination_no,
        sent_at=None if request.sent_at is None else whole_seconds(request.sent_at),
        minted_at=whole_seconds(now),
        expires_at=draft.expires_at,
        minted_by=principal.api_key_id,
        kind=request.kind,
        mode=request.mode,
    )


def _as_asked(there: LinkRow, wanted: NewLink) -> LinkRow | Problem:
    """The link of this id, unless it is not what is asked for; that it is revoked comes first."""
    return there if there.revoked_at is not None else _minted_otherwise(there, wanted) or there


def _minted_otherwise(there: LinkRow, wanted: NewLink) -> Problem | None:
    """Why what is asked for is not the link of its id that is there already."""
    if there.kind != wanted.kind:
        return invalid_field("/kind", f"this link already has kind {there.kind}; {_LABEL_IT}")
    if there.mode != wanted.mode:
        return invalid_field("/mode", f"this link already has mode {there.mode}; {_LABEL_IT}")
    if there.destination_no != wanted.destination_no:
        return invalid_field("/destination", f"this link already has another destination; {_LABEL_IT}")
    return None


def _unless_revoked(outcome: LinkRow | Problem) -> LinkRow | Problem:
    if isinstance(outcome, Problem) or outcome.revoked_at is None:
        return outcome
    return Problem("link_revoked", "The link, or what it belongs to, is revoked: it would earn nothing.")


async def _published(
    services: Services, brand: Brand, items: Sequence[_Item], outcomes: Sequence[LinkRow | Problem], new: set[bytes]
) -> list[MintedLink | Problem]:
    """The addresses of links, signed, and their codes; ``new`` are those that were not there before."""
    links = {each.link_id: each for each in outcomes if isinstance(each, LinkRow)}
    host, base_url = services.link_hosts.host_of(brand), services.link_hosts.base_url_of(brand)
    tokens = await _sign([_claims(link, brand, host) for link in links.values()], services.token_keys.links)
    urls = {link.link_id: base_url + _path(link, token) for link, token in zip(links.values(), tokens, strict=True)}
    is_short = [isinstance(item, LinkRequest) and item.short for item in items]
    short = {each.link_id for each, short in zip(outcomes, is_short, strict=True) if short and isinstance(each, LinkRow)}
    codes = await store_codes(services, short)
    minted: list[MintedLink | Problem] = []
    for each, wants_code in zip(outcomes, is_short, strict=True):
        if isinstance(each, Problem):
            minted.append(each)
            continue
        short_url = f"{base_url}/{codes[each.link_id]}" if wants_code else None
        minted.append(MintedLink(link=each, url=urls[each.link_id], short_url=short_url, is_new=each.link_id in new))
        # The same link twice in one batch is new once.
        new.discard(each.link_id)
    return minted


def _path(there: LinkRow, token: str) -> str:
    return f"/o/{token}.gif" if there.kind is LinkKind.OPEN else f"/r/{token}"


def _claims(row: LinkRow, brand: Brand, host: str) -> LinkClaims:
    return LinkClaims(
        brand=brand.code,
        host=host,
        link_id=row.link_id,
        customer=row.customer,
        message_id=row.message_id,
        campaign_no=row.campaign_no,
        campaign_version=row.campaign_version,
        action=row.action,
        destination_no=row.destination_no,
        issued_at=int(row.minted_at.timestamp()),
        sent_at=int((row.sent_at or row.minted_at).timestamp()),
        expires_at=int(row.expires_at.timestamp()),
        kind=row.kind,
        mode=row.mode,
    )


async def _sign(claims: Sequence[LinkClaims], keys: LinkKeys) -> list[str]:
    if len(claims) <= _SIGNED_ON_THE_LOOP:
        return link_tokens.sign_many(claims, keys)
    return await asyncio.to_thread(link_tokens.sign_many, claims, keys)
