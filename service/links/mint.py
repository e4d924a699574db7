"""Minting links.

    mint    three round trips and two transactions for a thousand: customers, destinations, links; one more for short ones

A link's id is the event key of what it will report, so asking for the same link twice gives the same link: what was stored
first is what is signed, also its times. Under a newer signing key the URL and the code differ, and the link is still the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import LargeBinary, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import event_key
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.brands.brand import Brand
from service.brands.destinations import DestinationRefused, normal_form
from service.brands.queries import brand_now
from service.campaigns.queries import campaign_by_id
from service.campaigns.rules import Campaign
from service.concurrency.fairness import in_chunks, parts
from service.customers import actions as customers
from service.customers.opt_outs import has_refused, promised_before_opt_out
from service.customers.queries import Customer
from service.http.problems import Problem, invalid_field
from service.links.queries import LinkRow, links_by_id
from service.links.schemas import LinkBatch, LinkRequest, MintedLink
from service.links.tables import destination, link, link_code
from service.observability import metrics
from service.tokens import link as link_tokens
from service.tokens.code import code_hash, code_of
from service.tokens.link import LinkClaims, LinkKeys, LinkKind, LinkMode

if TYPE_CHECKING:
    from service.services import Services

LIFE_AFTER_CAMPAIGN = timedelta(hours=72)
"""As long as a report of something that happened during the campaign may come late."""
LIFE_MAX = timedelta(days=366)
"""How long a link lives when nobody says otherwise."""
LIFE_ASKED_MAX = timedelta(days=5 * 366)
"""The longest life that may be asked for: print lasts."""

MINTED_AT_ONCE = 1_000
"""A longer batch is cut, so that others get their turn in between."""
_SIGNED_ON_THE_LOOP = 8
"""Signing takes some 40 µs: a few are not worth a thread."""

_LABEL_IT = "give a second link its own `link` label"
OPEN_ACTION = "open"
"""All that a picture can report."""


class _Draft(msgspec.Struct, frozen=True):
    """An item whose campaign, rule, destination and times are in order."""

    request: LinkRequest
    campaign: Campaign
    channel: str
    destination: str | None
    expires_at: datetime


async def mint(services: Services, principal: Principal, batch: LinkBatch, *, now: datetime) -> list[MintedLink | Problem]:
    """Mint a link for each item, in order; what is wrong with one item is its own problem."""
    batch_items = services.batch_items
    minted: list[MintedLink | Problem] = []
    async with batch_items.hold(min(len(batch), MINTED_AT_ONCE)):
        for start in range(0, len(batch), MINTED_AT_ONCE):
            minted += await _mint(services, principal, await batch.items(start, start + MINTED_AT_ONCE), now)
    return minted


async def _mint(
    services: Services, principal: Principal, items: Sequence[LinkRequest | Problem], now: datetime
) -> list[MintedLink | Problem]:
    brand = principal.brand
    named = {item.campaign for item in items if isinstance(item, LinkRequest)}
    campaigns = {name: await campaign_by_id(services, brand, name) for name in named}

    def read(item: LinkRequest | Problem) -> _Draft | Problem:
        return item if isinstance(item, Problem) else _draft(item, brand, campaigns[item.campaign], now)

    drafts = await in_chunks(read, items)
    if doubtful := {
        item.campaign
        for item, draft in zip(items, drafts, strict=True)
        if isinstance(item, LinkRequest) and isinstance(draft, Problem)
    }:
        # Nobody is refused for what is remembered of a campaign or a brand: another process may have changed them.
        brand = await brand_now(services.engine, brand)
        campaigns |= {name: await campaign_by_id(services, brand, name, now=True) for name in doubtful}
        drafts = await in_chunks(read, items)
    problems = {index: draft for index, draft in enumerate(drafts) if isinstance(draft, Problem)}
    before = await _minted_before(services, brand, {index: items[index] for index in problems}, campaigns) if problems else {}
    problems = {index: problem for index, problem in problems.items() if index not in before}
    rows: dict[int, NewLink] = {}
    for index, row in (await _rows(services, principal, drafts, now)).items():
        if isinstance(row, Problem):
            problems[index] = row
        else:
            rows[index] = row

    new, stored = await store(services, rows.values())
    stored |= {there.link_id: there for there in before.values()}
    tokens = await _sign(
        [_claims(link, brand, services.link_hosts.host_of(brand)) for link in stored.values()], services.token_keys.links
    )
    base_url = services.link_hosts.base_url_of(brand)
    urls = {there.link_id: base_url + _path(there, token) for there, token in zip(stored.values(), tokens, strict=True)}
    short_ids = {row.link_id for index, row in rows.items() if _wants_code(items[index])}
    short_ids |= {there.link_id for index, there in before.items() if _wants_code(items[index])}
    codes = await _store_codes(services, short_ids)

    minted: list[MintedLink | Problem] = []
    for index in range(len(items)):
        if index in problems:
            minted.append(problems[index])
            continue
        there = before[index] if index in before else stored[rows[index].link_id]
        if there.revoked_at is not None:
            minted.append(Problem("link_revoked", "The link, or what it belongs to, is revoked: it would earn nothing."))
            continue
        if index not in before and (otherwise := _minted_otherwise(there, rows[index])) is not None:
            minted.append(otherwise)
            continue
        code = codes[there.link_id] if _wants_code(items[index]) else None
        minted.append(
            MintedLink(
                link=there,
                url=urls[there.link_id],
                short_url=code and f"{base_url}/{code}",
                is_new=there.link_id in new,
            )
        )
        # The same link twice in one batch is new once.
        new.discard(there.link_id)
    return minted


async def _minted_before(
    services: Services, brand: Brand, items: Mapping[int, LinkRequest | Problem], campaigns: Mapping[str, Campaign | None]
) -> dict[int, LinkRow]:
    """The links that were minted for the same requests before, by index, whatever has become of campaign and brand since."""
    asked = {
        index: item
        for index, item in items.items()
        if isinstance(item, LinkRequest)
        and campaigns.get(item.campaign)
        # What is asked for an open wrongly was never minted so.
        and (item.kind is LinkKind.CLAIM or not isinstance(_destination(item, brand), Problem))
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


def leads_to(asked: str | None, kept: str | None) -> bool:
    """Whether a destination that is asked for is one that is kept, wherever the brand's links may lead by now."""
    if asked is None or kept is None:
        return asked == kept
    try:
        return normal_form(asked, allowed_hosts=[urlsplit(kept).netloc], loopback_allowed=True) == kept
    except DestinationRefused:
        return False


