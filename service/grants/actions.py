"""From a report to a decision.

    report    acts of customers that a brand's system reports, any number at once
    claim     an act on a link of ours
    decided   the earlier decision on a link's act

Answers that can be computed again (no such campaign, not its time, paused, not funded yet, a refused channel, nothing to pay, a
machine) are not recorded, unless the act was decided before: then that decision is answered again. No such answer relies on a
cached campaign. Everything else is one order to the ledger per event, which decides once, whoever reports it and how often.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import msgspec

from ledger import Grade, GrantOutcome
from ledger import GrantResult as Decision
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.brands.brand import Brand
from service.campaigns.queries import campaign_of_link, campaign_standing, campaign_version
from service.campaigns.rules import Campaign, OncePer, Standing, claimed_grade
from service.concurrency.fairness import in_chunks, parts
from service.customers import actions as customers
from service.customers.opt_outs import ALL, has_refused, promised_before_opt_out
from service.customers.queries import Customer
from service.customers.schemas import CustomerRef
from service.grants.consent import opted_out
from service.grants.deciding import decide, decide_one
from service.grants.orders import SOURCE_LINK, Act
from service.grants.replays import decided_before, replay_of, replays
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
from service.grants.windows import AGE_MAX, AHEAD_MAX, window_at
from service.http.identifiers import grant_id
from service.http.problems import Problem, invalid_field, not_found
from service.observability import metrics

if TYPE_CHECKING:
    from service.services import Services

CHUNK = 1_000
"""Longer batches are split, so that single grants get their turn in between."""
UNRECORDED: dict[GrantOutcome, Reason] = {
    GrantOutcome.PROOF_ONLY: "no_rule",
    GrantOutcome.NOT_FUNDED: "campaign_not_funded",
}
"""Outcomes that the ledger does not record."""

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


class Unpaid(msgspec.Struct, frozen=True):
    """An act that is not decided now, and why. An earlier decision on it is still answered."""

    act: Act
    reason: Reason


def is_doubtful(read: Act | Unpaid | GrantAnswer | Problem) -> bool:
    """Whether an act would earn nothing because of the cached state of its campaign, which may be a moment old."""
    return isinstance(read, Unpaid) or (isinstance(read, Act) and read.rule is None)


async def report_one(
    services: Services, principal: Principal, item: GrantRequest, *, received_at: datetime
) -> GrantAnswer | Problem:
    """Decide one report."""
    decisions_in_flight = services.decisions_in_flight
    with decisions_in_flight.now:
        answer = await _report_one(services, principal, item, received_at)
    return answer if item.ref is None else _with_ref(answer, item)


async def _report_one(
    services: Services, principal: Principal, item: GrantRequest, received_at: datetime
) -> GrantAnswer | Problem:
    act = act_of(item, await campaign_standing(services, principal.brand, item.campaign), principal, received_at)
    if is_doubtful(act):
        act = act_of(item, await campaign_standing(services, principal.brand, item.campaign, now=True), principal, received_at)
    if isinstance(act, Unpaid):
        (answer,) = await _answers_of_unpaid(services, principal.brand, [(act, item.customer)])
        return answer
    if not isinstance(act, Act):
        return act
    known = await customers.resolve_one(services, principal.brand, item.customer, may_attach=_may_attach(principal))
    if isinstance(known, Problem):
        return known
    if known.refused and await opted_out(services, principal.brand, [(act, known)]):
        return _ignored("consent_refused")
    decision = await decide_one(services, principal.brand, act, known)
    if act.was_paid_for and not isinstance(decision, Problem):
        (answer,) = await _answers_of_unpaid(services, principal.brand, [(Unpaid(act, "no_rule"), item.customer)])
        return answer
    return _answer(act, decision)


async def _answers_of_unpaid(
    services: Services, brand: Brand, unpaid: Sequence[tuple[Unpaid, CustomerRef]]
) -> list[GrantAnswer]:
    """The earlier decisions on acts that are not decided now, or why they are not decided."""
    people = await customers.resolve(services, brand, [ref for _, ref in unpaid], dry_run=True)
    answered: list[GrantAnswer] = []
    wanted: list[tuple[int, Act, Customer]] = []
    for n, ((each, _), known) in enumerate(zip(unpaid, people, strict=True)):
        answered.append(_ignored(each.reason))
        if not isinstance(known, Problem):
            wanted.append((n, each.act, known))
    before = await replays(services, brand, [(act, known) for _, act, known in wanted])
    for (n, _, _), replay in zip(wanted, before, strict=True):
        if replay is not None:
            event, points, seq = replay
            answered[n] = msgspec.structs.replace(replay_of(event), balance=points, balance_seq=seq)
    return answered


async def report(
    services: Services, principal: Principal, batch: GrantBatch, *, received_at: datetime, request_id: str
) -> list[GrantResult]:
    """Decide each item, in order. Errors are per item."""
    batch_items = services.batch_items
    decisions_in_flight = services.decisions_in_flight
    results: list[GrantResult] = []
    async with batch_items.hold(min(len(batch), CHUNK)):
        for start in range(0, len(batch), CHUNK):
            items = await batch.items(start, start + CHUNK)
            with decisions_in_flight.now:
                answers = await _report_part(services, principal, items, received_at)
            answered = zip(itertools.count(start), items, answers, strict=False)
            results += await in_chunks(lambda each: result_of(*each, request_id=request_id), answered)
    return results


async def _report_part(
    services: Services, principal: Principal, items: Sequence[GrantRequest | Problem], received_at: datetime
) -> list[GrantAnswer | Problem]:
    brand = principal.brand
    answers = await read_acts(services, principal, items, received_at)
    await _answer_unpaid(services, brand, items, answers)
    acts = [
        (index, act, item.customer)
        for index, (act, item) in enumerate(zip(answers, items, strict=True))
        if isinstance(act, Act) and isinstance(item, GrantRequest)
    ]
    wanted: list[tuple[int, Act, Customer]] = []
    for part in parts(acts):
        people = await customers.resolve(services, brand, [ref for _, _, ref in part], may_attach=_may_attach(principal))
        for (index, act, _), known in zip(part, people, strict=True):
            if isinstance(known, Problem):
                answers[index] = known
            else:
                wanted.append((index, act, known))

    if any(known.refused for _, _, known in wanted):
        excluded = await opted_out(services, brand, [(act, known) for _, act, known in wanted])
        for n in excluded:
            answers[wanted[n][0]] = _ignored("consent_refused")
        wanted = [each for n, each in enumerate(wanted) if n not in excluded]
    decisions = await decide(services, brand, [(act, known) for _, act, known in wanted])
    answered = await in_chunks(lambda each: _answer(*each), list(zip((act for _, act, _ in wanted), decisions, strict=True)))
    for (index, act, _), answer in zip(wanted, answered, strict=True):
        answers[index] = Unpaid(act, "no_rule") if act.was_paid_for and not isinstance(answer, Problem) else answer
    await _answer_unpaid(services, brand, items, answers)
    return [
        _with_ref(answer, item)
        for answer, item in zip(answers, items, strict=True)
        if not isinstance(answer, Act) and not isinstance(answer, Unpaid)
    ]


async def read_acts(
    services: Services, principal: Principal, items: Sequence[GrantRequest | Problem], received_at: datetime
) -> list[Act | Unpaid | GrantAnswer | Problem]:
    """The act of each item, in order: see `act_of`. A campaign that would pay nothing is read again, once, past the cache."""
    names = {item.campaign for item in items if isinstance(item, GrantRequest)}
    campaigns = {name: await campaign_standing(services, principal.brand, name) for name in names}

    def read(item: GrantRequest | Problem) -> Act | Unpaid | GrantAnswer | Problem:
        return item if isinstance(item, Problem) else act_of(item, campaigns[item.campaign], principal, received_at)

    acts = await in_chunks(read, items)
    # Of most batches each item is an act that a rule pays for.
    uncertain = [n for n, each in enumerate(acts) if type(each) is not Act or each.rule is None]
    doubtful = {item.campaign for n in uncertain if isinstance(item := items[n], GrantRequest) and is_doubtful(acts[n])}
    if not doubtful:
        return acts
    for name in doubtful:
        campaigns[name] = await campaign_standing(services, principal.brand, name, now=True)
    return await in_chunks(read, items)


async def _answer_unpaid(
    services: Services,
    brand: Brand,
    items: Sequence[GrantRequest | Problem],
    answers: list[Act | Unpaid | GrantAnswer | Problem],
) -> None:
    """Replace each unpaid act in ``answers`` by its answer."""
    unpaid = [
        (index, each, item.customer)
        for index, each in enumerate(answers)
        if isinstance(each, Unpaid) and isinstance(item := items[index], GrantRequest)
    ]
    for part in parts(unpaid):
        answered = await _answers_of_unpaid(services, brand, [(each, ref) for _, each, ref in part])
        for (index, _, _), answer in zip(part, answered, strict=True):
            answers[index] = answer


def _may_attach(principal: Principal) -> bool:
    return Scope.CUSTOMERS_WRITE in principal.scopes


async def claim(
    services: Services, link: ClaimedLink, known: Customer, brand: Brand, grade: Grade, received_at: datetime
) -> GrantAnswer:
    """Decide what a link's customer gets for claiming it, by the campaign version that the link was minted under.

    ``known`` is the customer as of now.
    """
    decisions_in_flight = services.decisions_in_flight
    with decisions_in_flight.now:
        act, reason = await _act_of_link(services, link, brand, grade, received_at)
        # A refusal of the channel after minting does not break the promise of the link; a refusal of all rewards does.
        refused = not promised_before_opt_out(known.refused, link.channel, link.minted_at) or has_refused(
            known.refused, ALL, received_at
        )
        reason = reason or ("consent_refused" if refused else None)
        if reason is None:
            answer = _answer(act, await decide_one(services, brand, act, known))
            if isinstance(answer, Problem):
                raise answer
            return answer
    (before,) = await decided_before(services, brand, [(act, known)])
    if before is not None:
        return await _with_balance(services, brand, known, replay_of(before))
    if reason == "consent_refused":
        metrics.consent_refused.labels("claim").inc()
    return _ignored(reason)


async def decided(services: Services, link: ClaimedLink, known: Customer, brand: Brand, at: datetime) -> GrantAnswer | None:
    """The earlier decision on a link's act, whoever reported it, without the balance; ``None`` while a claim would be new."""
    act, _ = await _act_of_link(services, link, brand, Grade.A, at)
    (before,) = await decided_before(services, brand, [(act, known)])
    return None if before is None else replay_of(before)


