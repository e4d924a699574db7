"""Reading what was decided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ledger import Event, GrantOutcome
from service.grants.schemas import GrantResponse, Outcome, Reason
from service.identifiers import grant_id

OUTCOMES: dict[GrantOutcome, tuple[Outcome, Reason | None]] = {
    GrantOutcome.GRANTED: ("granted", None),
    GrantOutcome.WAITING: ("waiting", "stronger_evidence_needed"),
    GrantOutcome.CAP_REACHED: ("refused", "cap_reached"),
    GrantOutcome.BUDGET_EXHAUSTED: ("refused", "budget_exhausted"),
}


def describe(event: Event, campaigns: Mapping[int, str]) -> GrantResponse:
    """The event as the API shows it; ``campaigns`` names campaigns by number."""
    outcome, reason = OUTCOMES[event.outcome]
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
        seq=event.seq,
        source=event.source,
        metadata=metadata,
    )
