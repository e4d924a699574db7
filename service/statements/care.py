"""Care's view: everything, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ledger import HistoryEntry, Position
from service.brands.brand import Brand
from service.campaigns.queries import campaign_ids
from service.consents import queries as consents
from service.customers import actions as customers
from service.customers.identities import IdentityKind
from service.customers.queries import Customer
from service.customers.schemas import lots_of
from service.customers.verification import queries as names
from service.grants.kinds import purchases
from service.grants.schemas import DECIDED
from service.http.identifiers import customer_id, grant_id, position, redemption_id
from service.statements.customer import customer_of, numbers_of
from service.statements.schemas import CareConsent, CareEntry, CareName, CareStatement
from service.statements.words import calls_of, change_of, text_of

if TYPE_CHECKING:
    from service.services import Services

_NAMES_MAX = 100


async def care_statement(services: Services, brand: Brand, named: str, *, before: Position | None, limit: int) -> CareStatement:
    """Everything about a customer, and a page of what happened to them."""
    known, has = await customers.look(services, brand, await customer_of(services, brand, named))
    numbers = numbers_of(known)
    campaigns = await campaign_ids(services.engine, brand.brand_id)
    found, following = await services.ledger.history(brand.book, numbers, before=before, limit=limit)
    return CareStatement(
        customer=customer_id(known.customer),
        former=[customer_id(number) for number in known.former],
        confirmed=known.confirmed,
        verified=known.verified,
        spendable=has.spendable,
        held=has.held,
        pending=has.pending,
        lots=lots_of(has),
        names=await _names(services, known),
        consents=await _consents(services, numbers),
        entries=[_entry(entry, brand, campaigns) for entry in found],
        next=None if following is None else position(following),
    )


async def _names(services: Services, known: Customer) -> list[CareName]:
    found = await names.states_of_customer(services.pool, numbers_of(known), after=0, limit=_NAMES_MAX)
    return [
        CareName(kind=IdentityKind(each.kind).name.lower(), verified=each.verified_by is not None, since=each.since)
        for each in found
    ]


async def _consents(services: Services, numbers: list[int]) -> list[CareConsent]:
    return [
        CareConsent(
            channel=said.channel,
            status="refused" if said.refused else "granted",
            at=said.at,
            source=said.source,
            reason=said.reason,
        )
        for said in await consents.current(services.pool, numbers)
    ]


def _entry(entry: HistoryEntry, brand: Brand, campaigns: Mapping[int, str]) -> CareEntry:
    campaign = None if entry.campaign_no is None else campaigns.get(entry.campaign_no, str(entry.campaign_no))
    grant = grant_id(entry.campaign_no or 0, entry.key) if entry.key else None
    redemption = None if entry.redemption is None else redemption_id(brand.book.book_id, entry.redemption)
    outcome, refused_for = DECIDED[entry.outcome] if entry.outcome else (None, None)
    change = change_of(entry)
    message_id, bought = purchases.message_of(entry.action, entry.message_id, entry.metadata)
    return CareEntry(
        at=entry.at,
        text=text_of(entry, campaign, change),
        type=entry.verb.name.lower() if entry.verb else outcome or "refused",
        points=change,
        campaign=campaign,
        action=entry.action,
        channel=entry.channel,
        message_id=message_id,
        grant_id=grant,
        held_until=entry.due_at if outcome == "held_back" else None,
        redemption_id=redemption,
        order_ref=entry.order_ref or bought,
        store_id=entry.store_id,
        terminal_id=entry.terminal_id,
        reason=entry.reason or refused_for,
        reference=entry.reference,
        note=entry.note,
        may=calls_of(entry, grant, redemption),
    )