async def decided_with_balance(
    services: Services, link: ClaimedLink, known: Customer, brand: Brand, at: datetime
) -> GrantAnswer | None:
    """The same, with what the customer can spend now."""
    before = await decided(services, link, known, brand, at)
    return None if before is None else await _with_balance(services, brand, known, before)


async def _act_of_link(
    services: Services, link: ClaimedLink, brand: Brand, grade: Grade, received_at: datetime
) -> tuple[Act, Reason | None]:
    """A link's act, and the reason if it is not to be decided."""
    campaign = await campaign_version(services, link.campaign_no, link.campaign_version)
    standing = await campaign_of_link(services, link.campaign_no)
    if campaign is None or standing is None or campaign.brand_id != brand.brand_id:
        raise not_found("link")
    rule = campaign.rule_number(link.action, link.channel)
    reason = _not_its_time(campaign, received_at) or (None if rule is not None else "no_rule")
    if reason is None and standing.paused_at is not None:
        standing = await campaign_of_link(services, link.campaign_no, now=True) or standing
        reason = None if standing.paused_at is None else "campaign_paused"
    act = Act(
        campaign=campaign,
        rule=rule,
        message_id=link.message_id,
        action=link.action,
        channel=link.channel,
        qualifier=_qualifier(_once_per(campaign, rule, standing, link.action), link.label, brand, received_at),
        grade=grade,
        occurred_at=received_at,
        window_at=received_at,
        received_at=received_at,
        source=SOURCE_LINK,
        principal=0,
        metadata=None,
        may_wait=standing.waiting_actions,
    )
    return act, reason


