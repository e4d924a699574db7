"""Restating a closed period: recorded once it is approved, with new versions of its close and of all that were closed after it.

A restatement corrects an error of a prior period (IAS 8.42, ASC 250-10-45-23): the period itself and what is carried forward
from it are restated together, so the closing of a period stays the opening of the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import AccountClass, Book, Close, Ledger
from service.approvals.actions import claim
from service.approvals.kinds import Approved, Kind, Tools, Wanted
from service.auth.audit_trail import LOCK, record
from service.auth.principal import Principal
from service.estimates.actions import check as check_estimate
from service.estimates.schemas import EstimateRequest
from service.estimates.tables import estimate as estimates
from service.exports.account_codes import AccountCode, wrong_codes
from service.http.periods import ONE_DAY, Period, parse
from service.http.problems import FieldError, invalid_field, invalid_fields, not_found
from service.restatements.queries import last_number, version_of_close
from service.restatements.schemas import CloseVersionResponse, RestateRequest
from service.restatements.tables import close_version as versions
from service.restatements.tables import restatement as restatements

if TYPE_CHECKING:
    from service.services import Services

_CLOSES_AT_ONCE = 1_000


async def wanted_restatement(
    services: Services, principal: Principal, name: str, data: RestateRequest
) -> Wanted[RestateRequest]:
    """What is asked for. Raises the problem of a period that is not closed, or of what cannot be restated in it."""
    closed = await _closed(services.ledger, principal.brand.book, name)
    _check(Period(closed.begins_on, closed.ends_on), data)
    version = await version_of_close(services.engine, principal.brand.brand_id, closed.ends_on, None)
    # With the version that it follows, so that the same can be asked for at another time.
    return Wanted(kind=RESTATE, subject=f"{name} version {version.version + 1}", body=data, amount=0)


async def _closed(ledger: Ledger, book: Book, name: str) -> Close:
    period = parse(name)
    close = None if period is None else await ledger.close(book, period.end)
    if period is None or close is None or close.begins_on != period.begin:
        raise not_found("close")
    return close


def _check(period: Period, data: RestateRequest) -> None:
    if not (data.values or data.estimates or data.account_codes):
        raise invalid_field("/values", "name at least one value, estimate or account code")
    days = {
        **{f"/values/{n}/starts_on": value.starts_on for n, value in enumerate(data.values)},
        **{f"/estimates/{n}/effective_on": each.effective_on or period.begin for n, each in enumerate(data.estimates)},
        **{f"/account_codes/{n}/valid_from": code.valid_from for n, code in enumerate(data.account_codes)},
    }
    outside = [pointer for pointer, day in days.items() if day not in period]
    wrong = [FieldError(pointer, "invalid_field", f"must be in {period.name}") for pointer in outside]
    seen: set[date] = set()
    for n, value in enumerate(data.values):
        if value.starts_on in seen:
            wrong.append(FieldError(f"/values/{n}/starts_on", "invalid_field", "another value starts on this day"))
        seen.add(value.starts_on)
    named = wrong_codes(_codes(data))
    wrong += [FieldError(f"/account_codes/{n}/{field}", "invalid_field", why) for n, field, why in named]
    if wrong:
        raise invalid_fields(wrong)
    for n, each in enumerate(data.estimates):
        check_estimate(each, f"/estimates/{n}")


def _codes(data: RestateRequest) -> list[AccountCode]:
    return [AccountCode(each.account, each.code, each.valid_from) for each in data.account_codes]


async def _restate(tools: Tools, maker: Principal, approved: Approved[RestateRequest]) -> CloseVersionResponse:
    name = approved.subject.partition(" ")[0]
    brand_id = maker.brand.brand_id
    closed = await _closed(tools.ledger, maker.brand.book, name)
    period = Period(closed.begins_on, closed.ends_on)
    later = await _closes_from(tools.ledger, maker.brand.book, period.end)
    async with tools.engine.begin() as connection:
        # One restatement after the other.
        await connection.execute(select(func.pg_advisory_xact_lock(LOCK, brand_id)))
        if await claim(connection, approved.approval_no):
            number = await last_number(connection, brand_id) + 1
            await _insert(connection, maker, period, approved, number)
            await _insert_estimates(connection, maker, period, approved.body.estimates, number)
            for ends_on in later:
                await _insert_version(connection, brand_id, ends_on, number)
            after = {"restatement": number, "reason": approved.body.reason, "with": [str(day) for day in later]}
            await record(connection, maker, "close.restate", period.name, after=after)
    return CloseVersionResponse.of(period, await version_of_close(tools.engine, brand_id, period.end, None))


async def _closes_from(ledger: Ledger, book: Book, ends_on: date) -> list[date]:
    """The last days of the closes from one on."""
    found: list[date] = []
    until = date.max
    while page := await ledger.closes(book, until=until, limit=_CLOSES_AT_ONCE):
        found += [close.ends_on for close in page if close.ends_on >= ends_on]
        if page[-1].ends_on < ends_on:
            break
        until = page[-1].begins_on - ONE_DAY
    return sorted(found)


async def _insert(
    connection: AsyncConnection, maker: Principal, period: Period, approved: Approved[RestateRequest], number: int
) -> None:
    body = approved.body
    values: dict[str, Any] = {
        "begins_on": period.begin,
        "ends_on": period.end,
        "reason": body.reason,
        "point_values": msgspec.to_builtins(body.values),
        "account_codes": msgspec.to_builtins(_codes(body)),
        "approval_no": approved.approval_no,
        "made_by": maker.api_key_id,
    }
    await connection.execute(
        insert(restatements).values(brand_id=maker.brand.brand_id, restatement_no=number, **values).inline()
    )


async def _insert_estimates(
    connection: AsyncConnection, maker: Principal, period: Period, wanted: Sequence[EstimateRequest], number: int
) -> None:
    brand_id = maker.brand.brand_id
    for each in wanted:
        last = select(func.coalesce(func.max(estimates.c.estimate_no), 0) + 1).where(estimates.c.brand_id == brand_id)
        await connection.execute(
            insert(estimates)
            .values(
                brand_id=brand_id,
                estimate_no=last.scalar_subquery(),
                kind=each.kind,
                account_class=None if each.account_class is None else AccountClass[each.account_class.upper()],
                value=each.value,
                effective_on=each.effective_on or period.begin,
                method=each.method,
                inputs=each.inputs,
                created_by=maker.api_key_id,
                restatement_no=number,
            )
            .inline()
        )


async def _insert_version(connection: AsyncConnection, brand_id: int, ends_on: date, number: int) -> None:
    of_close = (versions.c.brand_id == brand_id) & (versions.c.ends_on == ends_on)
    following = select(func.coalesce(func.max(versions.c.version), 1) + 1).where(of_close)
    await connection.execute(
        insert(versions)
        .values(brand_id=brand_id, ends_on=ends_on, version=following.scalar_subquery(), restatement_no=number)
        .inline()
    )


RESTATE: Kind[RestateRequest] = Kind(name="close.restate", request=RestateRequest, execute=_restate, always=True)
