"""Replays on the wire: what was asked for, what a dry run found, and what is corrected by it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from service.http.bodies import Body, Identifier
from service.http.identifiers import customer_id
from service.ingest.replays.comparing import Change, Line

DeliveryNumber = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
Mode = Literal["replay", "dry_run", "correction"]


class ReplayRequest(Body, frozen=True):
    """Deliveries to be read again."""

    first: DeliveryNumber
    """The number of the first delivery."""
    last: DeliveryNumber | None = None
    """The number of the last delivery. Absent: the first alone."""
    dry_run: bool = False
    """True: only see what would become of them now. Nothing is granted, and no consent is changed."""

    example: ClassVar[dict[str, Any]] = {"first": 1, "last": 200}


class ReplayTotals(msgspec.Struct, frozen=True):
    """What a dry run found, in events and points."""

    events: int
    """How many events it has looked at."""
    same: int
    """Events that are what they were."""
    new: int
    """Events that were never paid, and would be decided now: a replay does that."""
    changed: int
    """Events of which something else is told, and nothing is posted."""
    rekeyed: int
    """Events that were paid as one act and would be another now. A replay leaves them; a correction puts them right."""
    no_longer: int
    """Grants of events that would be nothing that is paid now. A replay leaves them; a correction takes them back."""
    new_points: int
    """What customers would be granted for `new` ones, each act once, and as if it came alone."""
    taken_points: int
    """What a correction would take back."""
    given_points: int
    """What a correction would grant instead, each act once, and as if it came alone."""


class ReplayResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Deliveries that are read again."""

    replay: int
    """The number of the replay, as the readings of deliveries have it."""
    mode: Mode
    """`replay`; `dry_run`, which posts nothing; `correction` by a dry run."""
    first: int
    """The first delivery."""
    last: int
    """The last delivery."""
    read: int
    """How many of them have been read."""
    mapping: int
    """The source's `mapping` when it was asked for."""
    totals: ReplayTotals | None
    """What a dry run found, once it is done; otherwise null."""
    corrects: int | None
    """The dry run whose lines a correction carries out; otherwise null."""
    error: str | None
    """Why it was given up; null if it was not."""
    asked_at: datetime
    """When it was asked for."""
    done_at: datetime | None
    """When the last was read; null: not yet."""


class ReplayDifferenceResponse(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a dry run: what became of it, and what would now."""

    delivery: int
    """The number of the delivery."""
    index: int | None
    """Its place in the request, from 0; null: the request has its events elsewhere now, and this grant is of one of them."""
    change: Change
    """`same`; `new`: never paid, and decided now; `changed`: told otherwise, nothing is posted; `rekeyed`: paid as one act, and
    another now; `no_longer`: paid, and nothing that is paid now. Of the last two a replay changes nothing."""
    kind: str
    """What happened, as it is read now, such as `clicked`."""
    then_outcome: str | None
    """What became of it at its last reading; null: it was not read, or not as this event."""
    then_reason: str | None
    """Why."""
    then_grant_id: str | None
    """The grant that was posted for it, or found."""
    then_points: int
    """What that grant paid."""
    now_outcome: str | None
    """What would become of it now; null: nothing."""
    now_reason: str | None
    """Why."""
    now_grant_id: str | None
    """The grant that there is for what it would be now."""
    now_points: int
    """What it would be granted now, as if it came alone."""
    campaign: str | None
    """The campaign that it would count for."""
    customer: str | None
    """Whose it would be, or else was; null: nobody known."""
    taken_back: bool
    """Whether a correction takes its grant back: once for each, and not if another event is still that act, or if somebody else
    reported it first."""
    correction: Literal["begun", "outdated"] | None
    """Of a correction: `begun`, and carried out; or left out as `outdated`, because something had changed since the dry run."""

    @classmethod
    def of(cls, line: Line, *, taken_back: bool, state: Any) -> ReplayDifferenceResponse:
        """Describe a line."""
        return cls(
            delivery=line.envelope_no,
            index=line.index,
            change=line.change,
            kind=line.kind,
            then_outcome=line.then_outcome,
            then_reason=line.then_reason,
            then_grant_id=line.then_grant,
            then_points=line.then_points,
            now_outcome=line.now_outcome,
            now_reason=line.now_reason,
            now_grant_id=line.now_grant,
            now_points=line.now_points,
            campaign=line.campaign,
            customer=None if line.customer is None else customer_id(line.customer),
            taken_back=taken_back,
            correction=state,
        )


class ReplayCorrectionRequest(Body, frozen=True):
    """Why what a dry run found is corrected."""

    reason: Identifier
    """Why, for your reports and the audit trail, such as `wrong_mapping`. It is kept for ever: no personal data."""

    example: ClassVar[dict[str, Any]] = {"reason": "wrong_mapping"}


class CorrectReplay(Body, frozen=True):
    """What another person approves: a dry run, and by its hash every line of it."""

    source: str
    """The source."""
    dry_run: int
    """The number of the dry run."""
    first: int
    """The first delivery."""
    last: int
    """The last delivery."""
    mapping: int
    """The source's mapping by which it was found."""
    reason: str
    """Why."""
    rekeyed: int
    """Events that were paid as one act and are another."""
    no_longer: int
    """Grants of events that are nothing that is paid."""
    taken_points: int
    """What is taken back."""
    given_points: int
    """What is granted instead."""
    lines_sha256: str
    """The SHA-256 of what is to be carried out, line by line."""

    example: ClassVar[dict[str, Any]] = {
        "source": "src_1",
        "dry_run": 7,
        "first": 1,
        "last": 200,
        "mapping": 2,
        "reason": "wrong_mapping",
        "rekeyed": 12,
        "no_longer": 1,
        "taken_points": 325,
        "given_points": 300,
        "lines_sha256": "5d" * 32,
    }
