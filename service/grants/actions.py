"""From a report to a decision.

    report    what a brand's system says that customers did, any number at once
    claim     what a customer did with a link of ours
    decided   whether that was decided before

What can be computed again (no such campaign, not its time, paused, nothing to pay, a machine) is answered and not recorded. The
rest is one order to the ledger for each event: it decides once, whoever reports it and how often.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

import msgspec
from litestar.datastructures import State

from ledger import CapUse, EventDetails, Grade, GrantOrder, GrantOutcome, Ledger, LedgerError, event_key
from ledger import GrantResult as Decision
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.brands.brand import Brand
from service.campaigns.queries import campaign_is_paused, campaign_standing, campaign_version
from service.campaigns.rules import Campaign, Rule, Standing, claimed_grade
from service.customers import actions as customers
from service.customers.schemas import CustomerRef
from service.grants.schemas import DECIDED, METADATA_BYTES_MAX, GrantAnswer, GrantRequest, Reason
from service.grants.windows import AGE_MAX, AHEAD_MAX, business_date, last_day, window_at
from service.identifiers import grant_id
from service.problems import Problem, invalid_field, not_found, problem_of

POSTED_AT_ONCE = 1_000
"""A longer batch is cut, so that single grants get their turn in between."""

_encode_metadata = msgspec.json.Encoder(order="deterministic").encode


class _Act(msgspec.Struct, frozen=True):
    """Something that happened, whoever reports it, before it is known to whom."""

    campaign: Campaign
    rule: Rule
    rule_number: int
    message_id: str
    action: str
    channel: str
    label: str
    grade: Grade
    occurred_at: datetime
    window_at: datetime
    source: str
    principal: int
    metadata: str | None


class ClaimedLink(Protocol):
    """What a claim needs to know of a link."""

    @property
    def campaign_no(self) -> int: ...
    @property
    def campaign_version(self) -> int: ...
    @property
    def customer(self) -> int: ...
    @property
    def message_id(self) -> str: ...
    @property
    def action(self) -> str: ...
    @property
    def channel(self) -> str: ...
    @property
    def label(self) -> str: ...


async def report(
    state: State, principal: Principal, items: Sequence[GrantRequest | Problem], *, received_at: datetime
) -> list[GrantAnswer | Problem]:
    """Decide each item, in order; what is wrong with one item is its own problem."""
    campaigns = {
        name: await campaign_standing(state, principal.brand, name)
        for name in {item.campaign for item in items if isinstance(item, GrantRequest)}
    }
    answers: list[GrantAnswer | Problem | None] = []
    acts: list[tuple[int, _Act, CustomerRef]] = []
    for index, item in enumerate(items):
        read = item if isinstance(item, Problem) else _read(item, campaigns[item.campaign], principal, received_at)
        if isinstance(read, _Act) and isinstance(item, GrantRequest):
            acts.append((index, read, item.customer))
            answers.append(None)
        else:
            answers.append(None if isinstance(read, _Act) else read)

    may_attach = Scope.CUSTOMERS_WRITE in principal.scopes
    numbers = await customers.resolve(state, principal.brand, [ref for _, _, ref in acts], may_attach=may_attach)
    orders: list[tuple[int, GrantOrder]] = []
    for (index, act, _), number in zip(acts, numbers, strict=True):
        if isinstance(number, Problem):
            answers[index] = number
        else:
            orders.append((index, _order(act, principal.brand, number)))

    for start in range(0, len(orders), POSTED_AT_ONCE):
        part = orders[start : start + POSTED_AT_ONCE]
        posted = await _post(state, [order for _, order in part])
        for (index, _), answer in zip(part, posted, strict=True):
            answers[index] = answer
    return [_with_ref(answer, item) for answer, item in zip(answers, items, strict=True) if answer is not None]


async def claim(state: State, link: ClaimedLink, brand: Brand, grade: Grade, received_at: datetime) -> GrantAnswer:
    """Decide what a link's customer gets for her act, by the version of the campaign that the link was minted under."""
    order = await _order_of_link(state, link, brand, grade, received_at)
    if not isinstance(order, GrantOrder):
        return _ignored(order)
    if await campaign_is_paused(state, link.campaign_no):
        return await decided(state, link, brand, received_at) or _ignored("campaign_paused")
    (answer,) = await _post(state, [order])
    if isinstance(answer, Problem):
        raise answer
    return answer


async def decided(state: State, link: ClaimedLink, brand: Brand, at: datetime) -> GrantAnswer | None:
    """What was decided on a link's act before, by whomever it was reported; ``None`` while a claim would still be new."""
    ledger: Ledger = state.ledger
    order = await _order_of_link(state, link, brand, Grade.A, at)
    if not isinstance(order, GrantOrder):
        return None
    decision = await ledger.decision(brand.book, order.campaign_no, [order.key, *order.former_keys])
    if decision is None or decision.outcome is GrantOutcome.WAITING:
        return None
    answer = _answer(order, decision)
    return None if isinstance(answer, Problem) else answer


