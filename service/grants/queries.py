"""Reading what was decided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ledger import Event, GrantOutcome
from service.grants.schemas import DECIDED, GrantResponse
from service.http.identifiers import grant_id


def describe(event: Event, campaigns: Mapping[int, str]) -> GrantResponse:
    """The event as the API shows it; ``campaigns`` names campaigns by number."""
    outcome, reason = DECIDED[event.outcome]
    metadata: Any = None if event.metadata is None else msgspec.json.decode(event.metadata)
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
        metadata=metadata,
    )
