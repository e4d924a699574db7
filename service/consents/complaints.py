"""A complaint, or a STOP, stops what is held back for what the customer did on the channel until then.

    reject_held_back   after complaints are recorded: reject what is held back for these customers
    complained_since   whether a customer complained after an event; what escaped the rejection does not mature either

Points are rejected once the complaint is stored, before it is answered. Whoever got no answer sends it again; what was
rejected stays so. The audit trail has each rejection before the book does. What comes later, by a merge or a late report, is
rejected when somebody approves it.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from ledger import Event, GrantOutcome
from service.auth.audit_trail import record
from service.auth.principal import Principal
from service.consents import queries
from service.consents.queries import RefusalReason
from service.customers.opt_outs import ALL
from service.customers.queries import Customer
from service.http.identifiers import grant_id

if TYPE_CHECKING:
    from service.services import Services

_PAGE = 100


class Complaint(msgspec.Struct, frozen=True):
    """What a customer complained about, and when."""

    channel: str
    at: datetime
    reason: RefusalReason

    def stops(self, event: Event) -> bool:
        """Whether it stops what an event holds back: that which happened on the channel until then."""
        return self.channel in {event.channel, ALL} and event.window_at <= self.at


async def reject_held_back(services: Services, principal: Principal, complaints: Sequence[tuple[Customer, Complaint]]) -> None:
    """Reject what is held back for customers and stopped by their complaints."""
    by_number: dict[int, list[Complaint]] = defaultdict(list)
    for known, complaint in complaints:
        for number in (known.customer, *known.former):
            by_number[number].append(complaint)
    after = None
    while by_number and (
        page := await services.ledger.held_back(principal.brand.book, by_number.keys(), after=after, limit=_PAGE)
    ):
        after = page[-1]
        names = {(principal.brand.book, held.campaign_no, held.key): by_number[held.customer] for held in page}
        for name, event in (await services.ledger.events(list(names))).items():
            await _reject(services, principal, event, next((each for each in names[name] if each.stops(event)), None))


async def complained_since(services: Services, known: Customer, event: Event) -> RefusalReason | None:
    """Why the customer complained about the event's channel, or all of them, since it happened; ``None`` if they did not."""
    return await queries.complaint(services.pool, (known.customer, *known.former), (event.channel, ALL), since=event.window_at)


async def _reject(services: Services, principal: Principal, event: Event, complaint: Complaint | None) -> None:
    if complaint is None or event.outcome is not GrantOutcome.HELD_BACK:
        return
    public = grant_id(event.campaign_no, event.key)
    request = hashlib.sha256(f"grant.reject {public} {principal.api_key_id}".encode()).digest()
    async with services.engine.begin() as connection:
        await record(connection, principal, "grant.reject", public, after={"reason": complaint.reason}, request=request)
    # Whoever was quicker has settled it: that stands.
    await services.ledger.reject(principal.brand.book, event.campaign_no, event.key)