def _link_id(campaign: Campaign, item: LinkRequest, customer: int) -> bytes:
    return link_id_of(
        campaign.campaign_no, message_id=item.message_id, customer=customer, action=item.action, label=item.link or ""
    )


def link_id_of(campaign_no: int, *, message_id: str, customer: int, action: str, label: str) -> bytes:
    """The id of the link that reports this event, whoever mints it."""
    key = event_key(campaign_no=campaign_no, message_id=message_id, customer=customer, action=action, qualifier=label)
    return campaign_no.to_bytes(4, "big") + key


def _path(there: LinkRow, token: str) -> str:
    return f"/o/{token}.gif" if there.kind is LinkKind.OPEN else f"/r/{token}"


async def _rows(
    services: Services, principal: Principal, drafts: Sequence[_Draft | Problem], now: datetime
) -> dict[int, NewLink | Problem]:
    """The row of each draft, by its index; or why there is none: what is wrong with its customer, or that she refuses it."""
    good = {index: draft for index, draft in enumerate(drafts) if isinstance(draft, _Draft)}
    if not good:
        return {}
    brand = principal.brand
    may_attach = Scope.CUSTOMERS_WRITE in principal.scopes
    refs = [draft.request.customer for draft in good.values()]
    resolved: list[Customer | Problem] = []
    for part in parts(refs):
        resolved += await customers.resolve(services, brand, part, may_attach=may_attach)
    # Of the few who were ever merged it is asked anew: a link is for good, and what is remembered of them may be old.
    resolved = [
        await _anew(services, brand, known) if isinstance(known, Customer) and known.generation else known for known in resolved
    ]
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


async def _anew(services: Services, brand: Brand, known: Customer) -> Customer:
    """Who a customer is now; what any name she came with has refused stays refused."""
    now = await customers.by_number(services, brand, known.named)
    return msgspec.structs.replace(now, refused=(*now.refused, *known.refused))


async def _not_minted(
    services: Services, refused: Mapping[int, Customer], rows: Mapping[int, NewLink | Problem]
) -> dict[int, Problem]:
    """Which of the links to those who have ``refused`` the channel are not given: all but those that were minted before."""
    wanted = {index: row for index in refused if isinstance(row := rows[index], NewLink)}
    there = await links_by_id(services.pool, [row.link_id for row in wanted.values()])
    answers = {
        index: Problem("consent_refused", f"The customer has refused to be contacted on {row.channel}.")
        for index, row in wanted.items()
        if (link := there.get(row.link_id)) is None
        or not promised_before_opt_out(refused[index].refused, link.channel, link.minted_at)
    }
    metrics.consent_refused.labels("link").inc(len(answers))
    return answers


