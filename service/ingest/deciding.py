"""From the events of envelopes to what became of each: they are reported as a brand's own system would report them.

    1. read       each envelope is opened and parsed; which messages the events are of is looked up for all of them
    2. consents   first, so that nothing is paid for a channel that was refused before
    3. replies    those that repeat what their customer said before are only looked up, in case they were decided
    4. reports    by the same path as ``POST /v1/grants/batch``, so the same act is one grant, whoever else reports it

Whoever takes up a batch that was killed finds its reports decided. ``since`` is when that batch began: what this source was
granted since then is its own, and everything else that was decided before is a duplicate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from ledger import GrantOutcome
from service.consents import actions as consents
from service.consents.schemas import ConsentItem
from service.customers import actions as customers
from service.customers.queries import Customer
from service.grants.actions import CHUNK, report_read
from service.grants.schemas import GrantAnswer, GrantRequest
from service.http.identifiers import parse_grant_id
from service.http.problems import Problem
from service.ingest.daily_limit import PAID, paid, report_within
from service.ingest.matching.linked_messages import linked_messages
from service.ingest.matching.sent_messages import happened_to, sent_messages
from service.ingest.meanings import FoundMessage, Meaning, NoMessage, Nothing, matched_by, meaning_of, said_in
from service.ingest.outcomes import KIND_CHARACTERS_MAX, EventOutcome
from service.ingest.repeated_replies import Reply, repeated
from service.ingest.sources import Source
from service.messages.offer_life import note_life
from service.offers.life import Stage
from service.offers.queries import makes_offers
from service.providers.types import EventKind, Fault, ProviderEvent

if TYPE_CHECKING:
    from service.services import Services


Answer: TypeAlias = GrantAnswer | Problem | Nothing


_STAGES: Mapping[EventKind, Stage] = {
    EventKind.DELIVERED: Stage.DELIVERED,
    EventKind.BOUNCED: Stage.FAILED,
    EventKind.FAILED: Stage.FAILED,
}
"""What events say of a message, other than that somebody acted."""


class ReadEvent(msgspec.Struct, frozen=True, gc=False):
    """An event, its place in its envelope, and when that came. ``posted`` is what was paid for it at an earlier reading."""

    index: int
    event: ProviderEvent
    received_at: datetime
    envelope_no: int = 0
    posted: frozenset[str] = frozenset()


class Understood(msgspec.Struct, frozen=True):
    """What events mean, in their order, when each happened by the brand's clock, and the messages that they are of."""

    received_at: datetime
    times: Sequence[datetime]
    messages: Sequence[FoundMessage | NoMessage | None]
    meanings: Sequence[Meaning]

    @property
    def reports(self) -> dict[int, GrantRequest]:
        """The acts that are to be reported, by their places."""
        return {n: each for n, each in enumerate(self.meanings) if isinstance(each, GrantRequest)}


class MayPassLater(Exception):
    """An event could not be decided now, and may be later: the batch is read again."""


def fault_outcome(fault: Fault) -> EventOutcome:
    """What becomes of an event that cannot be read."""
    return EventOutcome(fault.index or 0, "", "", "", None, "failed", f"{fault.field}: {fault.problem}"[:200])


def confirmation_outcome(problem: str | None) -> EventOutcome:
    """What becomes of a subscription that is to be confirmed."""
    outcome = "recorded" if problem is None else "failed"
    return EventOutcome(0, "confirmation", "", "", None, outcome, problem)


async def decide(
    services: Services, source: Source, read: Sequence[ReadEvent], *, remaining: int | None, since: datetime | None
) -> list[EventOutcome]:
    """What becomes of each event, in order. ``remaining`` is what the source may earn customers today."""
    if not read:
        return []
    understood = await understand(services, source, read)
    received_at, meanings, reports = understood.received_at, understood.meanings, understood.reports
    outcomes: dict[int, EventOutcome] = {
        n: _outcome(read[n], "ignored", each.reason) for n, each in enumerate(meanings) if isinstance(each, Nothing)
    }
    outcomes |= await _stated(services, source, read, meanings)
    outcomes |= await _of_offers(services, source, read, understood)
    own = {} if since is None else await _own(services, source, list(reports.values()), received_at, since)
    answers = await _paid_otherwise(services, source, read, reports, received_at)
    open_reports = {n: each for n, each in reports.items() if n not in answers}
    again = await repeated(services, source, replies_among(read, understood.messages, open_reports), received_at)
    new = {n: each for n, each in open_reports.items() if n not in again}
    answers |= zip(new, await _reported(services, source, list(new.values()), received_at, remaining, own), strict=True)
    answers |= await looked_up(services, source, {n: reports[n] for n in again}, received_at, "repeated_reply")
    seen: set[str] = set()
    for n in reports:
        outcomes[n] = _answered(read[n], answers[n], own, seen)
    matched = [matched_by(each.event, message) for each, message in zip(read, understood.messages, strict=True)]
    return [
        msgspec.structs.replace(outcomes[n], matched_by=matched[n]) if n in reports else outcomes[n] for n in range(len(read))
    ]


