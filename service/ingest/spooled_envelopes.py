"""Envelopes that wait on the local disk while the database is away, and are stored once it is back.

They are sealed for reading too, unlike other records of a spool, because they name people. A record of the spool has a bound,
so a long envelope is several: they are written together, and an envelope of which one is missing was never acknowledged.

What was stored and not released is stored once all the same, by the envelope's id.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Sequence

import msgspec

from service.crypto.sealing import SealBroken, opened, sealed
from service.ingest.envelopes import Envelope, EnvelopeStore
from service.observability import log
from service.storage.database import is_away
from service.storage.spool import Spool, SpoolFull, SpoolRefused
from service.storage.spool_records import RECORD_BYTES_MAX

PART_BYTES = RECORD_BYTES_MAX - 512
TAKEN_AT_ONCE = 100
ADOPTS_EVERY_S = 5.0
TIMEOUT_S = 5.0
"""How long a provider waits for the disk."""
STOPS_WITHIN_S = 5.0
_RETRIES_AFTER_S = (0.1, 0.25, 0.5, 1.0, 2.0)


class _Part(msgspec.Struct, frozen=True, gc=False):
    """One of ``of`` parts of a sealed envelope."""

    id: bytes
    n: int
    of: int
    data: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode_part = msgspec.msgpack.Decoder(_Part).decode
_decode = msgspec.msgpack.Decoder(Envelope).decode


class SpooledEnvelopes:
    """Keeps envelopes in ``spool``, and stores them while ``stored_by`` is open, which closes the spool in the end."""

    def __init__(self, spool: Spool, keys: Sequence[bytes]) -> None:
        """What is kept is sealed with the first of ``keys``, and opened with any."""
        self._spool = spool
        self._keys = tuple(keys)
        self._parts: dict[bytes, list[_Part]] = {}
        self._taken = 0
        self._adopted_at = -ADOPTS_EVERY_S
        self._stopping = False

    async def keep(self, envelope: Envelope) -> bool:
        """Keep an envelope, and say whether it is on the disk."""
        try:
            # Nothing is awaited before all are in line, so they are written together.
            written = [self._spool.append(record) for record in self._records(envelope)]
            async with asyncio.timeout(TIMEOUT_S):
                await asyncio.gather(*written)
        except (SpoolFull, SpoolRefused, TimeoutError):
            return False
        return True

    @contextlib.asynccontextmanager
    async def stored_by(self, store: EnvelopeStore) -> AsyncGenerator[None]:
        """Store what is kept, as soon as the database takes it; the next process stores the rest."""
        task = asyncio.create_task(self._store_all(store), name="spooled envelopes, stored")
        task.add_done_callback(_say_why_it_ended)
        try:
            yield
        finally:
            self._stopping = True
            self._spool.arrived.set()
            await asyncio.wait([task], timeout=STOPS_WITHIN_S)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self._spool.close()

    async def _store_all(self, store: EnvelopeStore) -> None:
        while (envelopes := await self._next()) is not None:
            failures = 0
            while envelopes and not await self._stored(store, envelopes):
                if self._stopping:
                    return
                await asyncio.sleep(_RETRIES_AFTER_S[min(failures, len(_RETRIES_AFTER_S) - 1)])
                failures += 1
            if not self._parts:
                taken, self._taken = self._taken, 0
                await self._spool.release(taken)

    async def _stored(self, store: EnvelopeStore, envelopes: Sequence[Envelope]) -> bool:
        try:
            await store.store_again(envelopes)
        except Exception as error:
            if is_away(error):
                return False
            if len(envelopes) > 1:
                return all([await self._stored(store, [each]) for each in envelopes])
            # It fails by itself: the operator's, so that the others go on.
            log.error_with_frames("spooled_envelope_dead_lettered", error)
            for record in self._records(envelopes[0]):
                await self._spool.dead_letter(record)
        return True

    def _records(self, envelope: Envelope) -> list[bytes]:
        """What an envelope is in the spool."""
        whole = sealed(_encode(envelope), self._keys[0], place=envelope.id)
        pieces = [whole[start : start + PART_BYTES] for start in range(0, len(whole), PART_BYTES)]
        return [_encode(_Part(envelope.id, n, len(pieces), piece)) for n, piece in enumerate(pieces)]

    async def _next(self) -> list[Envelope] | None:
        """The next whole envelopes; ``None`` when there are none and it is time to stop."""
        while True:
            self._spool.arrived.clear()
            if time.monotonic() > self._adopted_at + ADOPTS_EVERY_S and not self._stopping:
                self._adopted_at = time.monotonic()
                await self._spool.adopt()
            records = await self._spool.take(TAKEN_AT_ONCE)
            self._taken += len(records)
            if records:
                return [whole for record in records if (whole := self._whole(record)) is not None]
            if self._parts or self._taken:
                # What was begun and never ended was not acknowledged.
                self._parts.clear()
                return []
            if self._stopping:
                return None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ADOPTS_EVERY_S):
                    await self._spool.arrived.wait()

    def _whole(self, record: bytes) -> Envelope | None:
        """The envelope that a record completes."""
        try:
            part = _decode_part(record)
            parts = self._parts.setdefault(part.id, [])
            parts.append(part)
            if len(parts) < part.of:
                return None
            del self._parts[part.id]
            whole = b"".join(each.data for each in sorted(parts, key=lambda each: each.n))
            return _decode(opened(whole, self._keys, place=part.id))
        except (msgspec.MsgspecError, SealBroken) as error:
            log.error_with_frames("spooled_envelope_unreadable", error)
            return None


def _say_why_it_ended(task: asyncio.Task[None]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None:
        log.error_with_frames("spooled_envelopes_ended", error)
