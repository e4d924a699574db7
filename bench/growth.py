"""How much slower a book is posted to when it has grown: the engine on three books, turn by turn.

    growth      a large book against an empty one, in which every customer is new
    growth_log  the same against a book that has the same customers, a lot each, and no log

As a campaign does: batches of 1,000 for customers in no order, on terms with one last day. Each book has a server of its own
with 128 MB of buffers, so that none evicts another's pages. A turn is so many batches on each, and who begins changes.
Checkpoints come to all before the same turns and are not in the time: a page's first change after one is logged whole, so a
turn is compared with one that has posted as much since.

The ratio is the geometric mean over the pairs of turns. The notes say what it is made of: processor time of PostgreSQL,
write-ahead log, pages logged whole, and pages read because they were not in the buffers.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from bench.engine import CAMPAIGN, LOTS, Posting, Prepared, batches, prepare, prepared
from bench.load import processor_ms
from bench.results import Cost, Measured, Ratio
from bench.stage import Bench
from ledger import GrantOrder

SETTINGS = {
    "shared_buffers": "128MB",
    # Checkpoints come when they are asked for, and nothing else disturbs one side alone.
    "checkpoint_timeout": "1d",
    "max_wal_size": "32GB",
    "autovacuum": "off",
}
BATCH = 1_000
_RELATIONS_TOLD = 4


class Posted(msgspec.Struct, frozen=True):
    """What a turn came to."""

    granted: int
    seconds: float
    postgres_ms: float
    code_ms: float
    wal_bytes: int

    @property
    def rate(self) -> float:
        """Grants a second."""
        return self.granted / self.seconds

    @property
    def postgres_us(self) -> float:
        """What a grant takes of a processor in PostgreSQL."""
        return self.postgres_ms * 1_000 / self.granted


class Taken(msgspec.Struct, frozen=True):
    """All turns of a side, and what they did to pages: how many were logged whole, and read by relation."""

    turns: Sequence[Posted]
    logged: int
    read: Counter[str]

    @property
    def total(self) -> Posted:
        """All turns as one."""
        return Posted(*(sum(column) for column in zip(*map(msgspec.structs.astuple, self.turns), strict=True)))

    @property
    def costs(self) -> str:
        """What a grant took."""
        total = self.total
        read = Counter({relation: pages / total.granted for relation, pages in self.read.items()})
        most = ", ".join(f"{relation} {pages:.2f}" for relation, pages in read.most_common(_RELATIONS_TOLD) if pages >= 0.01)
        return (
            f"{total.postgres_us:.0f} µs of PostgreSQL, {total.wal_bytes / total.granted:,.0f} bytes "
            f"of WAL with {self.logged / total.granted:.2f} whole pages, {read.total():.2f} pages read"
            + (f": {most}" if most else "")
        )


class Side:
    """A book that takes turns."""

    def __init__(self, books: Prepared, work: Iterator[list[GrantOrder]]) -> None:
        self._books = books
        self._posting = Posting(books, size=BATCH)
        self._work = work
        self._turns: list[Posted] = []
        self._logged_before = 0
        self._read_before: Counter[str] = Counter()

    async def begin(self, amount: int) -> None:
        """Warm up with so many batches, and let the planner know what the tables are like then."""
        await self.turn(amount)
        await self._books.owner.execute("ANALYZE")
        await self.turn(amount)
        self._turns.clear()
        self._logged_before, self._read_before = await self._logged(), await self._read()

    async def checkpoint(self) -> None:
        await self._books.owner.execute("CHECKPOINT")

    async def turn(self, amount: int) -> None:
        """Post so many batches."""
        ready = list(itertools.islice(self._work, amount))
        wal, before = await self._wal(), processor_ms()
        granted, seconds = await self._posting.timed(ready)
        took = processor_ms() - before
        self._turns.append(Posted(granted, seconds, took["PostgreSQL"], took["client"], await self._wal() - wal))

    async def end(self) -> Taken:
        """Disconnect the one who posted, so that the server has counted everything; return what there was after `begin`."""
        await self._posting.close()
        await self._books.application.close()
        taken = Taken(self._turns, await self._logged() - self._logged_before, await self._read() - self._read_before)
        await self._books.owner.close()
        return taken

    async def _wal(self) -> int:
        return await self._books.owner.fetchval("SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint")

    async def _logged(self) -> int:
        return await self._books.owner.fetchval("SELECT wal_fpi FROM pg_stat_wal")

    async def _read(self) -> Counter[str]:
        rows = await self._books.owner.fetch(
            """
            SELECT relname AS relation, heap_blks_read AS pages FROM pg_statio_user_tables WHERE schemaname = 'ledger'
            UNION ALL
            SELECT indexrelname, idx_blks_read FROM pg_statio_user_indexes WHERE schemaname = 'ledger'
            """
        )
        return Counter({row["relation"]: row["pages"] for row in rows})


async def alternate(sides: Sequence[Side], *, cycles: int, turns: int, amount: int) -> list[Taken]:
    """So many cycles of a checkpoint and turns of all sides, after turns that warm up."""
    for side in sides:
        await side.begin(amount)
    for number in range(cycles * turns):
        if number % turns == 0:
            for side in sides:
                await side.checkpoint()
        first = number % len(sides)
        for side in (*sides[first:], *sides[:first]):
            await side.turn(amount)
    return [await side.end() for side in sides]


def compared(large: Taken, reference: Taken) -> Measured:
    """What the turns of both came to."""
    pairs = list(zip(large.turns, reference.turns, strict=True))
    speed = Ratio.of([ours.rate / theirs.rate for ours, theirs in pairs])
    # The kernel counts processor time in hundredths of a second: what took none of it says nothing.
    processor = Ratio.of(
        [theirs.postgres_us / ours.postgres_us for ours, theirs in pairs if min(ours.postgres_ms, theirs.postgres_ms) > 0]
    )
    ours, theirs = large.total, reference.total
    return Measured(
        ours.rate,
        theirs.rate,
        "grants/s",
        turns=tuple((ours.rate, theirs.rate) for ours, theirs in pairs),
        cost=Cost.of(ours.granted, code_ms=ours.code_ms, postgres_ms=ours.postgres_ms),
        over_pairs=speed,
        notes=(
            f"{speed} over {len(pairs)} pairs of turns; by PostgreSQL's processor time {processor}",
            f"a grant in the large book: {large.costs}",
            f"in the other: {reference.costs}",
        ),
    )


async def growth(bench: Bench) -> dict[str, Measured]:
    """Posting 1,000 a batch into a large book, against an empty one and against one that has its customers and no log."""
    station = await bench.station("large", bench.sizes.large)
    customers = station.population.customers
    await bench.settings(SETTINGS)
    async with bench.another_server("empty", SETTINGS) as second, bench.another_server("young", SETTINGS) as third:
        books = (
            await prepared(bench.server.owner_url(station.name), station.book),
            await prepare(second, "bench_empty", customers=0),
            await prepare(third, "bench_young", customers=customers, months=[LOTS]),
        )
        sides = [
            Side(each, batches(each.book, BATCH, seed=seed, customers=customers, campaign_no=campaign_no, months=[LOTS]))
            for seed, (each, campaign_no) in enumerate(zip(books, (station.campaign_no, CAMPAIGN, CAMPAIGN), strict=True))
        ]
        sizes = bench.sizes
        large, empty, young = await alternate(
            sides, cycles=sizes.growth_cycles, turns=sizes.growth_turns, amount=sizes.growth_batches
        )
    return {"growth": compared(large, empty), "growth_log": compared(large, young)}
