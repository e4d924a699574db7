"""From a report to a decision.

    report    what a brand's system says that customers did, any number at once
    claim     what a customer did with a link of ours
    decided   whether that was decided before

What can be computed again (no such campaign, not its time, paused, not funded yet, a refused channel, nothing to pay, a
machine) is answered and not recorded, unless the act was decided before: then that is answered again. No such answer is from an
old memory of the campaign. The rest is one order to the ledger for each event: it decides once, whoever reports it and how
often.
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
"""A longer batch is cut, so that single grants get their turn in between."""
UNRECORDED: dict[GrantOutcome, Reason] = {
    GrantOutcome.PROOF_ONLY: "no_rule",
    GrantOutcome.NOT_FUNDED: "campaign_not_funded",
}
"""What the ledger answers and does not record."""

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
    """An act that is not to be decided, and why. What was decided on it before is answered all the same."""

    act: Act
    reason: Reason


def is_doubtful(read: Act | Unpaid | GrantAnswer | Problem) -> bool:
    """Whether an act would be paid nothing for how its campaign is remembered to stand, which may be a moment old."""
    return isinstance(read, Unpaid) or (isinstance(read, Act) and read.rule is None)


async def report_one(
    services: Services, principal: Principal, item: GrantRequest, *, received_at: datetime
) -> GrantAnswer | Problem:
    """Decide one report."""
    under_way = services.under_way
    with under_way.now:
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
    """What was decided before on acts that are not to be decided now, or why they are not."""
    people = await customers.foresee(services, brand, [ref for _, ref in unpaid])
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
    """Decide each item, in order; what is wrong with one item is its own problem."""
    batch_items = services.batch_items
    under_way = services.under_way
    results: list[GrantResult] = []
    async with batch_items.hold(min(len(batch), CHUNK)):
        for start in range(0, len(batch), CHUNK):
            items = await batch.items(start, start + CHUNK)
            with under_way.now:
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
    """What each item says that happened, in order: see `act_of`. A campaign that would pay nothing is asked for again, once."""
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
    """Put in the place of each of ``answers`` that is not to be decided what it is answered."""
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
    """Decide what a link's customer gets for her act, by the version of the campaign that the link was minted under.

    ``known`` is who she is now.
    """
    under_way = services.under_way
    with under_way.now:
        act, reason = await _act_of_link(services, link, brand, grade, received_at)
        # What a link promised is kept to whoever refused the channel only afterwards; but not to who wants no rewards any more.
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
    """What was decided on a link's act before, by whomever it was reported; ``None`` while a claim would still be new.

    It says no balance.
    """
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
    """A link's act, and why it is not to be decided, if it is not."""
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
    """What a report says that happened, or that it is not to be decided, or what is wrong with it."""
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
    # By the database's clock a version may have been made a moment after ours says that it is now.
    campaign = standing.current if item.occurred_at is None else standing.version_at(counts_at)
    reason = _not_its_time(campaign, counts_at) or (None if standing.paused_at is None else "campaign_paused")
    if item.evidence == "X":
        # A machine's visit is no report of the act.
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
    """What an act is counted once per, also where a rule that paid for it is no more."""
    return standing.once_per.get(action, "message") if rule is None else campaign.rules[rule].once_per


def _qualifier(once_per: OncePer, label: str, brand: Brand, occurred_at: datetime) -> str:
    """What the rule lets count again: nothing, another link, another day."""
    match once_per:
        case "message":
            return ""
        case "link":
            return label
        case "day":
            # However late it is reported: the day in a key is when it happened, or a retry on another day were paid again.
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