async def understand(services: Services, source: Source, read: Sequence[ReadEvent], *, writes: bool = True) -> Understood:
    """What events mean. Unless it ``writes``, no link is stored that was followed first, and no guess is noted."""
    # A test brand's clock may be ahead of the world's, by which providers and envelopes go.
    ahead = await services.clocks.now(source.brand) - datetime.now(UTC) if source.brand.mode == "test" else timedelta()
    received_at = min(each.received_at for each in read) + ahead
    messages = await linked_messages(services, source, [each.event for each in read], received_at, writes=writes)
    # No provider's clock is trusted to be ahead of ours.
    times = [min(each.event.occurred_at or each.received_at, each.received_at) + ahead for each in read]
    without = {n: (read[n].event, times[n]) for n, message in enumerate(messages) if message is None}
    for n, message in (await sent_messages(services, source, without, writes=writes)).items():
        messages[n] = message
    meanings = [meaning_of(source, each.event, message, at) for each, message, at in zip(read, messages, times, strict=True)]
    meanings = await _as_decided_before(services, source, read, messages, meanings, times, received_at)
    return Understood(received_at, times, messages, meanings)


async def _of_offers(
    services: Services,
    source: Source,
    read: Sequence[ReadEvent],
    understood: Understood,
) -> dict[int, EventOutcome]:
    """Note how far messages have come. Returns what becomes of events by which an offer falls back on its other messages."""
    told = {
        n: (each.event, at, stage)
        for n, (each, at) in enumerate(zip(read, understood.times, strict=True))
        # A failure that may pass says nothing.
        if (stage := _STAGES.get(each.event.kind)) is not None
        and (stage is not Stage.FAILED or each.event.permanent is not False)
    }
    if not told or not await makes_offers(services.pool, source.brand.brand_id):
        return {}
    noted = await note_life(services, source.brand, await happened_to(services, source, told, understood.messages))
    if any(each.outcome is GrantOutcome.STALE_CUSTOMER for each in noted.values()):
        raise MayPassLater("a customer was merged or split at every attempt")
    return {
        n: _outcome(read[n], "recorded" if each.is_new else "duplicate", "offer_fell_back")
        for n, each in noted.items()
        if each.outcome is None
    }


async def _as_decided_before(
    services: Services,
    source: Source,
    read: Sequence[ReadEvent],
    messages: list[FoundMessage | NoMessage | None],
    meanings: Sequence[Meaning],
    times: Sequence[datetime],
    received_at: datetime,
) -> list[Meaning]:
    """The meanings, but for acts that were decided before their message was registered: those stay what they were."""
    before = {
        n: was
        for n, (message, meaning) in enumerate(zip(messages, meanings, strict=True))
        if isinstance(meaning, GrantRequest)
        and isinstance(message, FoundMessage)
        and message.matched_by == "provider_id"
        and isinstance(was := meaning_of(source, read[n].event, None, times[n]), GrantRequest)
    }
    decided = list(meanings)
    known = await customers.find_each(services, source.brand, [was.customer for was in before.values()]) if before else []
    # Whom nobody knows has nothing that was decided, and is to be no customer for having been asked about.
    asked = {n: was for (n, was), who in zip(before.items(), known, strict=True) if isinstance(who, Customer)}
    numbers = list(asked)
    for start in range(0, len(numbers), CHUNK):
        part = numbers[start : start + CHUNK]
        answers = await report_read(services, source.principal, [asked[n] for n in part], received_at, may_pay=False)
        for n, answer in zip(part, answers, strict=True):
            if isinstance(answer, GrantAnswer) and answer.replayed:
                decided[n], messages[n] = asked[n], None
    return decided


def replies_among(
    read: Sequence[ReadEvent], messages: Sequence[FoundMessage | NoMessage | None], reports: Mapping[int, GrantRequest]
) -> dict[int, Reply]:
    """The reports that are of replies."""
    return {
        n: Reply(read[n].event.natural_key, said_in(read[n].event), request, isinstance(messages[n], FoundMessage))
        for n, request in reports.items()
        if read[n].event.kind is EventKind.REPLIED
    }


async def _paid_otherwise(
    services: Services,
    source: Source,
    read: Sequence[ReadEvent],
    reports: Mapping[int, GrantRequest],
    received_at: datetime,
) -> dict[int, Answer]:
    """The answers to reports of events for which something was paid: what was decided on them, or that they were paid as
    another act. Not if an event of the same envelope is that act now: then this one was taken for a copy of it.
    """
    before = {n: each for n, each in reports.items() if read[n].posted}
    found = await looked_up(services, source, before, received_at, "needs_correction")
    kept = {(read[n].envelope_no, each.grant_id) for n, each in found.items() if isinstance(each, GrantAnswer)}
    return {
        n: each
        for n, each in found.items()
        if not isinstance(each, Nothing) or any((read[n].envelope_no, grant) not in kept for grant in read[n].posted)
    }


