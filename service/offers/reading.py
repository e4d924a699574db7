"""Offers as they stand: what was noted of them, and which act has claimed them, as the book says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from ledger import Event, GrantOutcome
from service.auth import looks
from service.brands.brand import Brand
from service.campaigns.queries import campaign_ids, campaign_of_link
from service.customers import actions as customers
from service.customers.schemas import CustomerRef
from service.http.identifiers import customer_id, grant_id
from service.http.problems import invalid_field, not_found
from service.offers.keys import keys_before, keys_of
from service.offers.life import OfferState
from service.offers.queries import MESSAGES_MAX, SQL, Offer
from service.offers.schemas import MessageState, OfferMessage, OfferResponse, OfferWinner, State

if TYPE_CHECKING:
    from service.services import Services

_FIND = (SQL / "find_offers.sql").read_text()
_BY_MESSAGES = (SQL / "offers_by_messages.sql").read_text()
_MESSAGES = (SQL / "messages_of_offers.sql").read_text()
_CLAIMED = (GrantOutcome.GRANTED, GrantOutcome.HELD_BACK, GrantOutcome.REJECTED)


class StoredOffer(msgspec.Struct, frozen=True):
    """An offer as it is stored."""

    offer_no: int
    group: str
    customer: int
    campaign_no: int
    state: OfferState
    offered_at: datetime
    lapses_at: datetime
    ended_at: datetime | None


class Wanted(msgspec.Struct, frozen=True):
    """Which offers are wanted: ``None`` is any."""

    state: State | None = None
    group: str | None = None
    numbers: Sequence[int] | None = None


async def numbers_of(services: Services, brand: Brand, customer: str | None) -> list[int] | None:
    """All numbers of a customer who is named in a query."""
    if customer is None:
        return None
    known = await customers.find(services, brand, CustomerRef(id=customer), now=True)
    if known is None:
        raise not_found("customer")
    return [known.customer, *known.former]


async def find(services: Services, brand: Brand, wanted: Wanted, *, after: int, limit: int) -> list[StoredOffer]:
    """Offers in the order in which they were made."""
    states = list(OfferState) if wanted.state is None else [OfferState[wanted.state.upper()]]
    rows = await services.pool.fetch(_FIND, brand.brand_id, after, limit, states, wanted.group, wanted.numbers)
    return [_stored(row) for row in rows]


async def of_messages(
    services: Services, brand: Brand, numbers: Sequence[int], message_ids: Sequence[str], *, limit: int
) -> list[StoredOffer]:
    """The offers that messages make to a customer, in the order in which they were made."""
    rows = await services.pool.fetch(_BY_MESSAGES, brand.brand_id, message_ids, numbers, limit)
    return [_stored(row) for row in rows]


def _stored(row: Any) -> StoredOffer:
    offer_no, group, customer, campaign_no, state, *times = row
    return StoredOffer(offer_no, group, customer, campaign_no, OfferState(state), *times)


async def find_one(services: Services, brand: Brand, group: str, customer: str | None) -> OfferResponse:
    """The offer of a group to a customer, who may be left out if it was made to one alone."""
    numbers = await numbers_of(services, brand, customer)
    found = await find(services, brand, Wanted(group=group, numbers=numbers), after=0, limit=2)
    if not found:
        raise not_found("offer")
    if numbers is None and len(found) > 1:
        raise invalid_field("?customer", "is required: the offer was made to several customers")
    (described,) = await describe(services, brand, found[:1])
    return described


async def describe(services: Services, brand: Brand, offers: Sequence[StoredOffer]) -> list[OfferResponse]:
    """Offers as the API shows them, in order."""
    looks.see(*(each.customer for each in offers))
    names = await campaign_ids(services.engine, brand.brand_id)
    made = await _messages(services, brand, offers)
    claims = await _claims(services, brand, offers, made)
    return [_described(each, names, claims.get(n), made[each.group, each.customer]) for n, each in enumerate(offers)]


async def _messages(
    services: Services, brand: Brand, offers: Sequence[StoredOffer]
) -> Mapping[tuple[str, int], list[Mapping[str, Any]]]:
    groups, numbers = [each.group for each in offers], [each.customer for each in offers]
    made: dict[tuple[str, int], list[Mapping[str, Any]]] = defaultdict(list)
    for row in await services.pool.fetch(_MESSAGES, brand.brand_id, groups, numbers, MESSAGES_MAX):
        made[row["offer_group"], row["customer"]].append(row)
    return made


async def _claims(
    services: Services,
    brand: Brand,
    offers: Sequence[StoredOffer],
    made: Mapping[tuple[str, int], Sequence[Mapping[str, Any]]],
) -> dict[int, Event]:
    """The event that each offer was decided by, by index: a claim before a lapse."""
    people = await services.customers.find_numbers(brand, {each.customer for each in offers})
    keys: dict[int, list[tuple[int, bytes]]] = {}
    for n, each in enumerate(offers):
        known, standing = people.get(each.customer), await campaign_of_link(services, each.campaign_no)
        if known is not None and standing is not None:
            numbers = (known.customer, *known.former)
            offer = Offer(each.group, each.lapses_at, tuple(row["message_id"] for row in made[each.group, each.customer]))
            all_keys = (*keys_of(each.campaign_no, each.group, numbers), *keys_before(standing.current, offer, numbers))
            keys[n] = [(each.campaign_no, key) for key in all_keys]
    events = await services.events.get_many({(brand.book, *name) for of_one in keys.values() for name in of_one})
    decided = {
        n: [event for name in of_one if (event := events.get((brand.book, *name))) is not None and event.outcome in _ENDED]
        for n, of_one in keys.items()
    }
    return {n: min(found, key=lambda event: (_ENDED[event.outcome], event.seq)) for n, found in decided.items() if found}


_ENDED: Mapping[GrantOutcome, int] = {**dict.fromkeys(_CLAIMED, 0), GrantOutcome.OFFER_LAPSED: 1}


def _described(
    stored: StoredOffer, names: Mapping[int, str], decided: Event | None, made: Sequence[Mapping[str, Any]]
) -> OfferResponse:
    state = stored.state
    if decided is not None:
        state = OfferState.CLAIMED if decided.outcome in _CLAIMED else OfferState.LAPSED
    claim = decided if decided is not None and state is OfferState.CLAIMED else None
    return OfferResponse(
        offer_group=stored.group,
        customer=customer_id(stored.customer),
        campaign=names[stored.campaign_no],
        state=state.name.lower(),  # pyright: ignore[reportArgumentType]
        offered_at=stored.offered_at,
        lapses_at=stored.lapses_at,
        ended_at=stored.ended_at,
        claim=None if claim is None else _winner(claim),
        messages=[_message(row, claim, has_ended=state >= OfferState.CLAIMED) for row in made],
    )


def _winner(event: Event) -> OfferWinner:
    return OfferWinner(
        grant_id=grant_id(event.campaign_no, event.key),
        message_id=event.message_id,
        channel=event.channel,
        action=event.action,
        points=event.points,
        source=event.source,
        decided_at=event.decided_at,
    )


def _message(row: Mapping[str, Any], claim: Event | None, *, has_ended: bool) -> OfferMessage:
    return OfferMessage(
        message_id=row["message_id"],
        channel=row["channel"],
        state=_state_of(row, claim, has_ended=has_ended),
        sent_at=row["sent_at"],
        delivered_at=row["delivered_at"],
        opened_at=row["opened_at"],
        clicked_at=row["clicked_at"],
        failed_at=row["failed_at"],
    )


def _state_of(row: Mapping[str, Any], claim: Event | None, *, has_ended: bool) -> MessageState:
    if claim is not None and row["message_id"] == claim.message_id:
        return "claimed"
    if row["failed_at"] is not None:
        return "failed"
    if has_ended:
        return "void"
    if row["clicked_at"] is not None:
        return "clicked"
    if row["opened_at"] is not None:
        return "opened"
    return "sent" if row["delivered_at"] is None else "delivered"
