"""What became of the events of an envelope, and what would become of them now, event by event.

same       the same act, or as little as before
new        an act that was never paid is decided
changed    no points move, but it is told otherwise
rekeyed    it was paid as one act, and would be another now
no_longer  it was paid, and would be nothing that is paid now
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from ledger import Event
from service.ingest.outcomes import EventOutcome
from service.ingest.replays.posted import Posted
from service.ingest.replays.previews import Preview

Change = Literal["same", "new", "changed", "rekeyed", "no_longer"]
CORRECTED: frozenset[Change] = frozenset({"rekeyed", "no_longer"})
"""What only a correction changes."""


class Now(msgspec.Struct, frozen=True):
    """An event of an envelope as it is read now."""

    index: int
    kind: str
    preview: Preview


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What was and what would be. ``left_points`` could be taken back; ``None``: somebody else reported the grant first."""

    envelope_no: int
    line: int
    index: int | None
    change: Change
    kind: str
    then_outcome: str | None = None
    then_reason: str | None = None
    then_grant: str | None = None
    then_points: int = 0
    left_points: int | None = None
    now_outcome: str | None = None
    now_reason: str | None = None
    now_grant: str | None = None
    now_points: int = 0
    act: bytes | None = None
    campaign: str | None = None
    customer: int | None = None


def compared(envelope_no: int, events: Sequence[Now], posted: Posted, paid: Mapping[str, Event]) -> list[Line]:
    """The lines of an envelope."""
    kept = {each.preview.grant for each in events if each.preview.grant is not None}
    loose = sorted(posted.loose - kept)
    lines: list[Line] = []
    for each in events:
        mine = sorted(posted.by_index.get(each.index, frozenset()) - kept)
        if not mine and loose and each.preview.would_post:
            mine = [loose.pop(0)]
        lines.append(_line(envelope_no, each, posted.told.get(each.index), mine[0] if mine else None))
        lines += [_left_over(envelope_no, each.index, each.kind, grant) for grant in mine[1:]]
    lines += [_left_over(envelope_no, None, "", grant) for grant in loose]
    return list(_numbered(lines, paid))


def _line(envelope_no: int, event: Now, told: EventOutcome | None, grant: str | None) -> Line:
    now = event.preview
    then = (None, None) if told is None else (told.outcome, told.reason)
    return Line(
        envelope_no=envelope_no,
        line=0,
        index=event.index,
        change=_change(now, told, grant),
        kind=event.kind,
        then_outcome=then[0],
        then_reason=then[1],
        then_grant=grant or (None if told is None else told.grant),
        now_outcome=now.outcome,
        now_reason=now.reason,
        now_grant=now.grant,
        now_points=now.points if now.would_post else 0,
        act=now.act,
        campaign=now.campaign,
        customer=now.customer,
    )


def _change(now: Preview, told: EventOutcome | None, grant: str | None) -> Change:
    if grant is not None:
        return "rekeyed" if now.would_post else "no_longer"
    if now.would_post:
        return "new"
    if told is not None and (now.grant is not None or _is_told_so(now, told)) and told.grant == now.grant:
        return "same"
    return "changed"


def _is_told_so(now: Preview, told: EventOutcome) -> bool:
    is_statement = now.outcome == "recorded" and told.outcome in {"recorded", "duplicate"}
    return is_statement or (now.outcome, now.reason) == (told.outcome, told.reason)


def _left_over(envelope_no: int, index: int | None, kind: str, grant: str) -> Line:
    return Line(envelope_no=envelope_no, line=0, index=index, change="no_longer", kind=kind, then_grant=grant)


def _numbered(lines: Sequence[Line], paid: Mapping[str, Event]) -> Iterator[Line]:
    for number, each in enumerate(lines):
        event = None if each.then_grant is None else paid.get(each.then_grant)
        yield msgspec.structs.replace(
            each,
            line=number,
            then_points=0 if event is None else event.points,
            customer=each.customer if event is None or each.customer is not None else event.customer,
        )
