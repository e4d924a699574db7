"""What would become of events if they were read now, each as if it came alone. Nothing is written.

An act is known by a keyed hash of what was reported, so that it is the same whether or not its customer has a number yet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from ledger import Event
from service.customers import actions as customers
from service.customers.queries import Customer
from service.grants.acts import Act, Unpaid, read_acts
from service.grants.deciding import with_offers
from service.grants.quotes.actions import quote
from service.grants.quotes.schemas import GrantQuoteAnswer, GrantQuoteRequest
from service.grants.replays import decided_before
from service.grants.schemas import GrantRequest
from service.http.identifiers import grant_id
from service.http.problems import Problem
from service.ingest.deciding import MayPassLater, ReadEvent, replies_among, understand
from service.ingest.meanings import Nothing
from service.ingest.repeated_replies import repeated
from service.ingest.sources import Source

if TYPE_CHECKING:
    from service.services import Services

QUOTED_AT_ONCE = 100
DUPLICATE = "duplicate"


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of an event. ``grant`` is the decision there is on its act; ``customer`` whose act it is, if known."""

    outcome: str
    reason: str | None = None
    points: int = 0
    grant: str | None = None
    act: bytes | None = None
    campaign: str | None = None
    customer: int | None = None

    @property
    def would_post(self) -> bool:
        """Whether it would be decided now."""
        return self.act is not None and self.grant is None and self.outcome in {"granted", "held_back", "waiting", "refused"}


async def previews(services: Services, source: Source, read: Sequence[ReadEvent]) -> list[Preview]:
    """What would become of each event, in order."""
    if not read:
        return []
    understood = await understand(services, source, read, writes=False)
    reports, received_at = understood.reports, understood.received_at
    decided = await _decided(services, source, reports, understood.received_at)
    open_reports = {n: each for n, each in reports.items() if decided[n].grant is None}
    replies = replies_among(read, understood.messages, open_reports)
    again = await repeated(services, source, replies, received_at, writes=False)
    quoted = {n: each for n, each in open_reports.items() if n not in again}
    found = decided | {n: msgspec.structs.replace(decided[n], outcome="ignored", reason="repeated_reply") for n in again}
    numbers = list(quoted)
    for start in range(0, len(numbers), QUOTED_AT_ONCE):
        part = numbers[start : start + QUOTED_AT_ONCE]
        asked = [GrantQuoteRequest(**msgspec.structs.asdict(quoted[n])) for n in part]
        answers = await quote(services, source.principal, asked, received_at=received_at)
        found |= {n: _quoted(decided[n], answer) for n, answer in zip(part, answers, strict=True)}
    return [found[n] if n in found else _unreported(each) for n, each in enumerate(understood.meanings)]


def _unreported(meaning: object) -> Preview:
    """What becomes of an event that reports no act."""
    if isinstance(meaning, Nothing):
        return Preview(outcome="ignored", reason=meaning.reason)
    return Preview(outcome="recorded")


def _quoted(preview: Preview, answer: GrantQuoteAnswer | Problem) -> Preview:
    if isinstance(answer, Problem):
        if answer.spec.retryable:
            raise MayPassLater from answer
        return msgspec.structs.replace(preview, outcome="failed", reason=answer.code)
    return msgspec.structs.replace(preview, outcome=answer.outcome, reason=answer.reason, points=answer.points)


async def _decided(
    services: Services, source: Source, reports: Mapping[int, GrantRequest], received_at: datetime
) -> dict[int, Preview]:
    """The act of each report, with the decision that there is on it."""
    if not reports:
        return {}
    items = list(reports.values())
    acts = await read_acts(services, source.principal, items, received_at)
    people = await customers.resolve(services, source.brand, [item.customer for item in items], dry_run=True)
    known: dict[int, tuple[Act, Customer]] = {}
    for n, act, who in zip(reports, acts, people, strict=True):
        if isinstance(act, Act | Unpaid) and isinstance(who, Customer):
            known[n] = (act.act if isinstance(act, Unpaid) else act, who)
    known = dict(zip(known, await with_offers(services, source.brand, list(known.values())), strict=True))
    events = dict(zip(known, await decided_before(services, source.brand, list(known.values())), strict=True))
    return {n: _preview(services, item, known.get(n), events.get(n)) for n, item in reports.items()}


def _preview(services: Services, item: GrantRequest, known: tuple[Act, Customer] | None, event: Event | None) -> Preview:
    who = None if known is None else known[1].customer or None
    return Preview(
        outcome="ignored" if event is None else DUPLICATE,
        points=0,
        grant=None if event is None else grant_id(event.campaign_no, event.key),
        act=_act(services, item),
        campaign=item.campaign,
        customer=who,
    )


def _act(services: Services, item: GrantRequest) -> bytes:
    said = [item.campaign, item.message_id, item.action, item.channel, item.link, msgspec.to_builtins(item.customer)]
    key = services.replayed_act_key
    return hashlib.blake2b(msgspec.json.encode(said), digest_size=16, key=key, person=b"replayed act").digest()