async def looked_up(
    services: Services, source: Source, reports: Mapping[int, GrantRequest], received_at: datetime, reason: str
) -> dict[int, Answer]:
    """What was decided on reports that are not paid now, else why they are not."""
    numbers = sorted(reports)
    answers: dict[int, Answer] = {}
    for start in range(0, len(numbers), CHUNK):
        part = numbers[start : start + CHUNK]
        found = await report_read(services, source.principal, [reports[n] for n in part], received_at, may_pay=False)
        for n, answer in zip(part, found, strict=True):
            is_decided = isinstance(answer, GrantAnswer) and answer.replayed
            answers[n] = answer if is_decided else Nothing(reason)
    return answers


async def _reported(
    services: Services,
    source: Source,
    reports: Sequence[GrantRequest],
    received_at: datetime,
    remaining: int | None,
    own: Mapping[str, int],
) -> list[GrantAnswer | Problem]:
    """The answer to each report. What the batch was granted before it was killed counts towards the limit already."""
    answers: list[GrantAnswer | Problem] = []
    left = None if remaining is None else max(0, remaining - sum(own.values()))
    for start in range(0, len(reports), CHUNK):
        part = await report_within(services, source, reports[start : start + CHUNK], received_at, remaining=left)
        answers += part
        left = None if left is None else left - sum(paid(each) for each in part)
    return answers


async def _stated(
    services: Services, source: Source, read: Sequence[ReadEvent], meanings: Sequence[Meaning]
) -> dict[int, EventOutcome]:
    """Record statements about consent."""
    said = [(n, each) for n, each in enumerate(meanings) if isinstance(each, ConsentItem)]
    if not said:
        return {}
    now = await services.clocks.now(source.brand)
    answers = await consents.record_many(services, source.principal, [each for _, each in said], now=now)
    outcomes: dict[int, EventOutcome] = {}
    for (n, item), answer in zip(said, answers, strict=True):
        if isinstance(answer, Problem):
            outcomes[n] = _failed(read[n], answer)
        else:
            outcomes[n] = _outcome(read[n], "recorded" if answer.recorded else "duplicate", item.reason or item.status)
    return outcomes


async def _own(
    services: Services, source: Source, reports: Sequence[GrantRequest], received_at: datetime, since: datetime
) -> dict[str, int]:
    """The grants of the batch that this one takes up, each with what it paid."""
    before: list[GrantAnswer | Problem] = []
    for start in range(0, len(reports), CHUNK):
        before += await report_read(services, source.principal, reports[start : start + CHUNK], received_at, may_pay=False)
    paid_for = {each.grant_id: each for each in before if isinstance(each, GrantAnswer) and each.replayed}
    names = {grant: parsed for grant in paid_for if grant is not None and (parsed := parse_grant_id(grant)) is not None}
    events = await services.events.get_many({(source.brand.book, *name) for name in names.values()})
    return {
        grant: paid_for[grant].points if paid_for[grant].outcome in PAID else 0
        for grant, name in names.items()
        if (event := events.get((source.brand.book, *name))) is not None
        and event.source == source.id
        and event.decided_at >= since
    }


def _answered(read: ReadEvent, answer: Answer, own: Mapping[str, int], seen: set[str]) -> EventOutcome:
    if isinstance(answer, Nothing):
        grant = min(read.posted) if answer.reason == "needs_correction" else None
        return _outcome(read, "ignored", answer.reason, grant)
    if isinstance(answer, Problem):
        return _failed(read, answer)
    grant = answer.grant_id
    is_first = grant is not None and grant in own and grant not in seen
    if grant is not None:
        seen.add(grant)
    if answer.replayed and not is_first:
        return _outcome(read, "duplicate", answer.reason, grant)
    points = answer.points if answer.outcome in PAID else 0
    return _outcome(read, answer.outcome, answer.reason, grant, points)


def _failed(read: ReadEvent, problem: Problem) -> EventOutcome:
    if problem.spec.retryable:
        raise MayPassLater from problem
    return _outcome(read, "failed", problem.code)


def _outcome(
    read: ReadEvent, outcome: str, reason: str | None = None, grant: str | None = None, points: int = 0
) -> EventOutcome:
    event = read.event
    return EventOutcome(
        index=read.index,
        kind=event.kind.value,
        word=event.provider_kind[:KIND_CHARACTERS_MAX],
        channel=event.channel[:KIND_CHARACTERS_MAX],
        occurred_at=event.occurred_at,
        outcome=outcome,  # pyright: ignore[reportArgumentType]
        reason=reason,
        grant=grant,
        points=points,
    )
