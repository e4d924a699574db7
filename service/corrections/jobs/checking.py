"""What each line of a job would do now. Nothing is posted.

A line of a list that is wrong is refused, and its job cannot be started. Of a campaign's grants those that cannot be corrected,
or need not be, are skipped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from sqlalchemy import bindparam, distinct, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import ClawBackOutcome, ClawBackQuote
from service.approvals.kinds import Tools
from service.brands.brand import Brand
from service.corrections.actions import refusal
from service.corrections.jobs import queries
from service.corrections.jobs.fingerprint import fingerprint
from service.corrections.jobs.queries import Job, Line
from service.corrections.jobs.tables import correction_line as lines
from service.corrections.reasons import list_reasons
from service.customers.tables import customer as customers
from service.customers.tombstones import customer_erased
from service.http.problems import Problem, invalid_field
from service.storage.leases import leased

AT_ONCE = 200
_TWICE = text((Path(__file__).with_name("lines_named_twice.sql")).read_text())

Grant = tuple[int, bytes]

_CHECKED = ("kind", "customer", "points", "state", "expected", "expected_shortfall", "code", "detail")
"""What a check says of a line."""


class Known(NamedTuple):
    """What is known of the lines of a page."""

    quotes: Mapping[Grant, ClawBackQuote]
    given: Mapping[Grant, int]
    """What other jobs have given for grants."""
    spendable: Mapping[int, int]
    """What customers can spend whom points are taken from."""
    erased: set[int]
    gives: bool
    """Whether the reason has a budget that pays."""


async def check(tools: Tools, brand: Brand, job: Job) -> bool:
    """Check a page of a job's lines, or end the check; and say whether the job is still the caller's."""
    if job.checked == 0 and job.campaign_no is None:
        await _refuse_twice(tools.engine, job)
    page = await queries.list_lines(tools.engine, job.job_no, after=job.checked, limit=AT_ONCE)
    if not page:
        return await _end(tools.engine, job)
    fresh = [line for line in page if line.state == "new"]
    known = await _look(tools, brand, job, fresh)
    checked = [_checked(job, line, known) for line in fresh]
    return await _keep(tools.engine, job, checked, page[-1].line_no)


async def _look(tools: Tools, brand: Brand, job: Job, page: Sequence[Line]) -> Known:
    grants = [line.grant for line in page if line.grant is not None]
    quotes = dict(zip(grants, await tools.ledger.claw_back_quotes(brand.book, grants), strict=True)) if grants else {}
    there = {grant: quote for grant, quote in quotes.items() if quote is not None}
    debited = {line.customer for line in page if line.grant is None and line.customer is not None and (line.points or 0) < 0}
    people = {line.customer for line in page if line.customer is not None} | {quote.customer for quote in there.values()}
    (reason,) = [each for each in await list_reasons(tools.engine, job.brand_id) if each.code == job.reason]
    return Known(
        quotes=there,
        given=await _given(tools.engine, job, grants) if job.campaign_no is not None else {},
        spendable=await _spendable(tools, brand, debited),
        erased=await _erased(tools.engine, people),
        gives=reason.campaign is not None,
    )


async def _given(engine: AsyncEngine, job: Job, grants: Sequence[Grant]) -> dict[Grant, int]:
    """What jobs have given before for grants that were too small."""
    before = (
        select(lines.c.event_key, func.sum(lines.c.moved))
        .where(lines.c.campaign_no == job.campaign_no, lines.c.event_key.in_([key for _, key in grants]))
        .where(lines.c.kind == "adjustment", lines.c.state == "done")
        .group_by(lines.c.event_key)
    )
    async with engine.connect() as connection:
        return {(grants[0][0], key): int(points) for key, points in await connection.execute(before)}


async def _refuse_twice(engine: AsyncEngine, job: Job) -> None:
    """Refuse the lines that name a grant or a customer that a line before them has named."""
    async with engine.begin() as connection:
        await connection.execute(_TWICE, {"job_no": job.job_no})


async def _spendable(tools: Tools, brand: Brand, numbers: set[int]) -> dict[int, int]:
    """What customers can spend, or whoever they were merged into."""
    if not numbers:
        return {}
    balances = await tools.ledger.balances([(brand.book, number) for number in sorted(numbers)])
    moved = {number: balance.moved_to for (_, number), balance in balances.items() if balance.moved_to is not None}
    survivors = await _spendable(tools, brand, set(moved.values()))
    spendable = {number: balance.spendable for (_, number), balance in balances.items()}
    return spendable | {number: survivors.get(survivor, 0) for number, survivor in moved.items()}


async def _erased(engine: AsyncEngine, numbers: set[int]) -> set[int]:
    found = select(customers.c.customer).where(customers.c.customer.in_(numbers), customers.c.erased_at.is_not(None))
    async with engine.connect() as connection:
        return set((await connection.execute(found)).scalars())


def _checked(job: Job, line: Line, known: Known) -> Line:
    """The line with what it would do, or what is wrong with it."""
    if line.grant is not None:
        quote = known.quotes.get(line.grant)
        if quote is None:
            wrong = refusal(ClawBackOutcome.NOT_FOUND, left=0)
            assert wrong is not None
            return _not_done(job, line, wrong)
        line = msgspec.structs.replace(line, customer=quote.customer)
        return _checked_grant(job, line, quote, known)
    return _checked_adjustment(job, line, known)


def _checked_grant(job: Job, line: Line, quote: ClawBackQuote, known: Known) -> Line:
    if quote.customer in known.erased:
        return _not_done(job, line, customer_erased())
    wrong = refusal(quote.outcome, left=quote.left)
    if wrong is not None:
        return _not_done(job, line, wrong)
    should_be = None if job.selection is None else job.selection.should_be
    if should_be is not None:
        assert line.grant is not None
        paid = quote.points - quote.asked + known.given.get(line.grant, 0)
        return _of_difference(job, line, quote, paid - should_be, known)
    return _claw_back(job, line, quote)


def _claw_back(job: Job, line: Line, quote: ClawBackQuote) -> Line:
    """A claw-back of what the line says, if there is so much."""
    if quote.left <= 0 and line.points is None:
        return _skipped(line, "nothing of it is left")
    wrong = refusal(_outcome(line.points, quote), left=quote.left)
    if wrong is not None:
        return _not_done(job, line, wrong)
    asked = quote.left if line.points is None else line.points
    taken = min(asked, quote.spendable)
    return msgspec.structs.replace(line, state="checked", expected=taken, expected_shortfall=asked - taken)


def _outcome(points: int | None, quote: ClawBackQuote) -> ClawBackOutcome:
    """What would come of a claw-back of so many points."""
    if quote.outcome is ClawBackOutcome.REJECTED and points not in {None, quote.points}:
        return ClawBackOutcome.HELD_BACK_WHOLE
    if points is not None and points > quote.left:
        return ClawBackOutcome.MORE_THAN_IS_LEFT
    return quote.outcome


def _of_difference(job: Job, line: Line, quote: ClawBackQuote, too_much: int, known: Known) -> Line:
    """A claw-back of what was paid too much, as far as it is left, or an adjustment by what was paid too little."""
    if too_much == 0:
        return _skipped(line, "it is what it should be")
    if too_much > 0:
        if quote.left <= 0:
            return _skipped(line, "nothing of it is left")
        return _claw_back(job, msgspec.structs.replace(line, points=min(too_much, quote.left)), quote)
    if quote.outcome is ClawBackOutcome.REJECTED:
        return _skipped(line, "it is held back: approve or reject it first", "held_back")
    given = msgspec.structs.replace(line, kind="adjustment", points=-too_much)
    return _checked_adjustment(job, given, known)


def _checked_adjustment(job: Job, line: Line, known: Known) -> Line:
    assert line.customer is not None
    assert line.points is not None
    if line.customer in known.erased:
        return _not_done(job, line, customer_erased())
    if line.points > 0 and not known.gives:
        return _not_done(job, line, invalid_field("/points", f"must be below 0: no budget pays for the reason {job.reason}"))
    there = known.spendable.get(line.customer, 0)
    if line.points < 0 and there < -line.points:
        return _not_done(job, line, Problem("insufficient_balance", f"The customer can spend {there} points, which is less."))
    return msgspec.structs.replace(line, state="checked", expected=abs(line.points), expected_shortfall=0)


def _not_done(job: Job, line: Line, why: Problem) -> Line:
    """A line of a list is refused; a grant that nobody has named is skipped."""
    state = "refused" if job.campaign_no is None else "skipped"
    return msgspec.structs.replace(line, state=state, code=why.code, detail=why.detail)


def _skipped(line: Line, why: str, code: str | None = None) -> Line:
    return msgspec.structs.replace(line, state="skipped", code=code, detail=why)


async def _keep(engine: AsyncEngine, job: Job, checked: Sequence[Line], until: int) -> bool:
    says = (
        update(lines)
        .where(lines.c.job_no == job.job_no, lines.c.line_no == bindparam("number"))
        .values({name: bindparam(f"new_{name}") for name in _CHECKED})
    )
    rows = [{"number": line.line_no} | {f"new_{name}": getattr(line, name) for name in _CHECKED} for line in checked]
    async with engine.begin() as connection:
        changed = queries.ours(job).values(checked=until, leased_until=leased())
        if (await connection.execute(changed)).rowcount != 1:
            return False
        if rows:
            await connection.execute(says, rows)
    return True


async def _end(engine: AsyncEngine, job: Job) -> bool:
    """Sum up what the lines would do."""
    mine = lines.c.job_no == job.job_no
    to_do = lines.c.state == "checked"
    takes = (lines.c.kind == "clawback") | (lines.c.points < 0)
    sums = select(
        func.count().filter(lines.c.state == "refused").label("refused"),
        func.count().filter(lines.c.state == "skipped").label("skipped"),
        func.count(distinct(lines.c.customer)).filter(to_do).label("customers"),
        func.coalesce(func.sum(lines.c.expected).filter(to_do, takes), 0).label("expected_taken"),
        func.coalesce(func.sum(lines.c.expected).filter(to_do, ~takes), 0).label("expected_given"),
        func.coalesce(func.sum(lines.c.expected_shortfall).filter(to_do), 0).label("expected_shortfall"),
    ).where(mine)
    async with engine.connect() as connection:
        totals = (await connection.execute(sums)).mappings().one()
    counted = {name: int(value) for name, value in totals.items()}
    digest = await fingerprint(engine, job.job_no)
    return await queries.change(
        engine, job, status="checked", checked_at=queries.NOW, lines_hash=digest, leased_until=None, **counted
    )