def _draft(request: LinkRequest, brand: Brand, campaign: Campaign | None, now: datetime) -> _Draft | Problem:
    if campaign is None:
        return invalid_field("/campaign", "the brand has no such campaign", code="unknown_campaign")
    if campaign.ends_at <= now:
        return invalid_field("/campaign", "this campaign is over", code="unknown_campaign")
    channel = channel_of(request.action, request.channel, campaign)
    if isinstance(channel, Problem):
        return channel
    url = _destination(request, brand)
    if isinstance(url, Problem):
        return url
    expires_at = end_of_life(request.expires_at, campaign, now)
    if isinstance(expires_at, Problem):
        return expires_at
    return _Draft(request=request, campaign=campaign, channel=channel, destination=url, expires_at=expires_at)


def end_of_life(asked: datetime | None, campaign: Campaign, now: datetime) -> datetime | Problem:
    """When what is minted now for a campaign expires."""
    expires_at = _whole_seconds(asked or min(campaign.ends_at + LIFE_AFTER_CAMPAIGN, now + LIFE_MAX))
    if expires_at <= _whole_seconds(now):
        return invalid_field("/expires_at", "must lie in the future")
    if expires_at > now + LIFE_ASKED_MAX:
        return invalid_field("/expires_at", f"must be at most {LIFE_ASKED_MAX.days} days from now")
    return expires_at


def _destination(request: LinkRequest, brand: Brand) -> str | Problem | None:
    """Where the link leads: nowhere, if it is an open."""
    if request.kind is LinkKind.OPEN:
        if request.action != OPEN_ACTION:
            return invalid_field("/action", f"must be {OPEN_ACTION}: an image reports nothing else")
        if request.mode is not LinkMode.PAGE:
            return invalid_field("/mode", "is only for claims")
        if request.short:
            return invalid_field("/short", "is only for claims")
        return (
            None
            if request.destination is None
            else invalid_field("/destination", "is only for claims; an open has no destination")
        )
    if request.destination is None:
        return invalid_field("/destination", "is required")
    return allowed_destination(request.destination, brand)


def allowed_destination(url: str, brand: Brand) -> str | Problem:
    """A destination as it is kept, if the brand's links may lead there."""
    try:
        return normal_form(url, allowed_hosts=brand.destination_hosts, loopback_allowed=brand.mode == "test")
    except DestinationRefused as refused:
        return invalid_field("/destination", str(refused))


def _minted_otherwise(there: LinkRow, wanted: NewLink) -> Problem | None:
    """Why what is asked for is not the link of its id that is there already."""
    if there.kind != wanted.kind:
        return invalid_field("/kind", f"this link already has kind {there.kind}; {_LABEL_IT}")
    if there.mode != wanted.mode:
        return invalid_field("/mode", f"this link already has mode {there.mode}; {_LABEL_IT}")
    if there.destination_no != wanted.destination_no:
        return invalid_field("/destination", f"this link already has another destination; {_LABEL_IT}")
    return None


def channel_of(action: str, asked: str | None, campaign: Campaign) -> str | Problem:
    """The channel that will be reported, on which the campaign has to pay for the action."""
    paying = [rule for rule in campaign.rules if rule.action == action]
    if not paying:
        actions = ", ".join(sorted({rule.action for rule in campaign.rules}))
        return invalid_field("/action", f"this campaign pays nothing for it; it pays for {actions}")
    channels = sorted({rule.channel for rule in paying if rule.channel is not None})
    if asked is not None:
        if campaign.rule_for(action, asked) is None:
            return invalid_field("/channel", f"this campaign pays for {action} on {', '.join(channels)} only")
        return asked
    if len(channels) == 1 and all(rule.channel is not None for rule in paying):
        return channels[0]
    if any(rule.channel is None for rule in paying):
        return "web"
    return invalid_field("/channel", f"is required: this campaign pays for {action} on {', '.join(channels)}")


def _row(draft: _Draft, customer: int, destination_no: int, principal: Principal, now: datetime) -> NewLink:
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
        sent_at=None if request.sent_at is None else _whole_seconds(request.sent_at),
        minted_at=_whole_seconds(now),
        expires_at=draft.expires_at,
        minted_by=principal.api_key_id,
        kind=request.kind,
        mode=request.mode,
    )


