"""A campaign's grants, gathered as the lines of a job: newest first, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy.dialects.postgresql import insert

from ledger import ActFilter, Event, GrantOutcome, Position
from service.approvals.kinds import Tools
from service.brands.brand import Brand
from service.corrections.jobs import queries
from service.corrections.jobs.queries import Job, Line
from service.corrections.jobs.schemas import LINES_MAX, GrantSelection
from service.corrections.jobs.tables import correction_line as lines
from service.http.identifiers import parse_position, position
from service.storage.leases import leased

_AT_ONCE = 500
_TOO_MANY = f"there are more than {LINES_MAX:,} such grants: order several, of parts of the time"


async def gather(tools: Tools, brand: Brand, job: Job) -> bool:
    """Gather a page of the grants that a job is about, and say whether the job is still the caller's."""
    selection, campaign_no = job.selection, job.campaign_no
    assert selection is not None
    found, following = await tools.ledger.find_events(
        brand.book,
        campaign_no=campaign_no,
        outcomes=[GrantOutcome.GRANTED, GrantOutcome.HELD_BACK],
        act=ActFilter(action=selection.action, channel=selection.channel),
        before=None if job.gathered_to is None else parse_position(job.gathered_to),
        limit=_AT_ONCE,
    )
    page = [event for event in found if _is_selected(event, selection)]
    if job.lines + len(page) > LINES_MAX:
        return await queries.change(tools.engine, job, status="failed", error=_TOO_MANY, ended_at=queries.NOW)
    is_over = following is None or (bool(found) and selection.from_ is not None and found[-1].decided_at < selection.from_)
    return await _keep(tools, job, page, None if is_over else following)


def _is_selected(event: Event, selection: GrantSelection) -> bool:
    return (
        selection.version in {None, event.campaign_version}
        and (selection.from_ is None or event.decided_at >= selection.from_)
        and (selection.to is None or event.decided_at < selection.to)
    )


async def _keep(tools: Tools, job: Job, page: Sequence[Event], following: Position | None) -> bool:
    """Store a page, and how far it goes, together: so whoever goes on neither misses a grant nor has one twice."""
    rows = [
        {"job_no": job.job_no, **msgspec.structs.asdict(_line(number, event))}
        for number, event in enumerate(page, job.lines + 1)
    ]
    columns = {"status": "checking"} if following is None else {"gathered_to": position(following)}
    async with tools.engine.begin() as connection:
        changed = queries.ours(job).values(lines=job.lines + len(rows), leased_until=leased(), **columns)
        if (await connection.execute(changed)).rowcount != 1:
            return False
        if rows:
            await connection.execute(insert(lines), rows)
    return True


def _line(number: int, event: Event) -> Line:
    return Line(number, "clawback", event.campaign_no, event.key, event.customer, None)
