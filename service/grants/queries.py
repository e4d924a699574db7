"""Reading what was decided.

describe                     an event as the API shows it
find_decision                the earlier decision on a link's act
find_decision_with_balance   the same, with what the customer can spend now
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from ledger import Event, Grade, GrantOutcome
from service.auth import looks
from service.brands.brand import Brand
from service.customers.queries import Customer
from service.grants.acts import ClaimedLink, act_of_link
from service.grants.answers import replay_of, with_balance
from service.grants.deciding import with_offer
from service.grants.kinds import purchases
from service.grants.replays import as_sibling, decided_before
from service.grants.schemas import DECIDED, GrantAnswer, GrantResponse
from service.http.identifiers import grant_id, key_id

if TYPE_CHECKING:
    from service.services import Services


def describe(event: Event, campaigns: Mapping[int, str]) -> GrantResponse:
    """The event as the API shows it; ``campaigns`` names campaigns by number."""
    looks.see(event.customer)
    outcome, reason = DECIDED[event.outcome]
    metadata, bought = purchases.told(event.metadata)
    return GrantResponse(
        grant_id=grant_id(event.campaign_no, event.key),
        campaign=campaigns.get(event.campaign_no, str(event.campaign_no)),
        campaign_version=event.campaign_version,
        customer=event.customer,
        action=event.action,
        channel=event.channel,
        message_id=event.message_id,
        qualifier=event.qualifier,
        evidence=event.grade,
        outcome=outcome,
        reason=reason,
        points=event.points,
        window_at=event.window_at,
        decided_at=event.decided_at,
        due_at=event.due_at if event.outcome is GrantOutcome.HELD_BACK else None,
        seq=event.seq,
        source=event.source,
        principal=key_id(event.principal) if event.principal else None,
        metadata=metadata,
        purchase=bought,
    )


async def find_decision(
    services: Services, link: ClaimedLink, known: Customer, brand: Brand, at: datetime
) -> GrantAnswer | None:
    """The earlier decision on a link's act, whoever reported it, without the balance; ``None`` while a claim would be new."""
    act, _ = await act_of_link(services, link, brand, Grade.A, at)
    act = await with_offer(services, brand, act, known) if act.campaign.makes_offers else act
    (before,) = await decided_before(services, brand, [(act, known)])
    return None if before is None else as_sibling(act, before, replay_of(before))


async def find_decision_with_balance(
    services: Services, link: ClaimedLink, known: Customer, brand: Brand, at: datetime
) -> GrantAnswer | None:
    """The same, with what the customer can spend now."""
    before = await find_decision(services, link, known, brand, at)
    return None if before is None else await with_balance(services, brand, known, before)
