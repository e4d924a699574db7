"""From a report to a decision.

    report    what a brand's system says that customers did, any number at once
    claim     what a customer did with a link of ours
    decided   whether that was decided before

What can be computed again (no such campaign, not its time, paused, a channel she refuses, nothing to pay, a machine) is
answered and not recorded. The rest is one order to the ledger for each event: it decides once, whoever reports it and how
often.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

import msgspec
from litestar.datastructures import State

from ledger import Event, EventName, Grade, GrantOutcome, Ledger
from ledger import GrantResult as Decision
from service import metrics
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.brands.brand import Brand
from service.campaigns.queries import campaign_is_paused, campaign_of_link, campaign_standing, campaign_version
from service.campaigns.rules import Campaign, Standing, claimed_grade
from service.customers import actions as customers
from service.customers.refused import ALL, has_refused, is_promised
from service.customers.rows import Known
from service.grants.consent import not_paid
from service.grants.deciding import decide, decide_one
from service.grants.orders import SOURCE_LINK, Act, event_keys, past_event_keys
from service.grants.schemas import (
    DECIDED,
    METADATA_BYTES_MAX,
    GrantAnswer,
    GrantBatch,
    GrantRequest,
    GrantResult,
    Reason,
    result_of,
)
from service.grants.windows import AGE_MAX, AHEAD_MAX, business_date, window_at
from service.identifiers import grant_id
from service.natural_batches import NaturalBatches
from service.pieces import Room, in_pieces, parts
from service.problems import Problem, invalid_field, not_found

POSTED_AT_ONCE = 1_000
"""A longer batch is cut, so that single grants get their turn in between."""
_encode_metadata = msgspec.json.Encoder(order="deterministic").encode


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
    @property
    def minted_at(self) -> datetime: ...


async def report_one(state: State, principal: Principal, item: GrantRequest, *, received_at: datetime) -> GrantAnswer | Problem:
    """Decide one report."""
    act = act_of(item, await campaign_standing(state, principal.brand, item.campaign), principal, received_at)
    if not isinstance(act, Act):
        return _with_ref(act, item)
    known = await customers.resolve_one(state, principal.brand, item.customer, may_attach=_may_attach(principal))
    if isinstance(known, Problem):
        return known
    if known.refused and await not_paid(state, principal.brand, [(act, known)]):
        return _with_ref(_ignored("consent_refused"), item)
    return _with_ref(_answer(act, await decide_one(state, principal.brand, act, known)), item)


async def report(
    state: State, principal: Principal, batch: GrantBatch, *, received_at: datetime, request_id: str
) -> list[GrantResult]:
    """Decide each item, in order; what is wrong with one item is its own problem."""
    room: Room = state.room
    results: list[GrantResult] = []
    async with room.of(min(len(batch), POSTED_AT_ONCE)):
        for start in range(0, len(batch), POSTED_AT_ONCE):
            items = await batch.items(start, start + POSTED_AT_ONCE)
            answers = await _report_part(state, principal, items, received_at)
            told = zip(itertools.count(start), items, answers, strict=False)
            results += await in_pieces(lambda each: result_of(*each, request_id=request_id), told)
    return results


async def _report_part(
    state: State, principal: Principal, items: Sequence[GrantRequest | Problem], received_at: datetime
) -> list[GrantAnswer | Problem]:
    brand = principal.brand
    names = {item.campaign for item in items if isinstance(item, GrantRequest)}
    campaigns = {name: await campaign_standing(state, brand, name) for name in names}

    def read(item: GrantRequest | Problem) -> Act | GrantAnswer | Problem:
        return item if isinstance(item, Problem) else act_of(item, campaigns[item.campaign], principal, received_at)

    answers: list[Act | GrantAnswer | Problem] = await in_pieces(read, items)
    acts = [
        (index, act, item.customer)
        for index, (act, item) in enumerate(zip(answers, items, strict=True))
        if isinstance(act, Act) and isinstance(item, GrantRequest)
    ]
    wanted: list[tuple[int, Act, Known]] = []
    for part in parts(acts):
        people = await customers.resolve(state, brand, [ref for _, _, ref in part], may_attach=_may_attach(principal))
        for (index, act, _), known in zip(part, people, strict=True):
            if isinstance(known, Problem):
                answers[index] = known
            else:
                wanted.append((index, act, known))

    if any(known.refused for _, _, known in wanted):
        left_out = await not_paid(state, brand, [(act, known) for _, act, known in wanted])
        for n in left_out:
            answers[wanted[n][0]] = _ignored("consent_refused")
        wanted = [each for n, each in enumerate(wanted) if n not in left_out]
    decisions = await decide(state, brand, [(act, known) for _, act, known in wanted])
    told = await in_pieces(lambda each: _answer(*each), list(zip((act for _, act, _ in wanted), decisions, strict=True)))
    for (index, _, _), answer in zip(wanted, told, strict=True):
        answers[index] = answer
    return [_with_ref(answer, item) for answer, item in zip(answers, items, strict=True) if not isinstance(answer, Act)]


def _may_attach(principal: Principal) -> bool:
    return Scope.CUSTOMERS_WRITE in principal.scopes


async def claim(
    state: State, link: ClaimedLink, known: Known, brand: Brand, grade: Grade, received_at: datetime
) -> GrantAnswer:
    """Decide what a link's customer gets for her act, by the version of the campaign that the link was minted under.

    ``known`` is who she is now.
    """
    act = await _act_of_link(state, link, brand, grade, received_at)
    if not isinstance(act, Act):
        return _ignored(act)
    # What a link promised is kept to whoever refused the channel only afterwards; but not to who wants no rewards any more.
    refused = not is_promised(known.refused, link.channel, link.minted_at) or has_refused(known.refused, ALL, received_at)
    if refused or await campaign_is_paused(state, link.campaign_no):
        before = await decided(state, link, known, brand, received_at)
        if before is not None:
            return await _with_balance(state, brand, known, before)
        if refused:
            metrics.consent_refused.labels("claim").inc()
        return _ignored("consent_refused" if refused else "campaign_paused")
    answer = _answer(act, await decide_one(state, brand, act, known))
    if isinstance(answer, Problem):
        raise answer
    return answer


async def decided(state: State, link: ClaimedLink, known: Known, brand: Brand, at: datetime) -> GrantAnswer | None:
    """What was decided on a link's act before, by whomever it was reported; ``None`` while a claim would still be new.

    It says no balance.
    """
    events: NaturalBatches[EventName, Event] = state.events
    act = await _act_of_link(state, link, brand, Grade.A, at)
    if not isinstance(act, Act):
        return None
    found = await events.get_many([(brand.book, act.campaign.campaign_no, key) for key in event_keys(act, known)])
    events_of_her = [*found.values()]
    if known.past:
        ledger: Ledger = state.ledger
        past = past_event_keys(act, known)
        events_of_her += await ledger.past_events(brand.book, act.campaign.campaign_no, known.customer, past)
    final = [event for event in events_of_her if event.outcome is not GrantOutcome.WAITING]
    if not final:
        return None
    first = min(final, key=lambda event: event.seq)
    outcome, reason = DECIDED[first.outcome]
    return GrantAnswer(
        grant_id=grant_id(first.campaign_no, first.key),
        outcome=outcome,
        reason=reason,
        points=first.points,
        balance=None,
        balance_seq=None,
        replayed=True,
    )


async def _act_of_link(state: State, link: ClaimedLink, brand: Brand, grade: Grade, received_at: datetime) -> Act | Reason:
    campaign = await campaign_version(state, link.campaign_no, link.campaign_version)
    standing = await campaign_of_link(state, link.campaign_no)
    if campaign is None or standing is None or campaign.brand_id != brand.brand_id:
        raise not_found("link")
    rule = campaign.rule_number(link.action, link.channel)
    refusal = _not_its_time(campaign, received_at)
    if refusal is not None or rule is None:
        return refusal or "no_rule"
    return Act(
        campaign=campaign,
        rule=rule,
        message_id=link.message_id,
        action=link.action,
        channel=link.channel,
        qualifier=_qualifier(campaign, rule, link.label, brand, received_at, received_at),
        grade=grade,
        occurred_at=received_at,
        window_at=received_at,
        received_at=received_at,
        source=SOURCE_LINK,
        principal=0,
        metadata=None,
        may_wait=standing.waiting_actions,
    )


def act_of(
    item: GrantRequest, standing: Standing | None, principal: Principal, received_at: datetime
) -> Act | GrantAnswer | Problem:
    """What a report says that happened, why it is ignored, or what is wrong with it."""
    if standing is None:
        return invalid_field("/campaign", "the brand has no such campaign", code="unknown_campaign")
    occurred_at = received_at if item.occurred_at is None else item.occurred_at.astimezone(UTC)
    counts_at = window_at(occurred_at, received_at, principal.lateness)
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
    if item.evidence == "X":
        return _ignored("machine")
    asked = None if item.evidence is None else Grade(item.evidence)
    rule = campaign.rule_number(item.action, item.channel)
    act = Act(
        campaign=campaign,
        rule=rule,
        message_id=item.message_id,
        action=item.action,
        channel=item.channel,
        qualifier=_qualifier(campaign, rule, item.link or "", principal.brand, occurred_at, received_at),
        grade=claimed_grade(item.action, asked, principal.max_evidence),
        occurred_at=occurred_at,
        window_at=counts_at,
        received_at=received_at,
        source="api",
        principal=principal.api_key_id,
        metadata=metadata,
        may_wait=standing.waiting_actions,
    )
    return _ignored("no_rule") if act.rule is None and not act.proved_actions() else act


def _qualifier(
    campaign: Campaign, rule: int | None, label: str, brand: Brand, occurred_at: datetime, received_at: datetime
) -> str:
    """What the rule lets count again: nothing, another link, another day."""
    match "message" if rule is None else campaign.rules[rule].once_per:
        case "message":
            return ""
        case "link":
            return label
        case "day":
            # However short a reporter's lateness is: the day in a key is when it happened, or a retry after midnight were
            # paid again.
            happened_at = window_at(occurred_at, received_at) or received_at
            return business_date(happened_at, brand.time_zone).isoformat()


def _not_its_time(campaign: Campaign, at: datetime) -> Reason | None:
    if at < campaign.starts_at:
        return "campaign_not_started"
    return "campaign_over" if at >= campaign.ends_at else None


def _answer(act: Act, decision: Decision | Problem) -> GrantAnswer | Problem:
    if isinstance(decision, Problem):
        return decision
    if decision.outcome is GrantOutcome.NOTED:
        return _ignored("no_rule")
    outcome, reason = DECIDED[decision.outcome]
    return GrantAnswer(
        grant_id=grant_id(act.campaign.campaign_no, decision.key),
        outcome=outcome,
        reason=reason,
        points=decision.points,
        balance=decision.balance,
        balance_seq=decision.balance_seq,
        replayed=decision.replayed,
    )


async def _with_balance(state: State, brand: Brand, known: Known, answer: GrantAnswer) -> GrantAnswer:
    _, balance = await customers.look(state, brand, known)
    return msgspec.structs.replace(answer, balance=balance.spendable, balance_seq=balance.seq)


def _ignored(reason: Reason) -> GrantAnswer:
    return GrantAnswer(
        grant_id=None, outcome="ignored", reason=reason, points=0, balance=None, balance_seq=None, replayed=False
    )


def _with_ref(answer: GrantAnswer | Problem, item: GrantRequest | Problem) -> GrantAnswer | Problem:
    if isinstance(answer, Problem) or isinstance(item, Problem) or item.ref is None:
        return answer
    return msgspec.structs.replace(answer, ref=item.ref)