def act_of(
    item: GrantRequest, standing: Standing | None, principal: Principal, received_at: datetime
) -> Act | Unpaid | GrantAnswer | Problem:
    """The act of a report; or why it is not decided; or what is wrong with the report."""
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
    # By the database's clock a version may be a moment younger than our own clock's now.
    campaign = standing.current if item.occurred_at is None else standing.version_at(counts_at)
    reason = _not_its_time(campaign, counts_at) or (None if standing.paused_at is None else "campaign_paused")
    if item.evidence == "X":
        # A visit by a machine does not report the act.
        return _ignored(reason or "machine")
    asked = None if item.evidence is None else Grade(item.evidence)
    rule = campaign.rule_number(item.action, item.channel)
    act = Act(
        campaign=campaign,
        rule=rule,
        message_id=item.message_id,
        action=item.action,
        channel=item.channel,
        qualifier=_qualifier(_once_per(campaign, rule, standing, item.action), item.link or "", principal.brand, occurred_at),
        grade=claimed_grade(item.action, asked, principal.max_evidence),
        occurred_at=occurred_at,
        window_at=counts_at,
        received_at=received_at,
        source="api",
        principal=principal.api_key_id,
        metadata=metadata,
        may_wait=standing.waiting_actions,
        was_paid_for=rule is None and item.action in standing.once_per,
    )
    if reason is None and act.rule is None and not act.proved_actions():
        reason = "no_rule"
    return act if reason is None else Unpaid(act, reason)


