"""What an act would earn now, and what caps and budget leave: a report's own decision, without the report.

The act is read, its customer looked up and the order made by the same code as a report; the ledger says what it would decide.
Nobody is created, nothing is recorded. The one thing that may be written is a merge or split of the customer that the book has
yet to follow, which any look at a customer finishes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from ledger import Event, GrantOutcome, GrantQuote
from service.auth.principal import Principal
from service.brands.brand import Brand
from service.customers import actions as customers
from service.customers.queries import Customer
from service.grants.acts import Act, Unpaid, read_acts
from service.grants.answers import UNRECORDED, replay_of
from service.grants.consent import opted_out_uncounted
from service.grants.deciding import ATTEMPTS, merging_now, refresh_moved, with_offers
from service.grants.orders import order_of
from service.grants.quotes.schemas import CapLeft, GrantQuoteAnswer, GrantQuoteRequest
from service.grants.replays import as_sibling, is_over, replays
from service.grants.schemas import DECIDED, GrantAnswer, GrantRequest, Reason
from service.http.problems import Problem

if TYPE_CHECKING:
    from service.services import Services


async def quote(
    services: Services, principal: Principal, items: Sequence[GrantQuoteRequest | Problem], *, received_at: datetime
) -> list[GrantQuoteAnswer | Problem]:
    """Say what each item would earn if it alone were reported now, in order."""
    brand = principal.brand
    answers: dict[int, GrantQuoteAnswer | Problem] = {}
    acts: list[tuple[int, Act | Unpaid, GrantRequest]] = []
    reports = [item if isinstance(item, Problem) else item.as_report() for item in items]
    read_of_each = await read_acts(services, principal, reports, received_at)
    for index, (read, report) in enumerate(zip(read_of_each, reports, strict=True)):
        if isinstance(read, Problem):
            answers[index] = read
        elif isinstance(read, GrantAnswer):
            assert read.reason is not None
            answers[index] = _ignored(read.reason)
        else:
            assert not isinstance(report, Problem)
            acts.append((index, read, report))
    wanted: list[tuple[int, Act, Customer]] = []
    doubtful: list[tuple[int, Unpaid, Customer | Problem]] = []
    people = await customers.resolve(services, brand, [item.customer for _, _, item in acts], dry_run=True)
    for (index, read, _), known in zip(acts, people, strict=True):
        if isinstance(read, Unpaid):
            doubtful.append((index, read, known))
        elif isinstance(known, Problem):
            answers[index] = known
        else:
            wanted.append((index, read, known))
    excluded = await opted_out_uncounted(services, brand, [(act, known) for _, act, known in wanted])
    for n in excluded:
        answers[wanted[n][0]] = _ignored("consent_refused")
    wanted = [each for n, each in enumerate(wanted) if n not in excluded]
    offered = await with_offers(services, brand, [(act, known) for _, act, known in wanted])
    quotes = await _quotes(services, brand, offered)
    for (index, _, _), (act, known), quoted in zip(wanted, offered, quotes, strict=True):
        if is_over(act) or (act.offer is not None and quoted.replayed):
            # Which act was decided is looked up.
            doubtful.append((index, Unpaid(act, "offer_lapsed"), known))
        elif act.was_paid_for:
            doubtful.append((index, Unpaid(act, "no_rule"), known))
        else:
            answers[index] = _answer(act, quoted)
    answers |= await _replays(services, brand, doubtful)
    return [answers[index] for index in range(len(items))]


async def _replays(
    services: Services, brand: Brand, doubtful: Sequence[tuple[int, Unpaid, Customer | Problem]]
) -> dict[int, GrantQuoteAnswer | Problem]:
    """What was decided before on acts that would not be decided now, or why they would not be, by index."""
    answers: dict[int, GrantQuoteAnswer | Problem] = {index: _ignored(unpaid.reason) for index, unpaid, _ in doubtful}
    known = [(index, unpaid.act, known) for index, unpaid, known in doubtful if not isinstance(known, Problem)]
    acts = await with_offers(services, brand, [(act, person) for _, act, person in known])
    before = await replays(services, brand, acts)
    for (index, _, _), (act, _), replay in zip(known, acts, before, strict=True):
        if replay is not None:
            is_siblings = as_sibling(act, replay[0], replay_of(replay[0])).reason == "offer_claimed"
            answers[index] = _ignored("offer_claimed") if is_siblings else _replay(act, *replay)
    return answers


async def _quotes(services: Services, brand: Brand, wanted: Sequence[tuple[Act, Customer]]) -> list[GrantQuote]:
    """What the ledger would decide on each act, in order; a stale customer is refreshed, as for a report."""
    ledger = services.ledger
    people = [known for _, known in wanted]
    for _ in range(ATTEMPTS):
        # All in one statement, so that all are of one instant.
        quotes = await ledger.quotes([order_of(act, brand, known) for (act, _), known in zip(wanted, people, strict=True)])
        moved = [index for index, quoted in enumerate(quotes) if quoted.outcome is GrantOutcome.STALE_CUSTOMER]
        if not moved:
            return quotes
        await refresh_moved(services, brand, people, moved)
    raise merging_now()


def _answer(act: Act, quoted: GrantQuote) -> GrantQuoteAnswer:
    reason = UNRECORDED.get(quoted.outcome)
    if reason is not None:
        return _ignored(reason)
    outcome, reason = DECIDED[quoted.outcome]
    campaign = act.campaign
    covering = [(place, cap) for place, cap in enumerate(campaign.caps) if cap.covers(act.action, act.channel)]
    return GrantQuoteAnswer(
        outcome=outcome,
        reason=reason,
        points=quoted.points,
        replayed=quoted.replayed,
        campaign_version=campaign.version,
        caps=[
            CapLeft(
                cap=place,
                per=cap.per,
                window=cap.window,
                action=cap.action,
                channel=cap.channel,
                max_grants=cap.max_grants,
                store_id=act.store if cap.per == "store" else None,
                max_points=cap.points_for(act.store),
                grants_left=room.grants_left,
                points_left=room.points_left,
            )
            for (place, cap), room in zip(covering, quoted.caps, strict=True)
        ],
        budget_left=quoted.budget_left,
        balance=quoted.balance,
        as_of=quoted.seq,
    )


def _replay(act: Act, event: Event, points: int, seq: int) -> GrantQuoteAnswer:
    outcome, reason = DECIDED[event.outcome]
    return GrantQuoteAnswer(
        outcome=outcome,
        reason=reason,
        points=event.points,
        replayed=True,
        campaign_version=act.campaign.version,
        caps=[],
        budget_left=None,
        balance=points,
        as_of=seq,
    )


def _ignored(reason: Reason) -> GrantQuoteAnswer:
    return GrantQuoteAnswer(
        outcome="ignored",
        reason=reason,
        points=0,
        replayed=False,
        campaign_version=None,
        caps=[],
        budget_left=None,
        balance=None,
        as_of=None,
    )
