"""Sources as they are set up, and how a request finds its own.

    Source            a source, with its secrets opened and the key in whose name it reports
    SourceDirectory   sources by number, as they were at most a second ago; while the database is away, as they were last known

Secrets and addresses are sealed or compared here and nowhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hmac
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import Grade
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.auth.tables import api_key
from service.brands.brand import Brand
from service.brands.calendars import learn
from service.brands.queries import brand_columns, brand_of_row, brands_with_value
from service.brands.tables import brand as brands
from service.concurrency.ttl_cache import TtlCache
from service.crypto.sealing import SealBroken, opened, sealed
from service.http.identifiers import source_id
from service.ingest.tables import source as sources
from service.providers.adapter import Adapter
from service.providers.generic.signed_json import adapter_of
from service.providers.registry import ADAPTERS
from service.providers.types import Secrets, Trust
from service.storage.database import is_away

EVIDENCE: Mapping[Trust, Grade] = {
    Trust.SIGNED_BODY: Grade.A,
    Trust.SIGNED_PARTIAL: Grade.B,
    Trust.SHARED_SECRET: Grade.C,
    Trust.IP_ONLY: Grade.D,
    Trust.NONE: Grade.D,
}
"""The strongest grade of what is reported by a source that can be trusted so far."""

ADDRESS_BYTES = 12
_ADDRESS = re.compile(r"src_([1-9][0-9]{0,9})_([0-9a-f]{24})")
_TTL_S = 1.0
_AWAY_AFTER_S = 1.0
"""A provider waits no longer than that for the look-up of a source that is known from before."""


class Source(msgspec.Struct, frozen=True):
    """A source. ``secrets`` is ``None`` if they cannot be opened: the key they were sealed with is gone.

    ``sealed`` is how they are stored. ``shape`` is what the brand says of JSON of its own, as it wrote it. ``mapping`` counts
    what decides which act an event is; since mapping ``numbered_since`` the events of a request are numbered as they are now.
    """

    source_no: int
    brand: Brand
    address: bytes
    name: str
    provider: str
    public_url: str
    trust: Trust
    campaign: str | None
    daily_points_max: int | None
    silent_after_hours: int | None
    secrets: Secrets | None
    sealed: bytes
    shape: Mapping[str, Any] | None
    mapping: int
    numbered_since: int
    api_key_id: int
    created_at: datetime
    disabled_at: datetime | None
    key_name: str
    key_evidence: Grade
    key_lateness: timedelta
    key_expires_at: datetime | None
    key_revoked_at: datetime | None
    key_mints: bool

    @property
    def id(self) -> str:
        """The public id."""
        return source_id(self.source_no)

    @property
    def adapter(self) -> Adapter:
        """What is particular to its provider."""
        return ADAPTERS[self.provider] if self.shape is None else _adapter_of(msgspec.json.encode(self.shape))

    @property
    def evidence(self) -> Grade:
        """The strongest grade of what it reports: no stronger than its provider can be trusted, or its key may claim."""
        return max(EVIDENCE[self.trust], self.key_evidence)

    def reports_at(self, now: datetime) -> bool:
        """Whether the key that it reports in the name of still may."""
        is_over = self.key_expires_at is not None and self.key_expires_at <= now
        return self.key_mints and self.key_revoked_at is None and not is_over

    @property
    def principal(self) -> Principal:
        """Who reports what it sends."""
        return Principal(
            api_key_id=self.api_key_id,
            name=self.key_name,
            brand=self.brand,
            scopes=frozenset({Scope.SOURCES_WRITE}),
            max_evidence=self.evidence,
            lateness=self.key_lateness,
            expires_at=self.key_expires_at,
            reports_as=self.id,
        )


@functools.lru_cache(maxsize=1_000)
def _adapter_of(shape: bytes) -> Adapter:
    return adapter_of(msgspec.json.decode(shape))


def address_of(source_no: int, address: bytes) -> str:
    """The last part of the path that a provider sends to."""
    return f"{source_id(source_no)}_{address.hex()}"


def seal_secrets(secrets: Secrets, keys: Sequence[bytes], address: bytes) -> bytes:
    """Secrets as they are stored."""
    return sealed(msgspec.json.encode(secrets), keys[0], place=address)


class SourceDirectory:
    """Sources by number. ``keys`` open their secrets."""

    def __init__(self, engine: AsyncEngine, keys: Sequence[bytes]) -> None:
        self._engine = engine
        self.keys = tuple(keys)
        self._cache: TtlCache[int, Source | None] = TtlCache(self._load, ttl_s=_TTL_S, keeps_none=True)
        self._last_known: dict[int, Source] = {}
        self._away_until = 0.0

    async def at(self, address: str) -> Source | None:
        """The source that a request was sent to, unless nobody may send to it. Raises if that cannot be known now."""
        match = _ADDRESS.fullmatch(address)
        if match is None or int(match[1]) >= 2**31:
            return None
        found = await self.find(int(match[1]))
        if found is None or found.disabled_at is not None:
            return None
        return found if hmac.compare_digest(found.address, bytes.fromhex(match[2])) else None

    async def refresh(self, source_no: int) -> None:
        """Look a source up again: it was changed in this process."""
        self._cache.forget(source_no)
        await self._cache.get(source_no)

    async def seal_again(self, found: Iterable[Source]) -> None:
        """Seal secrets with the key in use that are sealed with one that may leave the secrets file."""
        old = [each for each in found if each.secrets is not None and not _is_sealed_with(self.keys[0], each)]
        for each in old:
            secrets = seal_secrets(each.secrets or {}, self.keys, each.address)
            async with self._engine.begin() as connection:
                # Not if they were changed meanwhile.
                its = (sources.c.source_no == each.source_no, sources.c.secrets == each.sealed)
                await connection.execute(update(sources).where(*its).values(secrets=secrets))

    def learn(self, found: Iterable[Source]) -> None:
        """Know these sources while the database is away."""
        self._last_known.update({each.source_no: each for each in found})

    async def read(
        self, connection: AsyncConnection, *conditions: ColumnElement[bool], limit: int | None = None
    ) -> list[Source]:
        """Sources, in the order in which they were made."""
        found = await connection.execute(_selected.where(*conditions).order_by(sources.c.source_no).limit(limit))
        rows = found.all()
        for time_zone in {row.time_zone for row in rows}:
            await learn(connection, time_zone)
        return [self._of_row(row) for row in rows]

    async def find(self, source_no: int) -> Source | None:
        """A source, as it is now or was last known."""
        known = self._last_known.get(source_no)
        if known is not None and time.monotonic() < self._away_until:
            return known
        try:
            async with asyncio.timeout(None if known is None else _AWAY_AFTER_S):
                return await self._cache.get(source_no)
        except Exception as error:
            if known is None or not is_away(error):
                raise
            self._away_until = time.monotonic() + _AWAY_AFTER_S
            return known

    async def _load(self, source_no: int) -> Source | None:
        async with self._engine.connect() as connection:
            found = next(iter(await self.read(connection, sources.c.source_no == source_no)), None)
        if found is not None:
            self._last_known[source_no] = found
        return found

    def _of_row(self, row: Row[Any]) -> Source:
        return Source(
            source_no=row.source_no,
            brand=brand_of_row(row),
            address=row.address,
            name=row.source_name,
            provider=row.provider,
            public_url=row.public_url,
            trust=Trust[row.trust.upper()],
            campaign=row.campaign,
            daily_points_max=row.daily_points_max,
            silent_after_hours=row.silent_after_hours,
            secrets=self._opened(row),
            sealed=row.secrets,
            shape=row.shape,
            mapping=row.mapping,
            numbered_since=row.numbered_since,
            api_key_id=row.api_key_id,
            created_at=row.source_created_at,
            disabled_at=row.disabled_at,
            key_name=row.key_name,
            key_evidence=Grade(row.max_evidence),
            key_lateness=timedelta(hours=row.lateness_hours),
            key_expires_at=row.expires_at,
            key_revoked_at=row.revoked_at,
            key_mints=Scope.SOURCES_WRITE in row.scopes,
        )

    def _opened(self, row: Row[Any]) -> Secrets | None:
        with contextlib.suppress(SealBroken):
            return msgspec.json.decode(opened(row.secrets, self.keys, place=row.address), type=dict[str, list[str]])
        return None


def _is_sealed_with(key: bytes, source: Source) -> bool:
    try:
        opened(source.sealed, [key], place=source.address)
    except SealBroken:
        return False
    return True


_selected = (
    select(
        *(
            sources.c[name]
            for name in (
                *("source_no", "address", "provider", "public_url", "trust", "campaign", "daily_points_max"),
                *("silent_after_hours", "secrets", "api_key_id", "disabled_at", "shape", "mapping", "numbered_since"),
            )
        ),
        sources.c.name.label("source_name"),
        sources.c.created_at.label("source_created_at"),
        api_key.c.name.label("key_name"),
        api_key.c.scopes,
        api_key.c.max_evidence,
        api_key.c.lateness_hours,
        api_key.c.expires_at,
        api_key.c.revoked_at,
        *brand_columns,
    )
    .select_from(sources)
    .join(api_key, api_key.c.api_key_id == sources.c.api_key_id)
    .join(brands_with_value, brands.c.brand_id == sources.c.brand_id)
)