def _once_per(campaign: Campaign, rule: int | None, standing: Standing, action: str) -> OncePer:
    """What an act counts once per, even if the rule that paid for it is gone."""
    return standing.once_per.get(action, "message") if rule is None else campaign.rules[rule].once_per


def _qualifier(once_per: OncePer, label: str, brand: Brand, occurred_at: datetime) -> str:
    """What the rule lets count again: nothing, another link, another day."""
    match once_per:
        case "message":
            return ""
        case "link":
            return label
        case "day":
            # The day on which it happened, however late the report: else a retry on another day would be paid again.
            return brand.calendar.day(occurred_at).isoformat()


def _not_its_time(campaign: Campaign, at: datetime) -> Reason | None:
    if at < campaign.starts_at:
        return "campaign_not_started"
    return "campaign_over" if at >= campaign.ends_at else None


def _answer(act: Act, decision: Decision | Problem) -> GrantAnswer | Problem:
    if isinstance(decision, Problem):
        return decision
    reason = UNRECORDED.get(decision.outcome)
    if reason is not None:
        return _ignored(reason)
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


async def _with_balance(services: Services, brand: Brand, known: Customer, answer: GrantAnswer) -> GrantAnswer:
    _, balance = await customers.look(services, brand, known)
    return msgspec.structs.replace(answer, balance=balance.spendable, balance_seq=balance.seq)


def _ignored(reason: Reason) -> GrantAnswer:
    return GrantAnswer(
        grant_id=None, outcome="ignored", reason=reason, points=0, balance=None, balance_seq=None, replayed=False
    )


def _with_ref(answer: GrantAnswer | Problem, item: GrantRequest | Problem) -> GrantAnswer | Problem:
    if isinstance(answer, Problem) or isinstance(item, Problem) or item.ref is None:
        return answer
    return msgspec.structs.replace(answer, ref=item.ref)
