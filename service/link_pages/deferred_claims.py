"""Deferred claims: what people did with links and is posted afterwards: the database is away, or a link redirects at once.

    DeferredClaim    an act, as it is kept on the local disk: who and when, and what the request showed of a person
    DeferredClaims   keeps acts and has them settled, in the order in which they came

An act is kept before anybody is told so, and stays until it was settled: what a killed process leaves, the next one settles. An
act that is settled twice is paid once, as everything is, by its event key.

    note      the act's click is stored: of several acts on one message that is what tells a scanner from a person
    DELAY_S   later every process has stored what happened within two seconds
    settle    the act is judged and posted

    the database is away    it is tried again, for as long as it takes
    an act fails by itself  it is a dead letter on the disk, for the operator, and the others go on
    the spool takes no act  it waits in memory instead, if there is room: then it does not outlive the process
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from service.concurrency.shared_timeout import SharedTimeout
from service.observability import log, metrics
from service.storage.spool import Spool, SpoolFull, SpoolRefused
from service.tokens.link import LinkClaims
from service.tokens.offline import says

DELAY_S = 2.5
"""From an act's click to its judgement: siblings come within two seconds, and are stored in less than half a one."""
SETTLED_AT_ONCE = 200
NOTES_EVERY_S = 0.05
NOTED_AHEAD = 20_000
"""So many acts wait in memory for their time, some twenty megabytes. It has to be more than come within two seconds: an act is
judged by what came after it."""
IN_MEMORY_MAX = 10_000
ADOPTS_EVERY_S = 5.0
FORGETS_EVERY_S = 60.0
BACKOFF_FACTOR = 3
BACKOFF_MAX_S = 0.5
"""While people follow links, so many times as long as acts were settled nothing is settled; at most so long at a time."""
BACKOFF_FULLNESS_MAX = 0.1
"""But not when the spool is fuller than this."""
STOPS_WITHIN_S = 5.0
TIMEOUT_S = 1.0
"""How long somebody waits for the disk before they are sent on."""
_RETRIES_AFTER_S = (0.1, 0.25, 0.5, 1.0, 2.0)


class DeferredClaim(msgspec.Struct, frozen=True, gc=False):
    """An act on a link. ``at`` is by the world's clock.

    A token was checked, and ``claims`` are what it says. A code could not be looked up: ``code_hash`` is what to look for,
    and ``offline`` is a token that a brand has signed, which is checked when the act is settled.
    ``way``, ``grade`` and ``why`` say how the link was fetched and what the request showed; ``network`` and ``agent`` are as
    in the click log.
    """

    at: datetime
    host: str
    way: str
    grade: str
    why: str
    since_sent_s: float
    claims: LinkClaims | None = None
    code_hash: bytes | None = None
    network: str | None = None
    agent: bytes | None = None
    offline: str | None = None


Note = Callable[[Sequence[DeferredClaim]], Awaitable[None]]
Settle = Callable[[Sequence[DeferredClaim]], Awaitable[Sequence[str | BaseException]]]


class Settlement(msgspec.Struct, frozen=True):
    """How acts are settled.

    ``settle`` says of each act, in order, what became of it or what failed; ``may_pass``, whether to try again;
    ``erased``, which of these customers were erased; ``keeps``, how long dead letters are kept, ``None`` is for ever.
    """

    note: Note
    settle: Settle
    erased: Callable[[Collection[int]], Awaitable[Collection[int]]]
    may_pass: Callable[[BaseException], bool]
    keeps: timedelta | None = None


class _Batch(msgspec.Struct):
    """Acts that are settled together, not before ``due_at``; ``spooled`` of the spool's records are theirs."""

    acts: list[DeferredClaim]
    spooled: int
    due_at: float = 0.0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(DeferredClaim).decode


def _act_of(record: bytes) -> DeferredClaim | None:
    """The act that a record is, if it can be read."""
    try:
        return _decode(record)
    except msgspec.MsgspecError:
        return None


def _customer_of(act: DeferredClaim) -> int:
    """Whose act it is; 0 if it does not say."""
    if act.claims is not None:
        return act.claims.customer
    return 0 if act.offline is None else says(act.offline).customer


