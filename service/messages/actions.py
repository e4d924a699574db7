"""Registering messages that were sent.

    register    three round trips for a thousand: customers, messages, and what is stored of them; two more for offers

What was registered first stays. The same again is answered the same; another message under its id is refused by the name of the
field that differs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.brands.brand import Brand
from service.campaigns.queries import campaign_by_id
from service.campaigns.rules import Campaign
from service.concurrency.fairness import parts
from service.customers import actions as customers
from service.http.problems import Problem, invalid_field
from service.messages.queries import SQL, SentMessage, messages_by_id
from service.messages.schemas import MessageBatch, MessageRequest, RegisteredMessage
from service.offers import actions as offers
from service.offers.actions import OfferedMessage, made_wrongly

if TYPE_CHECKING:
    from service.services import Services

REGISTERED_AT_ONCE = 1_000
"""A longer batch is cut, so that others get their turn in between."""

_REGISTER = (SQL / "register_messages.sql").read_text()
_COLUMNS = SentMessage.__struct_fields__
_SAID = {"campaign_no": "campaign"}
"""What the fields of a message are called in a request, where that is something else."""

_Item: TypeAlias = MessageRequest | Problem


async def register(
    services: Services, principal: Principal, batch: MessageBatch, *, now: datetime
) -> list[RegisteredMessage | Problem]:
    """Register the message of each item, in order; what is wrong with one item is its own problem."""
    registered: list[RegisteredMessage | Problem] = []
    async with services.batch_items.hold(min(len(batch), REGISTERED_AT_ONCE)):
        for start in range(0, len(batch), REGISTERED_AT_ONCE):
            registered += await _register(services, principal, await batch.items(start, start + REGISTERED_AT_ONCE), now)
    return registered


async def _register(
    services: Services, principal: Principal, items: Sequence[_Item], now: datetime
) -> list[RegisteredMessage | Problem]:
    drafts = await _drafts(services, principal, items, now)
    offered = await _offered(services, principal.brand, items, drafts)
    wanted = [each for each in drafts if isinstance(each, SentMessage)]
    new = await _store(services, principal, wanted)
    stored = await messages_by_id(services.pool, principal.brand.brand_id, [_key(each) for each in wanted])
    registered: list[RegisteredMessage | Problem] = []
    for item, draft in zip(items, drafts, strict=True):
        if isinstance(draft, SentMessage) and isinstance(item, MessageRequest):
            registered.append(_as_asked(stored[_key(draft)], draft, item, new))
        elif isinstance(draft, Problem):
            registered.append(draft)
    made = [each for n, each in offered.items() if isinstance(registered[n], RegisteredMessage)]
    await offers.store(services, principal.brand, made)
    return registered


async def _offered(
    services: Services, brand: Brand, items: Sequence[_Item], drafts: list[SentMessage | Problem]
) -> dict[int, OfferedMessage]:
    """The offers that drafts make, by index. Those that cannot be replace their draft by what is wrong."""
    offered: dict[int, OfferedMessage] = {}
    for n, (item, draft) in enumerate(zip(items, drafts, strict=True)):
        if isinstance(draft, SentMessage) and draft.offer_group is not None and isinstance(item, MessageRequest):
            campaign = await campaign_by_id(services, brand, item.campaign)
            assert campaign is not None
            offered[n] = OfferedMessage(
                group=draft.offer_group,
                message_id=draft.message_id,
                customer=draft.customer,
                campaign_no=draft.campaign_no,
                channel=draft.channel,
                sent_at=draft.sent_at,
                lapses_at=item.lapses_at or campaign.ends_at,
                is_stated=item.lapses_at is not None,
            )
    refused = await offers.check(services, brand, offered)
    for n, problem in refused.items():
        drafts[n] = problem
    return {n: each for n, each in offered.items() if n not in refused}


async def _drafts(
    services: Services, principal: Principal, items: Sequence[_Item], now: datetime
) -> list[SentMessage | Problem]:
    """The message of each item, or what is wrong with it."""
    brand = principal.brand
    campaigns = await _campaigns(services, brand, {item.campaign for item in items if isinstance(item, MessageRequest)})
    drafts: list[SentMessage | Problem] = [
        item
        if isinstance(item, Problem)
        else invalid_field("/campaign", "the brand has no such campaign", code="unknown_campaign")
        for item in items
    ]
    good = {n: item for n, item in enumerate(items) if isinstance(item, MessageRequest) and campaigns[item.campaign]}
    may_attach = Scope.CUSTOMERS_WRITE in principal.scopes
    for part in parts(list(good.items())):
        people = await customers.resolve(services, brand, [item.customer for _, item in part], may_attach=may_attach)
        for (n, item), known in zip(part, people, strict=True):
            campaign = campaigns[item.campaign]
            assert campaign is not None
            # As with links, it is for the number that the name leads to: see decision 32.
            wrong = made_wrongly(item.offer_group, item.lapses_at, makes_offers=campaign.makes_offers, now=now)
            drafts[n] = wrong or (known if isinstance(known, Problem) else _draft(item, campaign, known.named, now))
    return drafts


async def _campaigns(services: Services, brand: Brand, names: set[str]) -> Mapping[str, Campaign | None]:
    found = {name: await campaign_by_id(services, brand, name) for name in names}
    # Nobody is refused for what is remembered: another process may have made it since.
    return {name: each or await campaign_by_id(services, brand, name, now=True) for name, each in found.items()}


def _draft(item: MessageRequest, campaign: Campaign, customer: int, now: datetime) -> SentMessage:
    provider_id = bare(item.provider_message_id)
    return SentMessage(
        message_id=item.message_id,
        customer=customer,
        campaign_no=campaign.campaign_no,
        channel=item.channel,
        conversation=item.conversation,
        offer_group=item.offer_group,
        provider=item.provider,
        provider_message_id=provider_id,
        sent_at=item.sent_at or now,
    )


def bare(provider_message_id: str | None) -> str | None:
    """A provider's id without the angle brackets that it has as a ``Message-ID``."""
    return None if provider_message_id is None else provider_message_id.strip("<> ") or None


async def _store(services: Services, principal: Principal, wanted: Sequence[SentMessage]) -> set[tuple[str, int]]:
    """Store the messages that are not there yet; returns the keys of those."""
    first: dict[tuple[str, int], SentMessage] = {}
    for each in wanted:
        first.setdefault(_key(each), each)
    if not first:
        return set()
    # In one order: two batches with the same messages must not wait for each other.
    rows = [first[key] for key in sorted(first)]
    columns = ([getattr(row, name) for row in rows] for name in _COLUMNS)
    stored = await services.pool.fetch(_REGISTER, principal.brand.brand_id, principal.api_key_id, *columns)
    return {(row["message_id"], row["customer"]) for row in stored}


def _key(message: SentMessage) -> tuple[str, int]:
    return message.message_id, message.customer


def _as_asked(
    there: SentMessage, wanted: SentMessage, item: MessageRequest, new: set[tuple[str, int]]
) -> RegisteredMessage | Problem:
    """The message that is registered, unless it is not what is asked for."""
    asked = [name for name in _COLUMNS if name != "sent_at" or item.sent_at is not None]
    differs = next((name for name in asked if getattr(there, name) != getattr(wanted, name)), None)
    if differs is not None:
        name = _SAID.get(differs, differs)
        return Problem(
            "message_exists", f"The message {there.message_id!r} to this customer is registered with another {name}."
        )
    is_new = _key(there) in new
    # The same message twice in one batch is new once.
    new.discard(_key(there))
    return RegisteredMessage(there, is_new)
