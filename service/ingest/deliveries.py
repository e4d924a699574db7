"""What came of what a provider sent: the log of a source's envelopes. Reading some of them again is in ``replays``.

    list_deliveries   envelopes, newest first, with the counts of what became of their events at each reading
    list_events       what became of each event of one envelope
    read_no_of        how far a source is read

A filter is applied to what is read: a page looks through a bounded number of envelopes and says where the next begins.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from service.auth.principal import Principal
from service.http.pagination import Page
from service.http.problems import not_found
from service.ingest.outcomes import unpacked
from service.ingest.schemas import (
    DeliveredEventResponse,
    DeliveryResponse,
    ReadingResponse,
)
from service.ingest.tables import source as sources
from service.ingest.tables import source_head, source_reader

if TYPE_CHECKING:
    from service.services import Services

LOOKED_THROUGH = 1_000
"""Envelopes that a page of a filtered list looks through."""

_SQL = Path(__file__).with_name("sql")
DELIVERIES = (_SQL / "deliveries.sql").read_text()
_EVENTS = (_SQL / "delivered_events.sql").read_text()
_NEWEST = 2**63 - 1


async def list_deliveries(
    services: Services,
    principal: Principal,
    source_no: int,
    *,
    verdict: str | None,
    outcome: str | None,
    after: int | None,
    limit: int,
) -> Page[DeliveryResponse]:
    """A page of what came, newest first."""
    read_no = await read_no_of(services, principal, source_no)
    looked_through = limit + 1 if verdict is None and outcome is None else LOOKED_THROUGH
    rows = await services.pool.fetch(DELIVERIES, source_no, after or _NEWEST, looked_through)
    found = [_delivery(row, read_no) for row in rows]
    wanted = [each for each in found if _is_wanted(each, verdict, outcome)]
    items = wanted[:limit]
    if len(wanted) > limit:
        return Page(items, str(items[-1].delivery))
    return Page(items, str(found[-1].delivery) if len(found) == looked_through else None)


async def list_events(
    services: Services, principal: Principal, source_no: int, delivery: int, *, replay: int | None, after: int, limit: int
) -> Page[DeliveredEventResponse]:
    """A page of what became of the events of an envelope, in their order."""
    await read_no_of(services, principal, source_no)
    stored = await services.pool.fetchval(_EVENTS, source_no, delivery, replay)
    if stored is None:
        raise not_found("reading of the delivery")
    outcomes = unpacked(stored)
    items = [DeliveredEventResponse.of(each) for each in outcomes[after : after + limit]]
    return Page(items, str(after + limit) if len(outcomes) > after + limit else None)


async def read_no_of(services: Services, principal: Principal, source_no: int) -> int:
    """How far a source of the caller's brand is read. Raises if it is none."""
    found = (
        select(source_reader.c.read_no)
        .join(source_head, source_head.c.source_no == source_reader.c.source_no)
        .join(sources, sources.c.source_no == source_reader.c.source_no)
        .where(sources.c.source_no == source_no, sources.c.brand_id == principal.brand.brand_id)
    )
    async with services.engine.connect() as connection:
        read_no: int | None = (await connection.execute(found)).scalar_one_or_none()
    if read_no is None:
        raise not_found("source")
    return read_no


def _delivery(row: Any, read_no: int) -> DeliveryResponse:
    is_accepted = row["verdict"] in {"verified", "unverified"}
    readings = [ReadingResponse(*told) for told in row["told"] or ()]
    waits = is_accepted and row["envelope_no"] > read_no
    return DeliveryResponse(
        delivery=row["envelope_no"],
        received_at=row["received_at"],
        verdict=row["verdict"],
        reason=row["reason"] or None,
        bytes=row["bytes"],
        state="decided" if readings else "waiting" if waits else "refused",
        can_be_replayed=row["is_kept"],
        readings=readings,
    )


def _is_wanted(delivery: DeliveryResponse, verdict: str | None, outcome: str | None) -> bool:
    has_outcome = outcome is None or any(outcome in reading.outcomes for reading in delivery.readings)
    return verdict in (None, delivery.verdict) and has_outcome
