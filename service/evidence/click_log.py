"""The click log: each request for a link, so that a scanner is known by what else it fetched, and machines can be counted.

    note              puts a click in line, at once and without ever failing; a writer of the process's own stores what waits
    record            stores touches now
    count_siblings  how many links of a message were fetched around an instant, by whatever process they were served

No click holds an address or what a browser calls itself: of the one it keeps the network, of the other a keyed hash, which
tells two apart and nothing else. Clicks lie in partitions, one a day, and are kept for 30 days unless the operator says
otherwise (``click_pruner``).
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import functools
import hmac
import socket
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import msgspec

from service.admission.client_networks import packed_of
from service.crypto.derived_keys import derived_key, key_in_use
from service.evidence.bot_detection import SIBLINGS_WITHIN_S, Verdict
from service.links.queries import LinkRow
from service.observability import log, metrics
from service.settings import LinkKey
from service.storage.database import is_away

Connection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"

KEPT_DAYS = 30
"""Unless the operator says otherwise."""
PARTITIONS = 40
"""A day's partition is the day's number modulo this. What is more than the days kept is time for the keeper to be away."""
WRITTEN_AT_ONCE = 1_000
WRITES_EVERY_S = 0.05
"""What is noted within so long is stored together: written by the dozen, a click costs three times as much."""
WAITING_MAX = 20_000
"""So many clicks wait while the database is away, some ten megabytes; what comes then is lost and counted."""
RETRY_AFTER_S = 2.0
STOP_WITHIN_S = 2.0
SIBLINGS_COUNTED_MAX = 100


class Way(enum.StrEnum):
    """What a link was fetched for. Values are stored."""

    LOOK = "look"
    CLAIM = "claim"
    HANDOFF = "handoff"
    CONFIRM = "confirm"
    REDIRECT = "redirect"
    OPEN = "open"


class Click(msgspec.Struct, frozen=True, gc=False):
    """One request for a link. ``message`` is ``message_key`` of its message; ``points`` is what its campaign pays for it."""

    at: datetime
    brand_id: int
    campaign_no: int
    link_id: bytes
    message: bytes
    way: str
    grade: str
    why: str
    points: int
    network: str | None
    agent: bytes | None
    since_sent_s: int


_COLUMNS = (*Click.__struct_fields__, "slot")


def message_key(customer: int, message_id: str) -> bytes:
    """What the links of one message to one customer have in common."""
    return blake2b(b"%d:%s" % (customer, message_id.encode()), digest_size=8, person=b"touched message").digest()


def network_of(address: str) -> str | None:
    """The network that an address is in: the first 24 bits of IPv4, the first 48 of IPv6."""
    packed = packed_of(address)
    if packed is None:
        return None
    if len(packed) == 4:
        return socket.inet_ntop(socket.AF_INET, packed[:3] + bytes(1)) + "/24"
    return socket.inet_ntop(socket.AF_INET6, packed[:6] + bytes(10)) + "/48"


def click_of(
    way: str,
    grade: str,
    why: str,
    *,
    at: datetime,
    brand_id: int,
    link_id: bytes,
    customer: int,
    message_id: str,
    points: int,
    network: str | None,
    agent: bytes | None,
    since_sent_s: float,
) -> Click:
    """A click of a link, whose id says its campaign; its customer and its message say what it has siblings by."""
    return Click(
        at=at,
        brand_id=brand_id,
        campaign_no=int.from_bytes(link_id[:4], "big"),
        link_id=link_id,
        message=message_key(customer, message_id),
        way=way,
        grade=grade,
        why=why,
        points=points,
        network=network,
        agent=agent,
        since_sent_s=whole_seconds(since_sent_s),
    )


def agent_key(keys: Sequence[LinkKey]) -> bytes:
    """The key that browsers' names are hashed with; it changes with the key that signs links."""
    return derived_key(key_in_use(keys), "user agent 1")


def since_sent_s(row: LinkRow, brand_at: datetime) -> float:
    """How long before an instant of the brand's clock a link's message was sent, or at least the link minted."""
    return (brand_at - (row.sent_at or row.minted_at)).total_seconds()


def whole_seconds(seconds: float) -> int:
    """As many as the column holds."""
    return max(-(2**31), min(2**31 - 1, int(seconds)))


def slot_of(day: date) -> int:
    """The partition of a day's clicks."""
    return day.toordinal() % PARTITIONS


def slots_between(first: date, last: date) -> list[int]:
    """The partitions of all days from ``first`` to ``last``."""
    days = min((last - first).days + 1, PARTITIONS)
    return [slot_of(last - timedelta(days=n)) for n in range(days)]