class _LeftToTheNext(Exception):
    """The database is away, and this process stops."""


def _say_why_it_ended(task: asyncio.Task[None]) -> None:
    """Nobody waits for these tasks, and without them acts are only kept."""
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, _LeftToTheNext):
        log.error_with_frames("deferred_claims_settling_ended", error)


class DeferredClaims:
    """Keeps acts in ``spool``, and settles them while ``settled_by`` is open, which closes the spool in the end."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._in_memory: deque[DeferredClaim] = deque()
        self._noted: asyncio.Queue[_Batch | None] = asyncio.Queue()
        self._ahead = 0
        self._settled = asyncio.Event()
        self._adopted_at = -ADOPTS_EVERY_S
        self._kept = 0
        self._timeout = SharedTimeout()
        self._stopping = False

    @contextlib.asynccontextmanager
    async def settled_by(self, settlement: Settlement) -> AsyncGenerator[None]:
        """Settle acts until it ends, then what is there, unless that takes long; the next process settles the rest."""
        tasks = [
            asyncio.create_task(self._note_all(settlement), name="deferred claims, recorded"),
            asyncio.create_task(self._settle_all(settlement), name="deferred claims, settled"),
        ]
        forgetting = asyncio.create_task(self._forget_all(settlement), name="deferred claims, forgotten")
        for task in (*tasks, forgetting):
            task.add_done_callback(_say_why_it_ended)
        try:
            yield
        finally:
            forgetting.cancel()
            await asyncio.gather(forgetting, return_exceptions=True)
            await self._stop(tasks)

    async def _stop(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        self._stopping = True
        self._spool.arrived.set()
        await asyncio.wait(tasks, timeout=STOPS_WITHIN_S, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._in_memory:
            metrics.deferred_claims.labels("lost").inc(len(self._in_memory))
        await self._spool.close()

    async def keep(self, act: DeferredClaim, *, share: float = 1.0) -> bool:
        """Keep an act, and say whether it is on the disk and so will outlive this process. ``share`` is as for the spool."""
        self._kept += 1
        try:
            with self._timeout.within(TIMEOUT_S):
                await self._spool.append(_encode(act), share=share)
        except TimeoutError:
            # The disk takes long. It is in line still, and may be there after all.
            return False
        except (SpoolFull, SpoolRefused):
            if len(self._in_memory) >= IN_MEMORY_MAX * share:
                metrics.deferred_claims.labels("lost").inc()
            else:
                self._in_memory.append(act)
                self._spool.arrived.set()
            return False
        return True

    async def _note_all(self, settlement: Settlement) -> None:
        while (batch := await self._next()) is not None:
            await self._until_it_works(functools.partial(self._note_some, settlement), batch.acts)
            batch.due_at = time.monotonic() + DELAY_S
            self._noted.put_nowait(batch)
            self._ahead += len(batch.acts)
            if len(batch.acts) < SETTLED_AT_ONCE:
                # What comes meanwhile comes along.
                await asyncio.sleep(NOTES_EVERY_S)
            while self._ahead >= NOTED_AHEAD:
                self._settled.clear()
                await self._settled.wait()
        self._noted.put_nowait(None)

    async def _settle_all(self, settlement: Settlement) -> None:
        while (batch := await self._noted.get()) is not None:
            await asyncio.sleep(batch.due_at - time.monotonic())
            began, kept = time.monotonic(), self._kept
            await self._until_it_works(functools.partial(self._settle_some, settlement), batch.acts)
            await self._spool.release(batch.spooled)
            self._ahead -= len(batch.acts)
            self._settled.set()
            if self._kept > kept and self._spool.fullness < BACKOFF_FULLNESS_MAX:
                # Whoever follows a link now goes before what can wait.
                await asyncio.sleep(min(BACKOFF_FACTOR * (time.monotonic() - began), BACKOFF_MAX_S))

    async def _next(self) -> _Batch | None:
        """The next acts; ``None`` when there are none and it is time to stop."""
        while True:
            self._spool.arrived.clear()
            if time.monotonic() > self._adopted_at + ADOPTS_EVERY_S and not self._stopping:
                self._adopted_at = time.monotonic()
                await self._spool.adopt()
            records = await self._spool.take(SETTLED_AT_ONCE)
            acts = [act for record in records if (act := await self._read(record)) is not None]
            acts += [self._in_memory.popleft() for _ in range(min(len(self._in_memory), SETTLED_AT_ONCE - len(acts)))]
            if acts or records:
                return _Batch(acts, len(records))
            if self._stopping:
                return None
            try:
                async with asyncio.timeout(ADOPTS_EVERY_S):
                    await self._spool.arrived.wait()
            except TimeoutError:
                continue

    async def _read(self, record: bytes) -> DeferredClaim | None:
        try:
            return _decode(record)
        except msgspec.MsgspecError as error:
            await self._dead_letter(record, error)
            return None

    async def _dead_letter(self, record: bytes, error: BaseException) -> None:
        metrics.deferred_claims.labels("dead_letter").inc()
        log.error_with_frames("deferred_claim_dead_lettered", error)
        await self._spool.dead_letter(record)

    async def _forget_all(self, settlement: Settlement) -> None:
        while True:
            try:
                await self.forget_erased(settlement)
                await self.forget_old(settlement)
            except Exception as error:
                if not settlement.may_pass(error):
                    raise
            await asyncio.sleep(FORGETS_EVERY_S)

    async def forget_erased(self, settlement: Settlement) -> None:
        """Remove dead letters of customers who were erased. What nobody can read is of nobody that is known."""
        customers = {stored: _customer_of(act) for stored, act in (await self._letters()).items()}
        erased = await settlement.erased(set(customers.values()) - {0}) if any(customers.values()) else ()
        await self._drop({stored for stored, customer in customers.items() if customer in erased})

    async def forget_old(self, settlement: Settlement, now: datetime | None = None) -> None:
        """Remove dead letters that are older than they are kept. What nobody can read has no age, and stays."""
        if settlement.keeps is None:
            return
        since = (now or datetime.now(UTC)) - settlement.keeps
        await self._drop({stored for stored, act in (await self._letters()).items() if act.at < since})

    async def _letters(self) -> dict[bytes, DeferredClaim]:
        read = {stored: _act_of(record) for stored, record in (await self._spool.dead_letters()).items()}
        return {stored: act for stored, act in read.items() if act is not None}

    async def _drop(self, gone: set[bytes]) -> None:
        if gone:
            await self._spool.drop_dead_letters(gone)

    async def _until_it_works(
        self, do: Callable[[Sequence[DeferredClaim]], Awaitable[list[DeferredClaim]]], acts: list[DeferredClaim]
    ) -> None:
        """Do it for all; what may pass is tried again, for as long as it takes."""
        failures = 0
        while acts:
            metrics.deferred_claims_age.set((datetime.now(UTC) - acts[0].at).total_seconds())
            acts = await do(acts)
            if acts and self._stopping:
                raise _LeftToTheNext
            if acts:
                await asyncio.sleep(_RETRIES_AFTER_S[min(failures, len(_RETRIES_AFTER_S) - 1)])
                failures += 1
        metrics.deferred_claims_age.set(0)

    async def _note_some(self, settlement: Settlement, acts: Sequence[DeferredClaim]) -> list[DeferredClaim]:
        try:
            await settlement.note(acts)
        except Exception as error:
            if settlement.may_pass(error):
                return list(acts)
            # Without their clicks they are judged each by itself, which is better than not at all.
            log.error_with_frames("deferred_clicks_not_recorded", error)
        return []

    async def _settle_some(self, settlement: Settlement, acts: Sequence[DeferredClaim]) -> list[DeferredClaim]:
        try:
            outcomes = await settlement.settle(acts)
        except Exception as error:
            if settlement.may_pass(error):
                return list(acts)
            outcomes = [error] * len(acts)
        left: list[DeferredClaim] = []
        for act, outcome in zip(acts, outcomes, strict=True):
            if isinstance(outcome, str):
                metrics.deferred_claims.labels(outcome).inc()
            elif settlement.may_pass(outcome):
                left.append(act)
            else:
                await self._dead_letter(_encode(act), outcome)
        return left
