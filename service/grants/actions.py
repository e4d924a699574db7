"""From a report to a decision.

    report_one   an act of a customer that a brand's system reports
    report       any number of them at once
    report_read  those of a source, which are no bytes any more
    claim        an act on a link of ours

Answers that can be computed again (no such campaign, not its time, paused, not funded yet, a refused channel, nothing to pay, a
machine) are not recorded, unless the act was decided before: then that decision is answered again. No such answer relies on a
cached campaign. Everything else is one order to the ledger per event, which decides once, whoever reports it and how often.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from ledger import Grade
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.brands.brand import Brand
from service.campaigns.queries import campaign_standing
from service.concurrency.fairness import in_chunks, parts
from service.customers import actions as customers
from service.customers.opt_outs import ALL, has_refused, promised_before_opt_out
from service.customers.queries import Customer
from service.customers.schemas import CustomerRef
from service.grants.acts import Act, ClaimedLink, Unpaid, act_of_link, act_of_report, is_doubtful, read_acts
from service.grants.answers import answer_of, ignored, replay_of, with_balance, with_ref
from service.grants.consent import opted_out
from service.grants.deciding import decide, decide_one, with_offer, with_offers
from service.grants.orders import cap_uses
from service.grants.replays import as_sibling, decided_before, is_over, note_acts, replays, told_of_offers
from service.grants.schemas import GrantAnswer, GrantBatch, GrantRequest, GrantResult, StoreLeft, result_of
from service.http.problems import Problem
from service.observability import metrics

if TYPE_CHECKING:
    from service.services import Services

CHUNK = 1_000
"""Longer batches are split, so that single grants get their turn in between."""


async def report_one(
    services: Services, principal: Principal, item: GrantRequest, *, received_at: datetime
) -> GrantAnswer | Problem:
    """Decide one report."""
    decisions_in_flight = services.decisions_in_flight
    with decisions_in_flight.now:
        answer = await _report_one(services, principal, item, received_at)
    return answer if item.ref is None else with_ref(answer, item)


async def _report_one(
    services: Services, principal: Principal, item: GrantRequest, received_at: datetime
) -> GrantAnswer | Problem:
    brand = principal.brand
    act = act_of_report(item, await campaign_standing(services, brand, item.campaign), principal, received_at)
    if is_doubtful(act):
        act = act_of_report(item, await campaign_standing(services, brand, item.campaign, now=True), principal, received_at)
    if isinstance(act, Unpaid):
        (answer,) = await _answers_of_unpaid(services, brand, [(act, item.customer)])
        return answer
    if not isinstance(act, Act):
        return act
    known = await customers.resolve_one(services, brand, item.customer, may_attach=_may_attach(principal))
    if isinstance(known, Problem):
        return known
    if known.refused and await opted_out(services, brand, [(act, known)]):
        return ignored("consent_refused")
    if act.campaign.makes_offers:
        act = await with_offer(services, brand, act, known)
        if is_over(act):
            (answer,) = await _answers_of_unpaid(services, brand, [(Unpaid(act, "offer_lapsed"), item.customer)])
            return answer
    decision = await decide_one(services, brand, act, known)
    if act.was_paid_for and not isinstance(decision, Problem):
        (answer,) = await _answers_of_unpaid(services, brand, [(Unpaid(act, "no_rule"), item.customer)])
        return answer
    answer = answer_of(act.campaign.campaign_no, decision)
    if act.campaign.makes_offers:
        answer = await _told_of_offer(services, brand, act, known, answer)
    return answer if act.store is None else await _naming_its_store(services, brand, act, act.store, answer)


async def _told_of_offer(
    services: Services, brand: Brand, act: Act, known: Customer, answer: GrantAnswer | Problem
) -> GrantAnswer | Problem:
    """The answer for a customer whose act may be one of several on an offer; what it makes of the offer is noted."""
    (told,) = await told_of_offers(services, brand, [(act, answer)])
    await note_acts(services, brand, [(act, known, told)])
    return told


async def _naming_its_store(
    services: Services, brand: Brand, act: Act, store: str, answer: GrantAnswer | Problem
) -> GrantAnswer | Problem:
    """The answer with what the store has left, if that was too little."""
    if isinstance(answer, Problem) or answer.reason != "store_budget_exhausted":
        return answer
    uses = [use for use in cap_uses(act, act.campaign.caps, brand.calendar.day(act.window_at)) if use.group]
    counted = await services.ledger.cap_uses(brand.book, act.campaign.campaign_no, uses)
    left = [max(0, use.max_points - points) for use, points in zip(uses, counted, strict=True) if use.max_points is not None]
    return msgspec.structs.replace(answer, store=StoreLeft(store, min(left, default=0)))


async def _answers_of_unpaid(
    services: Services, brand: Brand, unpaid: Sequence[tuple[Unpaid, CustomerRef]], *, notes: bool = True
) -> list[GrantAnswer]:
    """The earlier decisions on acts that are not decided now, or why they are not decided. What they make of offers is noted
    unless it is only asked what was decided.
    """
    people = await customers.resolve(services, brand, [ref for _, ref in unpaid], dry_run=True)
    answered: list[GrantAnswer] = []
    wanted: list[tuple[int, Act, Customer]] = []
    for n, ((each, _), known) in enumerate(zip(unpaid, people, strict=True)):
        answered.append(ignored(each.reason))
        if not isinstance(known, Problem):
            wanted.append((n, each.act, known))
    acts = await with_offers(services, brand, [(act, known) for _, act, known in wanted])
    before = await replays(services, brand, acts)
    for (n, _, _), (act, _), replay in zip(wanted, acts, before, strict=True):
        if replay is not None:
            event, points, seq = replay
            answer = msgspec.structs.replace(replay_of(event), balance=points, balance_seq=seq)
            answered[n] = as_sibling(act, event, answer)
    noted = [(act, known, answered[n]) for (n, _, _), (act, known) in zip(wanted, acts, strict=True) if act.offer is not None]
    if noted and notes:
        await note_acts(services, brand, noted)
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


async def report_read(
    services: Services, principal: Principal, items: Sequence[GrantRequest], received_at: datetime, *, may_pay: bool = True
) -> list[GrantAnswer | Problem]:
    """Decide reports of a source, at most ``CHUNK``, in order. Unless it ``may_pay``, only earlier decisions are answered."""
    decisions_in_flight = services.decisions_in_flight
    with decisions_in_flight.now:
        return await _report_part(services, principal, items, received_at, may_pay=may_pay)


async def _report_part(
    services: Services,
    principal: Principal,
    items: Sequence[GrantRequest | Problem],
    received_at: datetime,
    *,
    may_pay: bool = True,
) -> list[GrantAnswer | Problem]:
    brand = principal.brand
    answers = await read_acts(services, principal, items, received_at)
    if not may_pay:
        answers[:] = [Unpaid(each, "source_limit_reached") if isinstance(each, Act) else each for each in answers]
    await _answer_unpaid(services, brand, items, answers, notes=may_pay)
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
            answers[wanted[n][0]] = ignored("consent_refused")
        wanted = [each for n, each in enumerate(wanted) if n not in excluded]
    makes_offers = any(act.campaign.makes_offers for _, act, _ in wanted)
    if makes_offers:
        wanted = await _standing_offers(services, brand, wanted, answers)
    decisions = await decide(services, brand, [(act, known) for _, act, known in wanted])
    numbers = [act.campaign.campaign_no for _, act, _ in wanted]
    answered = await in_chunks(lambda each: answer_of(*each), list(zip(numbers, decisions, strict=True)))
    if makes_offers:
        answered = await told_of_offers(
            services, brand, [(act, answer) for (_, act, _), answer in zip(wanted, answered, strict=True)]
        )
        noted = [(act, known, answer) for (_, act, known), answer in zip(wanted, answered, strict=True)]
        await note_acts(services, brand, noted)
    for (index, act, _), answer in zip(wanted, answered, strict=True):
        answers[index] = Unpaid(act, "no_rule") if act.was_paid_for and not isinstance(answer, Problem) else answer
    await _answer_unpaid(services, brand, items, answers, notes=may_pay)
    return [
        with_ref(answer, item)
        for answer, item in zip(answers, items, strict=True)
        if not isinstance(answer, Act) and not isinstance(answer, Unpaid)
    ]


async def _standing_offers(
    services: Services,
    brand: Brand,
    wanted: Sequence[tuple[int, Act, Customer]],
    answers: list[Act | Unpaid | GrantAnswer | Problem],
) -> list[tuple[int, Act, Customer]]:
    """``wanted`` with the offers of their messages, without those whose offer has lapsed: in ``answers`` they are unpaid."""
    acts = await with_offers(services, brand, [(act, known) for _, act, known in wanted])
    standing: list[tuple[int, Act, Customer]] = []
    for (index, _, _), (act, known) in zip(wanted, acts, strict=True):
        if is_over(act):
            answers[index] = Unpaid(act, "offer_lapsed")
        else:
            standing.append((index, act, known))
    return standing


async def _answer_unpaid(
    services: Services,
    brand: Brand,
    items: Sequence[GrantRequest | Problem],
    answers: list[Act | Unpaid | GrantAnswer | Problem],
    *,
    notes: bool,
) -> None:
    """Replace each unpaid act in ``answers`` by its answer."""
    unpaid = [
        (index, each, item.customer)
        for index, each in enumerate(answers)
        if isinstance(each, Unpaid) and isinstance(item := items[index], GrantRequest)
    ]
    for part in parts(unpaid):
        answered = await _answers_of_unpaid(services, brand, [(each, ref) for _, each, ref in part], notes=notes)
        for (index, _, _), answer in zip(part, answered, strict=True):
            answers[index] = answer


def _may_attach(principal: Principal) -> bool:
    return Scope.CUSTOMERS_WRITE in principal.scopes


async def claim(
    services: Services,
    link: ClaimedLink,
    known: Customer,
    brand: Brand,
    grade: Grade,
    received_at: datetime,
    *,
    has_receipt: bool = False,
) -> GrantAnswer:
    """Decide what a link's customer gets for claiming it, by the campaign version that the link was minted under.

    ``known`` is the customer as of now. ``has_receipt``: it is an answer that we have recorded, and no link.
    """
    decisions_in_flight = services.decisions_in_flight
    with decisions_in_flight.now:
        act, reason = await act_of_link(services, link, brand, grade, received_at, has_receipt=has_receipt)
        if act.campaign.makes_offers:
            act = await with_offer(services, brand, act, known)
            reason = reason or ("offer_lapsed" if is_over(act) else None)
        # A refusal of the channel after minting does not break the promise of the link; a refusal of all rewards does.
        refused = not promised_before_opt_out(known.refused, link.channel, link.minted_at) or has_refused(
            known.refused, ALL, received_at
        )
        reason = reason or ("consent_refused" if refused else None)
        if reason is None:
            answer = answer_of(act.campaign.campaign_no, await decide_one(services, brand, act, known))
            if act.campaign.makes_offers:
                answer = await _told_of_offer(services, brand, act, known, answer)
            if isinstance(answer, Problem):
                raise answer
            return answer
    (before,) = await decided_before(services, brand, [(act, known)])
    if before is not None:
        return await with_balance(services, brand, known, as_sibling(act, before, replay_of(before)))
    if reason == "consent_refused":
        metrics.consent_refused.labels("claim").inc()
    return ignored(reason)