class NewLink(msgspec.Struct, frozen=True):
    """A link to be stored, unless there is one of its id."""

    link_id: bytes
    brand_id: int
    campaign_no: int
    campaign_version: int
    customer: int
    message_id: str
    action: str
    channel: str
    label: str
    destination_no: int
    sent_at: datetime | None
    minted_at: datetime
    expires_at: datetime
    minted_by: int
    kind: LinkKind
    mode: LinkMode


_NEW_LINK_COLUMNS = NewLink.__struct_fields__

# One statement whatever the number of links: each column is an array, and unnest walks them together.
_insert_links = (
    insert(link)
    .from_select(
        _NEW_LINK_COLUMNS,
        select(*(func.unnest(bindparam(name, type_=ARRAY(link.c[name].type))).label(name) for name in _NEW_LINK_COLUMNS)),
    )
    .on_conflict_do_nothing()
    .returning(link.c.link_id)
)


async def store(services: Services, rows: Iterable[NewLink]) -> tuple[set[bytes], dict[bytes, LinkRow]]:
    """Store the links that are not there yet, and give the ids of those and all links as they are stored."""
    first: dict[bytes, NewLink] = {}
    for row in rows:
        first.setdefault(row.link_id, row)
    if not first:
        return set(), {}
    # In order of their ids: two batches with the same links must not wait for each other.
    ordered = [first[link_id] for link_id in sorted(first)]
    columns = {name: [getattr(row, name) for row in ordered] for name in _NEW_LINK_COLUMNS}
    engine = services.engine
    async with engine.begin() as connection:
        new = {bytes(row.link_id) for row in await connection.execute(_insert_links, columns)}
    return new, await links_by_id(services.pool, list(first))


def _wants_code(item: LinkRequest | Problem) -> bool:
    return isinstance(item, LinkRequest) and item.short


_insert_codes = (
    insert(link_code)
    .from_select(
        ["code_hash", "link_id"],
        select(*(func.unnest(bindparam(name, type_=ARRAY(LargeBinary))).label(name) for name in ("code_hash", "link_id"))),
    )
    .on_conflict_do_nothing()
)


async def _store_codes(services: Services, link_ids: Collection[bytes]) -> dict[bytes, str]:
    """Let there be a code for each of these links."""
    codes = {
        link_id: code_of(b"link" + link_id, services.token_keys.codes[services.token_keys.links.kid]) for link_id in link_ids
    }
    if codes:
        by_hash = {code_hash(code): link_id for link_id, code in codes.items()}
        hashes = sorted(by_hash)
        engine = services.engine
        async with engine.begin() as connection:
            columns = {"code_hash": hashes, "link_id": [by_hash[each] for each in hashes]}
            await connection.execute(_insert_codes, columns)
    return codes


_insert_destinations = (
    insert(destination)
    .from_select(
        ["brand_id", "url"],
        select(
            bindparam("brand_id", type_=destination.c.brand_id.type),
            func.unnest(bindparam("urls", type_=ARRAY(destination.c.url.type))),
        ),
    )
    .on_conflict_do_nothing()
)
_destinations_by_url = select(destination.c.url, destination.c.destination_no).where(
    destination.c.brand_id == bindparam("brand_id"),
    destination.c.url == bindparam("urls", type_=ARRAY(destination.c.url.type)).any_(),
)


async def number_destinations(engine: AsyncEngine, brand: Brand, urls: set[str]) -> Mapping[str, int]:
    """The number of each URL; one that is new gets the next."""
    if not urls:
        return {}
    numbers = await _numbered(engine, brand, urls)
    missing = sorted(urls - numbers.keys())
    if not missing:
        return numbers
    async with engine.begin() as connection:
        await connection.execute(_insert_destinations, {"brand_id": brand.brand_id, "urls": missing})
    return await _numbered(engine, brand, urls)


async def _numbered(engine: AsyncEngine, brand: Brand, urls: set[str]) -> dict[str, int]:
    async with engine.connect() as connection:
        rows = await connection.execute(_destinations_by_url, {"brand_id": brand.brand_id, "urls": sorted(urls)})
        return {row.url: row.destination_no for row in rows}


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


def _whole_seconds(instant: datetime) -> datetime:
    """As a token can say it."""
    return instant.astimezone(UTC).replace(microsecond=0)
