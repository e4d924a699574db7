"""Setting sources up: who does so could report whatever they like by it, so it is minting (`service/auth/scopes.py`).

create    a source in the name of the calling key
change    some of it; it reports in the name of the calling key from then on
show      sources with how they stand
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import ColumnElement, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.audit_trail import record
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.campaigns.queries import find_campaign
from service.http.problems import Problem, invalid_field, not_found
from service.ingest.schemas import IngestSourceResponse, SourcePatch, SourceRequest, Standing, State, trust_name
from service.ingest.sources import ADDRESS_BYTES, Source, address_of, seal_secrets
from service.ingest.tables import source as sources
from service.ingest.tables import source_head, source_reader
from service.providers.adapter import Adapter, missing_secret, problem_of_secret, trust_of
from service.providers.generic.signed_json import ShapeRefused, adapter_of, events_of
from service.providers.registry import ADAPTERS
from service.providers.types import Secrets, Trust

if TYPE_CHECKING:
    from service.services import Services

SOURCES_MAX = 100
"""Sources of one brand, with those that are disabled."""

PATH = "/v1/ingest/"
SIGNED_JSON = "signed_json"
"""The provider that is the brand itself."""


async def create(services: Services, principal: Principal, wanted: SourceRequest) -> IngestSourceResponse:
    """Set up a source."""
    if principal.quota_per_minute is not None:
        raise Problem("beyond_this_key", "This key has a quota, and what a source reports would not count towards it.")
    adapter = ADAPTERS.get(wanted.provider)
    if adapter is None:
        raise invalid_field("/provider", f"is no provider that we know; there are {', '.join(sorted(ADAPTERS))}")
    if wanted.shape is not None:
        adapter = _shaped(adapter, wanted.shape)
    _check_secrets(adapter, wanted.secrets)
    values: dict[str, Any] = {
        "name": wanted.name,
        "public_url": _url(wanted.public_url),
        "trust": _trust(adapter, wanted.secrets, wanted.trust).name.lower(),
        "campaign": await _campaign(services, principal, wanted.campaign),
        "daily_points_max": wanted.daily_points_max,
        "silent_after_hours": wanted.silent_after_hours,
        "shape": wanted.shape,
        "api_key_id": principal.api_key_id,
    }
    address, brand_id = os.urandom(ADDRESS_BYTES), principal.brand.brand_id
    values["secrets"] = seal_secrets(wanted.secrets, services.sources.keys, address)
    async with services.engine.begin() as connection:
        count = select(func.count()).where(sources.c.brand_id == brand_id)
        if (await connection.execute(count)).scalar_one() >= SOURCES_MAX:
            raise invalid_field("", f"a brand has at most {SOURCES_MAX} sources: change one that is disabled")
        made = insert(sources).values(brand_id=brand_id, provider=adapter.name, address=address, **values)
        source_no = (await connection.execute(made.returning(sources.c.source_no))).scalar_one()
        for of_source in (source_head, source_reader):
            await connection.execute(insert(of_source).values(source_no=source_no).inline())
        (source,) = await services.sources.read(connection, sources.c.source_no == source_no)
        await record(connection, principal, "source.create", source.id, after=_recorded(source))
    await services.sources.refresh(source_no)
    return await shown(services, principal, source_no)


async def change(services: Services, principal: Principal, source_no: int, wanted: SourcePatch) -> IngestSourceResponse:
    """Change a source."""
    if principal.quota_per_minute is not None:
        raise Problem("beyond_this_key", "This key has a quota, and what a source reports would not count towards it.")
    its = (sources.c.brand_id == principal.brand.brand_id, sources.c.source_no == source_no)
    async with services.engine.begin() as connection:
        await connection.execute(select(sources.c.source_no).where(*its).with_for_update())
        before = next(iter(await services.sources.read(connection, *its)), None)
        if before is None:
            raise not_found("source")
        changed = await _changed(services, principal, before, wanted)
        await connection.execute(update(sources).where(*its).values(api_key_id=principal.api_key_id, **changed))
        (after,) = await services.sources.read(connection, *its)
        if _recorded(before) != _recorded(after) or "secrets" in changed:
            await record(connection, principal, "source.change", after.id, before=_recorded(before), after=_recorded(after))
    await services.sources.refresh(source_no)
    return await shown(services, principal, source_no)


async def shown(services: Services, principal: Principal, source_no: int) -> IngestSourceResponse:
    """A source as it stands."""
    found = await show(services, principal, sources.c.source_no == source_no)
    if not found:
        raise not_found("source")
    return found[0]


async def show(
    services: Services, principal: Principal, *conditions: ColumnElement[bool], limit: int | None = None
) -> Sequence[IngestSourceResponse]:
    """Sources of the caller's brand as they stand, oldest first."""
    now = datetime.now(UTC)
    today = principal.brand.calendar.day(await services.clocks.now(principal.brand))
    async with services.engine.connect() as connection:
        its = (sources.c.brand_id == principal.brand.brand_id, *conditions)
        found = await services.sources.read(connection, *its, limit=limit)
        standings = await standings_of(connection, [each.source_no for each in found], today)
    may_send = Scope.SOURCES_WRITE in principal.scopes
    return [
        IngestSourceResponse.of(
            each,
            standings[each.source_no],
            state=state_of(each, standings[each.source_no], now),
            ingest_url=ingest_url(services.settings.base_url, each) if may_send else None,
        )
        for each in found
    ]


def state_of(source: Source, standing: Standing, now: datetime) -> State:
    """How a source stands, the worst first."""
    verified_at, refused_at, silent_after = standing.verified_at, standing.refused_at, source.silent_after_hours
    if source.disabled_at is not None:
        return "disabled"
    if not source.reports_at(now):
        return "stopped"
    if refused_at is not None and (verified_at is None or refused_at > verified_at):
        return "failing"
    since = verified_at or source.created_at
    if silent_after is not None and since < now - timedelta(hours=silent_after):
        return "silent"
    return "new" if verified_at is None else "active"


