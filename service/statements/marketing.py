"""Marketing's view: what the customer does on which channel. It has no names, no purchases and no money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from ledger import Event, Position
from service.attention import queries as attention
from service.attention.schemas import AttendedChannel
from service.brands.brand import Brand
from service.campaigns.queries import campaign_ids
from service.consents import queries as consents
from service.consents.queries import RecordedConsent
from service.customers.queries import Customer
from service.grants.kinds import purchases
from service.grants.schemas import DECIDED
from service.http.identifiers import customer_id, position
from service.preferences.queries import last_answer
from service.statements.customer import customer_of, numbers_of
from service.statements.schemas import MarketingChannel, MarketingEntry, MarketingStatement

if TYPE_CHECKING:
    from service.services import Services

_SPAN = timedelta(days=30)


async def marketing_statement(
    services: Services, brand: Brand, named: str, *, before: Position | None, limit: int
) -> MarketingStatement:
    """How a customer responds, and a page of their acts."""
    known = await customer_of(services, brand, named)
    numbers = numbers_of(known)
    campaigns = await campaign_ids(services.engine, brand.brand_id)
    found, following = await services.ledger.find_events(brand.book, customers=numbers, before=before, limit=limit)
    answered = await last_answer(services.pool, numbers)
    return MarketingStatement(
        customer=customer_id(known.customer),
        frequency=None if answered is None else answered.frequency,
        channels=await _channels(services, brand, known),
        entries=[_entry(event, campaigns) for event in found],
        next=None if following is None else position(following),
    )


async def _channels(services: Services, brand: Brand, known: Customer) -> Sequence[MarketingChannel]:
    said = {each.channel: each for each in await consents.current(services.pool, numbers_of(known))}
    _, (counted,) = await attention.count(services, brand, [known], _SPAN)
    attended = {each.channel: each for each in counted.channels}
    return [_channel(name, said.get(name), attended.get(name)) for name in sorted({*said, *attended})]


def _channel(name: str, said: RecordedConsent | None, attended: AttendedChannel | None) -> MarketingChannel:
    return MarketingChannel(
        channel=name,
        status=None if said is None else "refused" if said.refused else "granted",
        messages=0 if attended is None else attended.messages,
        rewards=0 if attended is None else attended.rewards,
        points=0 if attended is None else attended.points,
        last_message_at=None if attended is None else attended.last_message_at,
        last_rewarded_at=None if attended is None else attended.last_rewarded_at,
    )


def _entry(event: Event, campaigns: Mapping[int, str]) -> MarketingEntry:
    outcome, reason = DECIDED[event.outcome]
    message_id, _ = purchases.message_of(event.action, event.message_id, event.metadata)
    return MarketingEntry(
        at=event.window_at,
        campaign=campaigns.get(event.campaign_no, str(event.campaign_no)),
        campaign_version=event.campaign_version,
        action=event.action,
        channel=event.channel,
        message_id=message_id,
        evidence=event.grade,
        outcome=outcome,
        reason=reason,
        points=event.points,
    )
