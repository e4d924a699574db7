"""What each event of an envelope has posted before, at any reading: that it is not paid again under another key."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from ledger import Event, GrantOutcome
from service.http.identifiers import parse_grant_id
from service.ingest.outcomes import EventOutcome, unpacked
from service.ingest.sources import Source

if TYPE_CHECKING:
    from service.services import Services

_READINGS = """
SELECT envelope_no, mapping, outcomes FROM rewards.envelope_outcome
WHERE source_no = $1 AND envelope_no = ANY ($2) ORDER BY envelope_no, replay_no
"""
PAID = frozenset({GrantOutcome.GRANTED, GrantOutcome.HELD_BACK, GrantOutcome.WAITING})
"""What is paid, or may be."""


class Posted(msgspec.Struct, frozen=True):
    """What was paid for an envelope's events: by their places, and what was paid when they were numbered otherwise.

    ``told`` is what became of each event at its last reading.
    """

    by_index: Mapping[int, frozenset[str]] = {}
    loose: frozenset[str] = frozenset()
    told: Mapping[int, EventOutcome] = {}

    def of(self, index: int) -> frozenset[str]:
        """What was paid for an event, or may have been."""
        return self.by_index.get(index, frozenset()) | self.loose


NOTHING = Posted()


async def posted_for(
    services: Services, source: Source, envelopes: Collection[int]
) -> tuple[dict[int, Posted], dict[str, Event]]:
    """What was paid for each of ``envelopes``, by its number, and the grants themselves, by their ids."""
    rows = await services.pool.fetch(_READINGS, source.source_no, sorted(envelopes))
    readings = [(row["envelope_no"], row["mapping"] >= source.numbered_since, unpacked(row["outcomes"])) for row in rows]
    grants = {each.grant for *_, outcomes in readings for each in outcomes if each.grant is not None}
    paid = await _paid(services, source, grants)
    by_envelope: dict[int, list[tuple[bool, list[EventOutcome]]]] = defaultdict(list)
    for envelope_no, is_numbered_so, outcomes in readings:
        by_envelope[envelope_no].append((is_numbered_so, outcomes))
    return {envelope_no: _posted(each, paid) for envelope_no, each in by_envelope.items()}, paid


def _posted(readings: Sequence[tuple[bool, Sequence[EventOutcome]]], paid: Mapping[str, Event]) -> Posted:
    by_index: dict[int, set[str]] = defaultdict(set)
    loose: set[str] = set()
    told: dict[int, EventOutcome] = {}
    for is_numbered_so, outcomes in readings:
        for each in outcomes:
            if is_numbered_so:
                told[each.index] = each
            if each.grant is not None and each.grant in paid and each.reason != "needs_correction":
                (by_index[each.index] if is_numbered_so else loose).add(each.grant)
    return Posted({index: frozenset(grants) for index, grants in by_index.items()}, frozenset(loose), told)


async def _paid(services: Services, source: Source, grants: Collection[str]) -> dict[str, Event]:
    book = source.brand.book
    names = {grant: (book, *parsed) for grant in grants if (parsed := parse_grant_id(grant)) is not None}
    events = await services.events.get_many(set(names.values())) if names else {}
    found = {grant: events[name] for grant, name in names.items() if name in events}
    return {grant: event for grant, event in found.items() if event.outcome in PAID}
