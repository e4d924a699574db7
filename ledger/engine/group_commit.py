"""Natural group commit: while one batch commits, arrivals queue; half of what is under way is the next batch. No timers.

A queue is one task with one connection. It takes at most ``batch_max`` items a turn, round robin over the books that wait, so a
campaign of one brand does not keep another's waiting. Of what waits and what was just posted it takes at most half, so that the
database posts one half while this process answers the other half and hears what its callers ask next: neither side waits for
the other, whoever is slower. If such a batch waits already, it is prepared while the database works on the one before. Callers
wait on futures; a caller that goes away changes nothing, because what was taken is posted.

    another queue is in use   batches are short, so that it gets its turn at the book soon (grants give way to redemptions)
    it wants the same book    it goes first, so many times in a row
    too much waits            Overloaded, at once; nothing was recorded
    the connection is lost    the same batch is sent again: outcomes are unknown, keys make that exact
    the database stays away   LedgerUnavailable
    the data is refused       the batch is halved until the item is alone: it gets DataRefused, the rest goes on
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import math
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Generic, Protocol, TypeVar

import asyncpg

from ledger.errors import CONNECTION_LOST, BookRefused, ClockSkew, DataRefused, LedgerError, LedgerUnavailable, Overloaded
from ledger.types import Book

RETRY_DELAYS_S = (0.0, 0.05, 0.25, 1.0)
"""Pauses before a batch whose connection was lost is sent again; after the last the database counts as away."""

IN_USE_S = 1.0
"""For so long after an item another is expected soon."""

LET_PASS_MAX = 3
"""So many batches of the queue that it gives way to go before one of a queue's own."""

HALVED_FROM = 16
"""What is smaller is not halved: a batch of one costs the database as much as a dozen further items."""

NOT_THE_BRANDS_BOOK = "RW001"
CLOCKS_DIFFER = "RW002"

_log = logging.getLogger("ledger")

_AWAY = (*CONNECTION_LOST, asyncpg.InterfaceError, OSError, TimeoutError)


class _Posted(Protocol):
    @property
    def book(self) -> Book: ...


Item = TypeVar("Item", bound=_Posted)
Result = TypeVar("Result")
Post = Callable[["asyncpg.Connection[Any]", Any], Awaitable[list[Result]]]


def _as_it_is(items: Sequence[Item]) -> Sequence[Item]:
    return items


class _Ticket(Generic[Result]):
    """What one caller handed in together: its answers so far, and the future it waits on."""

    __slots__ = ("answers", "future", "missing")

    def __init__(self, size: int) -> None:
        self.answers: list[Result | LedgerError | None] = [None] * size
        self.missing = size
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def answer(self, index: int, answer: Result | LedgerError) -> None:
        self.answers[index] = answer
        self.missing -= 1
        if self.missing == 0 and not self.future.done():
            self.future.set_result(None)


_Waiting = tuple[Item, _Ticket[Result], int]


def _give_out(batch: list[_Waiting[Item, Result]], answers: Sequence[Result | LedgerError]) -> None:
    for (_, ticket, index), answer in zip(batch, answers, strict=True):
        ticket.answer(index, answer)