async def _order_of_link(
    state: State, link: ClaimedLink, brand: Brand, grade: Grade, received_at: datetime
) -> GrantOrder | Reason:
    campaign = await campaign_version(state, link.campaign_no, link.campaign_version)
    if campaign is None or campaign.brand_id != brand.brand_id:
        raise not_found("link")
    number = campaign.rule_number(link.action, link.channel)
    refusal = _not_its_time(campaign, received_at)
    if refusal is not None or number is None:
        return refusal or "no_rule"
    act = _Act(
        campaign=campaign,
        rule=campaign.rules[number],
        rule_number=number,
        message_id=link.message_id,
        action=link.action,
        channel=link.channel,
        label=link.label,
        grade=grade,
        occurred_at=received_at,
        window_at=received_at,
        source="link",
        principal=0,
        metadata=None,
    )
    return _order(act, brand, link.customer)


def _read(
    item: GrantRequest, standing: Standing | None, principal: Principal, received_at: datetime
) -> _Act | GrantAnswer | Problem:
    if standing is None:
        return invalid_field("/campaign", "the brand has no such campaign", code="unknown_campaign")
    occurred_at = received_at if item.occurred_at is None else item.occurred_at.astimezone(UTC)
    counts_at = window_at(occurred_at, received_at)
    if counts_at is None:
        allowed = f"must lie between {AGE_MAX.days} days ago and {AHEAD_MAX.seconds // 60} minutes ahead"
        return invalid_field("/occurred_at", allowed, code="occurred_at_out_of_range")
    metadata = None if item.metadata is None else _encode_metadata(item.metadata).decode()
    if metadata is not None and len(metadata.encode()) > METADATA_BYTES_MAX:
        return invalid_field("/metadata", f"must be at most {METADATA_BYTES_MAX} bytes of JSON")
    campaign = standing.version_at(counts_at)
    refusal = _not_its_time(campaign, counts_at)
    if refusal is not None:
        return _ignored(refusal)
    if standing.paused_at is not None:
        return _ignored("campaign_paused")
    number = campaign.rule_number(item.action, item.channel)
    if number is None:
        return _ignored("no_rule")
    if item.evidence == "X":
        return _ignored("machine")
    asked = None if item.evidence is None else Grade(item.evidence)
    return _Act(
        campaign=campaign,
        rule=campaign.rules[number],
        rule_number=number,
        message_id=item.message_id,
        action=item.action,
        channel=item.channel,
        label=item.link or "",
        grade=claimed_grade(item.action, asked, principal.max_evidence),
        occurred_at=occurred_at,
        window_at=counts_at,
        source="api",
        principal=principal.api_key_id,
        metadata=metadata,
    )


def _not_its_time(campaign: Campaign, at: datetime) -> Reason | None:
    if at < campaign.starts_at:
        return "campaign_not_started"
    return "campaign_over" if at >= campaign.ends_at else None


def _order(act: _Act, brand: Brand, customer: int) -> GrantOrder:
    campaign, rule = act.campaign, act.rule
    day = business_date(act.window_at, brand.time_zone)
    qualifier = {"message": "", "link": act.label, "day": day.isoformat()}[rule.once_per]
    return GrantOrder(
        book=brand.book,
        campaign_no=campaign.campaign_no,
        key=event_key(
            campaign_no=campaign.campaign_no,
            message_id=act.message_id,
            customer=customer,
            action=act.action,
            qualifier=qualifier,
        ),
        customer=customer,
        points=rule.points,
        grade=act.grade,
        window_at=act.window_at,
        occurred_at=act.occurred_at,
        details=EventDetails(
            action=act.action,
            channel=act.channel,
            message_id=act.message_id,
            qualifier=qualifier,
            source=act.source,
            principal=act.principal,
            campaign_version=campaign.version,
            rule=act.rule_number,
            metadata=act.metadata,
        ),
        expires_on=last_day(day, campaign.expires_after_months),
        account_class=campaign.account_class,
        caps=tuple(
            CapUse(number, cap.period(day), cap.max_grants, cap.max_points)
            for number, cap in zip(campaign.cap_numbers, campaign.caps, strict=True)
            if cap.covers(act.action, act.channel)
        ),
        waits=not rule.pays_at_once(act.grade),
    )


async def _post(state: State, orders: Sequence[GrantOrder]) -> list[GrantAnswer | Problem]:
    ledger: Ledger = state.ledger
    try:
        decisions = await ledger.grant_batch(orders)
    except LedgerError as error:
        # The other parts of a batch may have been posted: each item says for itself that it can be sent again.
        return [problem_of(error)] * len(orders)
    return [_answer(order, decision) for order, decision in zip(orders, decisions, strict=True)]


def _answer(order: GrantOrder, decision: Decision | LedgerError) -> GrantAnswer | Problem:
    if isinstance(decision, LedgerError):
        return problem_of(decision)
    if decision.outcome is GrantOutcome.MOVED:
        return Problem("database_unavailable", "The customer is being merged into another; send it again.")
    outcome, reason = DECIDED[decision.outcome]
    return GrantAnswer(
        grant_id=grant_id(order.campaign_no, order.key),
        outcome=outcome,
        reason=reason,
        points=decision.points,
        balance=decision.balance,
        balance_seq=decision.balance_seq,
        replayed=decision.replayed,
    )


def _ignored(reason: Reason) -> GrantAnswer:
    return GrantAnswer(
        grant_id=None, outcome="ignored", reason=reason, points=0, balance=None, balance_seq=None, replayed=False
    )


def _with_ref(answer: GrantAnswer | Problem, item: GrantRequest | Problem) -> GrantAnswer | Problem:
    if isinstance(answer, Problem) or isinstance(item, Problem) or item.ref is None:
        return answer
    return msgspec.structs.replace(answer, ref=item.ref)
