"""Envelopes: requests of providers as they came, sealed, until they are read and for a while after.

    Envelope         a request that is to be kept, with what its check said
    EnvelopeStore    stores envelopes: what waits at the same time is one statement and one commit
    content_of       a request as it is kept, and back
    DataKeys         the key that envelopes of a day are sealed with

An envelope is sealed together with its source, its id and the verdict: who can write to the database cannot make a forged
request a verified one.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from service.concurrency.batch_loader import BatchLoader
from service.crypto.sealing import KEY_BYTES, SealBroken, opened, sealed
from service.evidence.click_log import PARTITIONS, slot_of
from service.providers.types import ProviderRequest, Verdict

STORED_AT_ONCE = 64
WAITING_MAX = 2_000
REFUSED_BYTES_MAX = 16 * 1024
"""A larger request that was refused is listed without its content, and cannot be replayed."""

_ZLIB_LEVEL = 1
_SQL = Path(__file__).with_name("sql")
_STORE = "SELECT rewards.store_envelopes_v1($1, $2, $3, $4, $5, $6, $7, $8, $9)"
_STORED = (_SQL / "stored_envelopes.sql").read_text()
_KEY = "SELECT sealed FROM rewards.envelope_key WHERE day = $1"
_NEW_KEY = "INSERT INTO rewards.envelope_key (day, sealed) VALUES ($1, $2) ON CONFLICT DO NOTHING"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ProviderRequest).decode


class Envelope(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A request of a source. ``content`` is empty if it is not kept; ``size`` is the length of the body as it came."""

    id: bytes
    source_no: int
    received_at: datetime
    verdict: Verdict
    reason: str
    size: int
    content: bytes


def content_of(request: ProviderRequest) -> bytes:
    """A request as it is kept."""
    return zlib.compress(_encode(request), _ZLIB_LEVEL)


def request_of(content: bytes) -> ProviderRequest:
    """A request that was kept."""
    return _decode(zlib.decompress(content))


def new_id() -> bytes:
    """The id of an envelope."""
    return os.urandom(16)


def place_of(source_no: int, envelope_id: bytes, verdict: str) -> bytes:
    """What an envelope is sealed together with."""
    return b"%d %s %s" % (source_no, envelope_id, verdict.encode())


class DataKeys:
    """The keys of days. ``master_keys`` seal them; each is made by the first process that needs it."""

    def __init__(self, pool: asyncpg.Pool[Any], master_keys: Sequence[bytes]) -> None:
        self._pool = pool
        self._master_keys = tuple(master_keys)
        self._known: dict[date, bytes] = {}

    async def of(self, day: date) -> bytes:
        """The key of a day, made now if there is none."""
        return self._known.get(day) or await self._learn(day)

    async def find(self, day: date) -> bytes | None:
        """The key of a day, if there still is one."""
        return self._known.get(day) or await self._find(day)

    async def _find(self, day: date) -> bytes | None:
        stored: bytes | None = await self._pool.fetchval(_KEY, day)
        if stored is None:
            return None
        key = opened(stored, self._master_keys, place=_key_place(day))
        while len(self._known) >= PARTITIONS:
            del self._known[min(self._known)]
        self._known[day] = key
        return key

    async def _learn(self, day: date) -> bytes:
        found = await self._find(day)
        if found is None:
            await self._pool.execute(_NEW_KEY, day, sealed(os.urandom(KEY_BYTES), self._master_keys[0], place=_key_place(day)))
            found = await self._find(day)
        assert found is not None
        return found


def _key_place(day: date) -> bytes:
    return f"envelope key {day}".encode()


class EnvelopeStore:
    """Stores envelopes in the database."""

    def __init__(self, pool: asyncpg.Pool[Any], keys: DataKeys) -> None:
        self._pool = pool
        self.keys = keys
        self._loader: BatchLoader[Envelope, bool] = BatchLoader(self._store, batch_max=STORED_AT_ONCE, waiting_max=WAITING_MAX)

    async def store(self, envelope: Envelope) -> None:
        """Store an envelope; it is there when this returns, and may be if this raises."""
        await self._loader.get(envelope)

    async def store_again(self, envelopes: Sequence[Envelope]) -> None:
        """Store those of ``envelopes`` that are not there yet."""
        stored = await self._stored([each.id for each in envelopes])
        missing = [each for each in envelopes if each.id not in stored]
        if missing:
            await self._store(missing)

    async def content(self, envelope: Envelope, key_day: date, stored: bytes) -> bytes | None:
        """The content of a stored envelope; ``None`` if nobody can open it as what it says it is."""
        key = await self.keys.find(key_day)
        with contextlib.suppress(SealBroken):
            place = place_of(envelope.source_no, envelope.id, envelope.verdict)
            return None if key is None else opened(stored, [key], place=place)
        return None

    async def _stored(self, ids: Sequence[bytes]) -> Collection[bytes]:
        return {row["id"] for row in await self._pool.fetch(_STORED, ids)}

    async def _store(self, envelopes: Sequence[Envelope]) -> dict[Envelope, bool]:
        today = datetime.now(UTC).date()
        key = await self.keys.of(today)
        await self._pool.execute(
            _STORE,
            slot_of(today),
            [each.source_no for each in envelopes],
            [each.id for each in envelopes],
            [each.received_at for each in envelopes],
            [each.verdict.value for each in envelopes],
            [each.reason for each in envelopes],
            [each.size for each in envelopes],
            [today] * len(envelopes),
            [_sealed(each, key) for each in envelopes],
        )
        return dict.fromkeys(envelopes, True)


def _sealed(envelope: Envelope, key: bytes) -> bytes | None:
    if not envelope.content:
        return None
    return sealed(envelope.content, key, place=place_of(envelope.source_no, envelope.id, envelope.verdict))