class GroupCommit(Generic[Item, Result]):
    """A queue in front of the books. ``start`` it before use and ``close`` it to drain it."""

    def __init__(
        self,
        pool: asyncpg.Pool[Any],
        post: Post[Result],
        *,
        prepare: Callable[[Sequence[Item]], Any] = _as_it_is,
        on_connect: Callable[[asyncpg.Connection[Any]], Awaitable[None]] | None = None,
        batch_max: int = 1_000,
        share_max: int = 250,
        items_max: int = 20_000,
        wait_max_s: float = 2.0,
        one_book: bool = False,
        gives_way_to: GroupCommit[Any, Any] | None = None,
        short_max: int = 64,
    ) -> None:
        """``post`` takes what ``prepare`` makes of the items, on a connection that ``on_connect`` was called with first.

        ``items_max`` bounds memory (an item is at most some kilobytes), ``wait_max_s`` the expected wait.
        ``one_book`` is for what is committed book by book: an item that is refused must not send other books' items twice.
        While the queue that it ``gives_way_to`` is in use, batches are of at most ``short_max`` items: each holds the book's
        head until it is committed, and the others wait for that. What that queue has in hand of the same books is posted
        before the next batch, up to ``LET_PASS_MAX`` times.
        """
        self._pool = pool
        self._post = post
        self._prepare = prepare
        self._on_connect = on_connect
        self._batch_max = batch_max
        self._share_max = share_max
        self._items_max = items_max
        self._wait_max_s = wait_max_s
        self._one_book = one_book
        self._gives_way_to = gives_way_to
        self._short_max = short_max
        self._used_at = -math.inf
        self._books: OrderedDict[int, deque[_Waiting[Item, Result]]] = OrderedDict()
        self._waiting = 0
        self._items_per_s = 5_000.0
        self._arrived = asyncio.Event()
        self._posting: frozenset[int] = frozenset()
        self._posted = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._connection: Any = None
        self._ready: tuple[list[Item], Any] | None = None
        self._taken = 0

    @property
    def waiting(self) -> int:
        """How many items wait for their turn."""
        return self._waiting

    @property
    def is_full(self) -> bool:
        """Whether nothing more is taken now."""
        return self._waiting >= self._items_max or self._waiting / self._items_per_s > self._wait_max_s

    @property
    def in_use(self) -> bool:
        """Whether somebody has asked for something of late."""
        return time.monotonic() - self._used_at < IN_USE_S

    def start(self) -> None:
        """Begin to post."""
        self._task = asyncio.create_task(self._run(), name=f"group commit of {self._post.__name__}")

    async def close(self) -> None:
        """Post what waits, take nothing more, and give the connection back."""
        self._closing = True
        self._arrived.set()
        if self._task is not None:
            await self._task
        await self._let_go()

    async def submit(self, items: Sequence[Item]) -> list[Result | LedgerError]:
        """Post ``items``; return after the commit, one answer per item, in order.

        An item's own fault is its answer; ``Overloaded`` is raised before anything is recorded.
        """
        if self._closing:
            raise LedgerUnavailable
        self._used_at = time.monotonic()
        expected_wait_s = self._waiting / self._items_per_s
        if self._waiting + len(items) > self._items_max or expected_wait_s > self._wait_max_s:
            raise Overloaded(retry_after_s=max(1, round(expected_wait_s)))
        ticket: _Ticket[Result] = _Ticket(len(items))
        book: Book | None = None
        queue: deque[_Waiting[Item, Result]] = deque()
        for index, item in enumerate(items):
            if item.book is not book:
                book = item.book
                queue = self._books.setdefault(book.book_id, deque())
            queue.append((item, ticket, index))
        self._waiting += len(items)
        self._arrived.set()
        if items:
            await ticket.future
        return [answer for answer in ticket.answers if answer is not None]

    async def _run(self) -> None:
        last: list[_Waiting[Item, Result]] = []
        answers: Sequence[Result | LedgerError] = []
        while True:
            if not self._books:
                _give_out(last, answers)
                last, answers = [], []
                self._taken = 0
                if self._closing:
                    return
                self._arrived.clear()
                await self._arrived.wait()
                continue
            # Who is about to ask, in this turn of the loop, is asked along: larger batches cost less an item.
            await asyncio.sleep(0)
            other = self._gives_way_to
            if other is not None and other.wants(self._books):
                _give_out(last, answers)
                last, answers = [], []
                await self._let_pass(other)
            batch, self._posting = self._take()
            started = time.perf_counter()
            # When the database has work, there is time for the last batch's callers, and for the next batch.
            asyncio.get_running_loop().call_soon(self._meanwhile, last, answers)
            answers = await self._answers([item for item, _, _ in batch])
            last = batch
            self._posting = frozenset()
            self._posted.set()
            self._posted.clear()
            # The rate says how long newcomers would wait; a small batch says little about it.
            weight = len(batch) / self._batch_max
            rate = len(batch) / max(time.perf_counter() - started, 1e-6)
            self._items_per_s += weight * (rate - self._items_per_s)

    def _meanwhile(self, last: list[_Waiting[Item, Result]], answers: Sequence[Result | LedgerError]) -> None:
        _give_out(last, answers)
        # Who is answered goes on first, and may ask again.
        asyncio.get_running_loop().call_soon(self._make_ready)

    def wants(self, books: Collection[int]) -> bool:
        """Whether something of one of these books waits or is being posted."""
        return any(book in self._books or book in self._posting for book in books)

    async def _let_pass(self, other: GroupCommit[Any, Any]) -> None:
        """Let the other queue post what it has in hand: were we at the head first, it would wait for all of our batch."""
        for _ in range(LET_PASS_MAX):
            if not other.wants(self._books):
                return
            await other._posted.wait()

    @property
    def _most(self) -> int:
        """How many items a batch may have now."""
        hurried = self._gives_way_to is not None and self._gives_way_to.in_use
        return min(self._batch_max, self._short_max) if hurried else self._batch_max

    @property
    def _half(self) -> int:
        """The larger half of what waits and of what was taken last, whose callers may ask again."""
        return max(HALVED_FROM, (self._waiting + self._taken + 1) // 2)

    def _make_ready(self) -> None:
        """Prepare the next batch if it is known already: as much as it may have, of the only book that waits."""
        size = min(self._most, self._half)
        if self._posting and len(self._books) == 1 and self._waiting >= size:
            (queue,) = self._books.values()
            items = [item for item, _, _ in itertools.islice(queue, size)]
            # What cannot be prepared fails again in its turn, and is answered there.
            with contextlib.suppress(Exception):
                self._ready = (items, self._prepare(items))

    def _prepared(self, items: Sequence[Item]) -> Any:
        ready, self._ready = self._ready, None
        return ready[1] if ready is not None and ready[0] == items else self._prepare(items)

    def _take(self) -> tuple[list[_Waiting[Item, Result]], frozenset[int]]:
        """The next batch, and of which books it is: round robin over the books, in order of arrival within each."""
        batch: list[_Waiting[Item, Result]] = []
        taken: list[int] = []
        books = 1 if self._one_book else len(self._books)
        size = min(self._most, self._half if self._ready is None else len(self._ready[0]))
        share = size if books == 1 else self._share_max
        for _ in range(books):
            book_id, queue = self._books.popitem(last=False)
            taken.append(book_id)
            batch.extend([queue.popleft() for _ in range(min(share, len(queue), size - len(batch)))])
            if queue:
                self._books[book_id] = queue
            if len(batch) == size:
                break
        self._waiting -= len(batch)
        self._taken = len(batch)
        return batch, frozenset(taken)

    async def _answers(self, items: Sequence[Item]) -> Sequence[Result | LedgerError]:
        """Post a batch whatever happens: every item gets an answer."""
        alone: LedgerError
        try:
            return await self._post_again_if_lost(self._prepared(items))
        except LedgerUnavailable as error:
            return [error] * len(items)
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, ValueError, OverflowError) as error:
            alone = DataRefused(str(error))
        except Exception as error:
            sqlstate = getattr(error, "sqlstate", None)
            if sqlstate == CLOCKS_DIFFER:
                return [ClockSkew(str(error))] * len(items)
            if sqlstate != NOT_THE_BRANDS_BOOK:
                # The task must live: every caller waits for an answer.
                _log.exception("posting failed")
                return [LedgerUnavailable(repr(error))] * len(items)
            alone = BookRefused(str(error))
        if len(items) == 1:
            return [alone]
        half = len(items) // 2
        return [*await self._answers(items[:half]), *await self._answers(items[half:])]

    async def _post_again_if_lost(self, prepared: Any) -> list[Result]:
        cause: BaseException | None = None
        for delay_s in RETRY_DELAYS_S:
            if delay_s:
                await asyncio.sleep(delay_s)
            try:
                connection = self._connection
                if connection is None or connection.is_closed():
                    await self._let_go()
                    connection = await self._take_connection()
                return await self._post(connection, prepared)
            except _AWAY as error:
                # Data that the driver cannot encode is an InterfaceError too, and no loss of the connection.
                if isinstance(error, asyncpg.DataError):
                    raise
                cause = error
                await self._let_go()
        raise LedgerUnavailable(str(cause)) from cause

    async def _take_connection(self) -> asyncpg.Connection[Any]:
        connection: Any = await self._pool.acquire()
        self._connection = connection
        try:
            if self._on_connect is not None:
                await self._on_connect(connection)
        except BaseException:
            await self._let_go()
            raise
        return connection

    async def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*_AWAY):
                await self._pool.release(connection, timeout=1)
