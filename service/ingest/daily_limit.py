"""The most that a source or a device may earn on a day: reports are decided as long as what they could earn at most fits.

Only once it might not fit is it looked closer: what was decided before costs nothing, and copies of one act earn once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, TypeAlias

from service.auth.principal import Principal
from service.brands.brand import Brand
from service.campaigns.queries import campaign_standing
from service.grants.actions import report_read
from service.grants.schemas import GrantAnswer, GrantRequest
from service.http.problems import Problem

if TYPE_CHECKING:
    from service.services import Services

PAID = frozenset({"granted", "held_back"})
"""The outcomes that count towards the limit."""


class Reporter(Protocol):
    """Who reports: a source, or a device."""

    @property
    def brand(self) -> Brand: ...
    @property
    def principal(self) -> Principal: ...


Answers: TypeAlias = list[GrantAnswer | Problem]


async def report_within(
    services: Services, reporter: Reporter, items: Sequence[GrantRequest], received_at: datetime, *, remaining: int | None
) -> Answers:
    """Decide reports, of which those are paid first that came first. ``remaining`` points may be paid; ``None``: any number."""
    principal = reporter.principal
    costs = [] if remaining is None else [await at_most(services, reporter, item) for item in items]
    if remaining is None or sum(costs) <= remaining:
        return await report_read(services, principal, items, received_at)
    answers = await report_read(services, principal, items, received_at, may_pay=False)
    new = [n for n, answer in enumerate(answers) if _is_over(answer)]
    firsts = sorted({_act_of(items[n]): n for n in reversed(new)}.values())
    while firsts:
        fitting = _fitting([costs[n] for n in firsts], remaining)
        if not fitting:
            break
        now, firsts = firsts[:fitting], firsts[fitting:]
        decided = await report_read(services, principal, [items[n] for n in now], received_at)
        for n, answer in zip(now, decided, strict=True):
            answers[n] = answer
            remaining -= paid(answer)
    copies = [n for n in new if _is_over(answers[n]) and n not in firsts]
    if copies:
        again = await report_read(services, principal, [items[n] for n in copies], received_at, may_pay=False)
        for n, answer in zip(copies, again, strict=True):
            answers[n] = answer
    return answers


def _fitting(costs: Sequence[int], remaining: int) -> int:
    """How many of ``costs``, from the first on, fit together."""
    for n, cost in enumerate(costs):
        remaining -= cost
        if remaining < 0:
            return n
    return len(costs)


async def at_most(services: Services, reporter: Reporter, item: GrantRequest) -> int:
    """What a report could earn, whichever version of the terms it is judged by."""
    standing = await campaign_standing(services, reporter.brand, item.campaign)
    if standing is None:
        return 0
    rules = (version.rule_for(item.action, item.channel) for version in standing.versions)
    return max((rule.points for rule in rules if rule is not None), default=0)


def _act_of(item: GrantRequest) -> tuple[str | None, ...]:
    """The same for copies of one act."""
    customer = item.customer
    who = (customer.id, customer.email, customer.phone, customer.device)
    return (item.campaign, item.message_id, item.action, item.link, *who)


def _is_over(answer: GrantAnswer | Problem) -> bool:
    return isinstance(answer, GrantAnswer) and answer.reason == "source_limit_reached"


def paid(answer: GrantAnswer | Problem) -> int:
    """What a report was granted now."""
    is_paid = isinstance(answer, GrantAnswer) and not answer.replayed and answer.outcome in PAID
    return answer.points if isinstance(answer, GrantAnswer) and is_paid else 0
