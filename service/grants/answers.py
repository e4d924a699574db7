"""What a report or a claim is answered with.

answer_of      a decision of the ledger
replay_of      an event that was decided before
ignored        an act that is not decided
with_balance   the same answer with what the customer can spend now
with_ref       the same answer with the item's ref
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ledger import Event, GrantOutcome
from ledger import GrantResult as Decision
from service.brands.brand import Brand
from service.customers import actions as customers
from service.customers.queries import Customer
from service.grants.schemas import DECIDED, GrantAnswer, GrantRequest, Reason
from service.http.identifiers import grant_id
from service.http.problems import Problem

if TYPE_CHECKING:
    from service.services import Services

UNRECORDED: dict[GrantOutcome, Reason] = {
    GrantOutcome.PROOF_ONLY: "no_rule",
    GrantOutcome.NOT_FUNDED: "campaign_not_funded",
}
"""Outcomes that the ledger does not record."""


def answer_of(campaign_no: int, decision: Decision | Problem) -> GrantAnswer | Problem:
    """The answer for a decision on an act of this campaign."""
    if isinstance(decision, Problem):
        return decision
    reason = UNRECORDED.get(decision.outcome)
    if reason is not None:
        return ignored(reason)
    outcome, reason = DECIDED[decision.outcome]
    return GrantAnswer(
        grant_id=grant_id(campaign_no, decision.key),
        outcome=outcome,
        reason=reason,
        points=decision.points,
        balance=decision.balance,
        balance_seq=decision.balance_seq,
        replayed=decision.replayed,
    )


def replay_of(event: Event) -> GrantAnswer:
    """The answer for an event that was decided before, without the balance."""
    outcome, reason = DECIDED[event.outcome]
    return GrantAnswer(
        grant_id=grant_id(event.campaign_no, event.key),
        outcome=outcome,
        reason=reason,
        points=event.points,
        balance=None,
        balance_seq=None,
        replayed=True,
    )


async def with_balance(services: Services, brand: Brand, known: Customer, answer: GrantAnswer) -> GrantAnswer:
    """``answer`` with what the customer can spend now, and as of which seq."""
    _, balance = await customers.look(services, brand, known)
    return msgspec.structs.replace(answer, balance=balance.spendable, balance_seq=balance.seq)


def ignored(reason: Reason) -> GrantAnswer:
    """The answer for an act that is not decided and not recorded."""
    return GrantAnswer(
        grant_id=None, outcome="ignored", reason=reason, points=0, balance=None, balance_seq=None, replayed=False
    )


def with_ref(answer: GrantAnswer | Problem, item: GrantRequest | Problem) -> GrantAnswer | Problem:
    """``answer`` with the ref that the caller gave the item, if any."""
    if isinstance(answer, Problem) or isinstance(item, Problem) or item.ref is None:
        return answer
    return msgspec.structs.replace(answer, ref=item.ref)