def ingest_url(base_url: str, source: Source) -> str:
    """The URL that a provider sends to, which is also what some of them sign."""
    return source.public_url or f"{base_url}{PATH}{address_of(source.source_no, source.address)}"


async def standings_of(connection: AsyncConnection, numbers: Sequence[int], today: date | None) -> Mapping[int, Standing]:
    """How sources stand, by number; ``today`` is the business date whose points are asked for."""
    found = select(source_head, source_reader.c.read_no, source_reader.c.day, source_reader.c.points).join(
        source_reader, source_reader.c.source_no == source_head.c.source_no
    )
    rows = await connection.execute(found.where(source_head.c.source_no.in_(numbers)))
    return {
        row.source_no: Standing(
            row.last_no,
            row.read_no,
            row.verified_at,
            row.refused_at,
            row.points if today is not None and row.day == today else 0,
        )
        for row in rows
    }


async def _changed(services: Services, principal: Principal, before: Source, wanted: SourcePatch) -> dict[str, Any]:
    """What of the row a patch changes."""
    plain = ("name", "daily_points_max", "silent_after_hours")
    changed: dict[str, Any] = {name: value for name in plain if (value := getattr(wanted, name)) is not msgspec.UNSET}
    if wanted.public_url is not msgspec.UNSET:
        changed["public_url"] = _url(wanted.public_url)
    if wanted.campaign is not msgspec.UNSET:
        changed["campaign"] = await _campaign(services, principal, wanted.campaign)
    if wanted.enabled is not msgspec.UNSET:
        changed["disabled_at"] = None if wanted.enabled else before.disabled_at or func.clock_timestamp()
    adapter, secrets = before.adapter, before.secrets or {}
    if wanted.shape is not msgspec.UNSET:
        changed["shape"] = wanted.shape
        adapter = ADAPTERS[before.provider]
        adapter = adapter if wanted.shape is None else _shaped(adapter, wanted.shape)
        _check_secrets(adapter, secrets)
    if wanted.secrets is not msgspec.UNSET:
        merged = {**secrets, **wanted.secrets}
        secrets = {name: values for name, values in merged.items() if values}
        _check_secrets(adapter, secrets)
        changed["secrets"] = seal_secrets(secrets, services.sources.keys, before.address)
    changed |= _mapping(before, changed)
    trust = trust_name(before) if wanted.trust is msgspec.UNSET else wanted.trust
    changed["trust"] = _trust(adapter, secrets, trust).name.lower()
    return changed


def _mapping(before: Source, changed: Mapping[str, Any]) -> dict[str, int]:
    """The number of the mapping, if a change makes it another one."""
    shape = changed.get("shape", before.shape)
    if shape == before.shape and changed.get("campaign", before.campaign) == before.campaign:
        return {}
    number = before.mapping + 1
    is_numbered_so = events_of(shape) == events_of(before.shape)
    return {"mapping": number} | ({} if is_numbered_so else {"numbered_since": number})


def _shaped(adapter: Adapter, shape: dict[str, Any]) -> Adapter:
    """The adapter of JSON that a brand describes."""
    if adapter.name != SIGNED_JSON:
        raise invalid_field("/shape", f"is of {SIGNED_JSON} alone: what {adapter.title} sends is known")
    try:
        return adapter_of(shape)
    except ShapeRefused as refused:
        at = "".join(f"/{part}" for part in refused.field.split(".") if part)
        raise invalid_field(f"/shape{at}", refused.problem) from None


def _check_secrets(adapter: Adapter, secrets: Secrets) -> None:
    for name, values in secrets.items():
        for n, value in enumerate(values):
            if problem := problem_of_secret(adapter, name, value):
                raise invalid_field(f"/secrets/{name}/{n}", problem)
    if problem := missing_secret(adapter, secrets):
        raise invalid_field("/secrets", problem)


def _trust(adapter: Adapter, secrets: Secrets, wanted: str | None) -> Trust:
    """How far a source can be trusted: as what it holds can prove, unless less is asked for."""
    most = trust_of(adapter, secrets)
    if wanted is None and most is Trust.NONE:
        raise invalid_field(
            "/trust", f"must be none, if nothing is to prove that {adapter.title} sends; or give one of its secrets"
        )
    asked = most if wanted is None else Trust[wanted.upper()]
    if asked > most:
        raise invalid_field("/trust", f"must not be more than {most.name.lower()}, which is what its requests can prove")
    return asked


def _url(wanted: str | None) -> str:
    if wanted is None:
        return ""
    parts = urlsplit(wanted)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise invalid_field("/public_url", "must be a URL that begins with https:// and has no query")
    return wanted


async def _campaign(services: Services, principal: Principal, wanted: str | None) -> str | None:
    if wanted is not None and await find_campaign(services.engine, principal.brand.brand_id, wanted) is None:
        raise invalid_field("/campaign", "the brand has no such campaign", code="unknown_campaign")
    return wanted


def _recorded(source: Source) -> dict[str, Any]:
    """What the audit trail has of a source: no secret, and nothing that stands for one."""
    return {
        "name": source.name,
        "provider": source.provider,
        "public_url": source.public_url or None,
        "secrets": {name: len(values) for name, values in sorted((source.secrets or {}).items())},
        "trust": trust_name(source),
        "shape": source.shape,
        "campaign": source.campaign,
        "daily_points_max": source.daily_points_max,
        "silent_after_hours": source.silent_after_hours,
        "key": source.api_key_id,
        "disabled": source.disabled_at is not None,
    }