class ClickLog:
    """Stores what is noted, in the order it came, in batches of what waits. A context manager: while it is open, it writes."""

    def __init__(self, pool: asyncpg.Pool[Any], key: bytes) -> None:
        """``key`` is what browsers' names are hashed with."""
        self._pool = pool
        self._agent_of = functools.lru_cache(maxsize=10_000)(functools.partial(_hashed, key))
        self._waiting: deque[Click] = deque()
        self._came = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    async def __aenter__(self) -> ClickLog:
        self._writer = asyncio.create_task(self._write_for_ever(), name="clicks")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self.write(), STOP_WITHIN_S)

    def note(
        self,
        way: Way,
        verdict: Verdict,
        headers: Mapping[str, str],
        *,
        at: datetime,
        address: str,
        brand_id: int,
        link_id: bytes,
        customer: int,
        message_id: str,
        points: int,
        since_sent_s: float,
    ) -> None:
        """Put a click in line. Nobody waits for it."""
        if len(self._waiting) >= WAITING_MAX:
            metrics.clicks_lost.inc()
            return
        self._waiting.append(
            click_of(
                way,
                verdict.letter,
                verdict.why,
                at=at,
                brand_id=brand_id,
                link_id=link_id,
                customer=customer,
                message_id=message_id,
                points=points,
                network=network_of(address),
                agent=self.agent_of(headers),
                since_sent_s=since_sent_s,
            )
        )
        self._came.set()

    def note_link(
        self,
        way: Way,
        verdict: Verdict,
        headers: Mapping[str, str],
        row: LinkRow,
        *,
        at: datetime,
        brand_at: datetime,
        address: str,
        points: int,
    ) -> None:
        """The same of a link that was looked up; ``brand_at`` is the instant by the brand's clock."""
        self.note(
            way,
            verdict,
            headers,
            at=at,
            address=address,
            brand_id=row.brand_id,
            link_id=row.link_id,
            customer=row.customer,
            message_id=row.message_id,
            points=points,
            since_sent_s=since_sent_s(row, brand_at),
        )

    def agent_of(self, headers: Mapping[str, str]) -> bytes | None:
        """What is kept of what a browser calls itself."""
        agent = headers.get("user-agent")
        return self._agent_of(agent) if agent else None

    async def write(self) -> None:
        """Store all that waits."""
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), WRITTEN_AT_ONCE))]
            try:
                await record(self._pool, batch)
            except BaseException as error:
                if not isinstance(error, Exception) or is_away(error):
                    self._waiting.extendleft(reversed(batch))
                else:
                    metrics.clicks_lost.inc(len(batch))
                raise

    async def _write_for_ever(self) -> None:
        while True:
            await self._came.wait()
            await asyncio.sleep(WRITES_EVERY_S)
            self._came.clear()
            try:
                await self.write()
            except Exception as error:
                if not is_away(error):
                    log.error_with_frames("clicks_not_written", error)
                await asyncio.sleep(RETRY_AFTER_S)
                self._came.set()


def _hashed(key: bytes, agent: str) -> bytes:
    return hmac.digest(key, agent.encode(), "sha256")[:8]


async def record(pool: asyncpg.Pool[Any], clicks: Iterable[Click]) -> None:
    """Store clicks, in one round trip."""
    slot = slot_of(datetime.now(UTC).date())
    # The driver would ask twelve codecs for each click, which takes five times as long as one line of text.
    lines = "".join([_line(click, slot) for click in clicks]).encode()
    async with pool.acquire() as connection:
        await connection.copy_to_table("touch", schema_name="rewards", source=_in_one(lines), columns=_COLUMNS)


async def _in_one(data: bytes) -> AsyncGenerator[bytes]:
    """What the driver takes where it would hold bytes for a path."""
    yield data


def _line(click: Click, slot: int) -> str:
    """A click as ``COPY`` reads it, in the order of ``_COLUMNS``."""
    network = click.network or r"\N"
    agent = r"\N" if click.agent is None else rf"\\x{click.agent.hex()}"
    said = f"{click.way}\t{click.grade}\t{click.why}"
    return (
        f"{click.at}\t{click.brand_id}\t{click.campaign_no}\t\\\\x{click.link_id.hex()}\t\\\\x{click.message.hex()}\t"
        f"{said}\t{click.points}\t{network}\t{agent}\t{click.since_sent_s}\t{slot}\n"
    )


_SQL = Path(__file__).with_name("sql")
_SIBLINGS = (_SQL / "siblings.sql").read_text()


async def count_siblings(pool: asyncpg.Pool[Any] | Connection, wanted: Sequence[tuple[bytes, datetime]]) -> list[int]:
    """How many links of each message (``message_key``) were fetched within ``SIBLINGS_WITHIN_S`` before or after an instant.

    In order; one statement for all. It counts what any process has stored, which they do at once: ask when so long has passed
    since the instant, and half a second more for the writing. The link in question counts if its own click was noted. Give the
    answer to ``evidence.grade`` as ``siblings``.
    """
    if not wanted:
        return []
    messages, instants = [message for message, _ in wanted], [at for _, at in wanted]
    # They are stored in the partition of the day on which they are written.
    slots = slots_between(min(instants).astimezone(UTC).date(), datetime.now(UTC).date())
    around = timedelta(seconds=SIBLINGS_WITHIN_S)
    rows = await pool.fetch(_SIBLINGS, messages, instants, around, slots, SIBLINGS_COUNTED_MAX)
    return [row[0] for row in rows]
