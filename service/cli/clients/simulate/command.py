"""`rewards simulate`: realistic traffic through the public API, or into a file."""

from __future__ import annotations

import asyncio
import collections
import itertools
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import httpx
import msgspec
from click.core import ParameterSource

from service import settings
from service.cli.clients.installation import Problem, check, missing, open_client, said
from service.cli.clients.simulate.provider import provider
from service.demo_shop import demo_file, traffic

ATTEMPTS_MAX = 12
"""How often a batch, or what is left of it, is sent before it counts as failed."""
FIRST_WAIT_S = 0.1
WAIT_MAX_S = 10.0
RATE_DEFAULT = 200
BATCHES_PER_SECOND = 4


class _Answer(msgspec.Struct, frozen=True):
    index: int
    status: int
    outcome: str = ""
    reason: str | None = None
    points: int = 0
    replayed: bool = False
    problem: Problem | None = None

    @property
    def may_be_repeated(self) -> bool:
        return self.problem is not None and self.problem.retryable


class _Envelope(msgspec.Struct, frozen=True):
    results: list[_Answer]


_decode_envelope = msgspec.json.Decoder(_Envelope).decode


class Tally:
    """What became of the events so far."""

    def __init__(self) -> None:
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.points = 0
        self.retries = 0
        self.failed = 0
        self.last_failure = ""
        self.details: dict[str, str] = {}
        """What the first problem of each code said."""

    def count(self, answer: _Answer) -> None:
        """Count one answered event."""
        name = answer.problem.code if answer.problem else answer.outcome
        if answer.problem is not None:
            self.details.setdefault(name, answer.problem.detail)
        if answer.reason:
            name = f"{name}: {answer.reason}"
        if answer.replayed:
            name = f"{name} (reported before)"
        else:
            self.points += answer.points
        self.outcomes[name] += 1

    def fail(self, events: int, why: str) -> None:
        """Count events that were given up."""
        self.failed += events
        self.last_failure = why


@click.group(invoke_without_command=True)
@click.option("--events", type=click.IntRange(1), default=2_000, show_default=True, help="How many events to send.")
@click.option(
    "--duplicates", type=click.FloatRange(0, 0.9), default=0.10, show_default=True, help="Share of events reported twice."
)
@click.option("--customers", type=click.IntRange(1), help="How many customers act.  [default: a tenth of the events]")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed and day give the same events.")
@click.option(
    "--day",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The day (UTC) on which the events happened.  [default: yesterday]",
)
@click.option("--rate", type=click.FloatRange(0), help="Events a second, 0 for no limit.  [default: 200; no limit with --file]")
@click.option("--concurrency", type=click.IntRange(1, 64), default=4, show_default=True, help="Concurrent clients.")
@click.option("--batch", type=click.IntRange(1, 10_000), default=500, show_default=True, help="The most events per call.")
@click.option(
    "--write",
    "write_to",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the events to this file instead of sending them.",
)
@click.option(
    "--file", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Send the events in this file."
)
@click.option("--base-url", help="Where the API is.  [default: as in demo.json]")
@click.option("--key", envvar="REWARDS_API_KEY", help="An API key with grants:write.  [default: the demo's messaging key]")
@click.option("--campaign", help="The campaign's id.  [default: as in demo.json]")
@click.pass_context
def simulate(
    context: click.Context,
    *,
    events: int,
    duplicates: float,
    customers: int | None,
    seed: int,
    day: datetime | None,
    rate: float | None,
    concurrency: int,
    batch: int,
    write_to: Path | None,
    file: Path | None,
    base_url: str | None,
    key: str | None,
    campaign: str | None,
) -> None:
    """Send what a messaging system would report in a day: email, SMS, RCS, WhatsApp, push, web and app.

    Or send what a provider's webhook would, with `rewards simulate provider`.

    Reads .rewards/demo.json, which `rewards up` writes, for what is not given.
    """
    if context.invoked_subcommand is not None:
        _refuse_own_options(context)
        return
    known = demo_file.read(demo_file.path_of(settings.load()))
    made = traffic.Traffic(
        campaign=campaign or (known.campaign if known else "") or missing("--campaign"),
        day=day.date() if day else _yesterday(),
        events=events,
        customers=customers or max(50, events // 10),
        seed=seed,
        duplicates=duplicates,
    )
    if write_to is not None:
        with write_to.open("wb") as out:
            out.writelines(traffic.lines(made))
        click.echo(f"{events:,} events of {made.day} written to {write_to}")
        return

    base_url = base_url or (known.base_url if known else None) or missing("--base-url")
    key = key or (known.keys.get("messaging") if known else None) or missing("--key")
    total = _count_lines(file) if file else events
    if rate is None:
        rate = 0 if file else RATE_DEFAULT
    lines = _read_lines(file) if file else traffic.lines(made)
    _send_all(base_url, key, lines, total, rate=rate, concurrency=concurrency, batch_size=batch)


def _send_all(base_url: str, key: str, lines: Iterable[bytes], total: int, **how: Any) -> None:
    tally = Tally()
    started = time.monotonic()
    with click.progressbar(
        length=total, label="Sending", file=sys.stderr, hidden=not sys.stderr.isatty(), show_pos=True
    ) as bar:
        asyncio.run(_send_to(base_url, key, lines, tally=tally, progress=bar.update, **how))
    _report(tally, time.monotonic() - started)
    if tally.failed:
        raise SystemExit(1)


def _refuse_own_options(context: click.Context) -> None:
    given = [name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if given:
        raise click.UsageError(f"Options of `simulate {context.invoked_subcommand}` stand behind it, and it has its own.")


async def _send_to(base_url: str, key: str, lines: Iterable[bytes], *, concurrency: int, **how: Any) -> None:
    headers = {"Content-Type": "application/x-ndjson"}
    limits = httpx.Limits(max_connections=concurrency)
    async with open_client(base_url, key, headers=headers, limits=limits) as client:
        await check(client, "grants:write", "reporting")
        await send(client, lines, concurrency=concurrency, **how)


async def send(
    client: httpx.AsyncClient,
    lines: Iterable[bytes],
    *,
    tally: Tally,
    rate: float = 0,
    concurrency: int = 1,
    batch_size: int = 500,
    progress: Callable[[int], object] = lambda sent: None,
) -> None:
    """Send ``lines`` in batches, ``concurrency`` at once; ``rate`` is events a second, 0 for as fast as they are answered."""
    if rate:
        # At a low rate a full batch would take its time to fill, and traffic would come in bursts.
        batch_size = max(1, min(batch_size, int(rate / BATCHES_PER_SECOND)))
    batches = _batches(lines, batch_size)
    started = time.monotonic()
    taken = 0

    async def send_what_is_next() -> None:
        nonlocal taken
        for batch in batches:
            if tally.failed:
                # The service is away or refuses this key: what one client met, the next batch would meet too.
                tally.fail(len(batch), tally.last_failure)
                continue
            due = started + taken / rate if rate else 0.0
            taken += len(batch)
            if (wait_s := due - time.monotonic()) > 0:
                await asyncio.sleep(wait_s)
            await _send_batch(client, batch, tally)
            progress(len(batch))

    await asyncio.gather(*(send_what_is_next() for _ in range(concurrency)))


async def _send_batch(client: httpx.AsyncClient, batch: Sequence[bytes], tally: Tally) -> None:
    """Send one batch until every event is answered for good. Repeating is safe: an event is paid once."""
    rest = list(batch)
    why = ""
    for attempt in range(ATTEMPTS_MAX):
        if attempt:
            tally.retries += 1
        wait_s = min(WAIT_MAX_S, FIRST_WAIT_S * 2**attempt)
        try:
            response = await client.post("/v1/grants/batch", content=b"".join(rest))
        except httpx.TransportError as error:
            why = f"{type(error).__name__}: {error}"
        else:
            if response.status_code == 200:
                answers = _decode_envelope(response.content).results
                for answer in answers:
                    if not answer.may_be_repeated:
                        tally.count(answer)
                again = [answer for answer in answers if answer.may_be_repeated]
                if not again:
                    return
                rest = [rest[answer.index] for answer in again]
                why = f"{again[0].problem.code}: {again[0].problem.detail}" if again[0].problem else ""
            elif response.status_code in (429, 502, 503, 504):
                why = said(response)
                wait_s = max(wait_s, min(WAIT_MAX_S, _retry_after_s(response)))
            else:
                tally.fail(len(rest), said(response))
                return
        await asyncio.sleep(wait_s * random.uniform(1.0, 1.3))  # noqa: S311 (spreads the clients, nothing secret)
    tally.fail(len(rest), f"given up after {ATTEMPTS_MAX} attempts: {why}")


def _retry_after_s(response: httpx.Response) -> float:
    try:
        return float(response.headers.get("Retry-After", "0"))
    except ValueError:
        return 0.0


def _batches(lines: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    source = iter(lines)
    while batch := list(itertools.islice(source, size)):
        yield batch


def _report(tally: Tally, took_s: float) -> None:
    answered = sum(tally.outcomes.values())
    click.echo(f"{answered:,} events answered in {took_s:.1f} s, {answered / max(took_s, 0.001):,.0f} a second")
    for name, count in tally.outcomes.most_common():
        detail = tally.details.get(name)
        click.echo(f"  {count:>10,}  {name}" + (f" ({detail})" if detail else ""))
    click.echo(f"  {tally.points:>10,}  points granted")
    if tally.retries:
        click.echo(f"  {tally.retries:>10,}  calls repeated")
    if tally.failed:
        click.echo(f"  {tally.failed:>10,}  events without an answer. {tally.last_failure}", err=True)


def _read_lines(file: Path) -> Iterator[bytes]:
    with file.open("rb") as lines:
        for line in lines:
            if line.strip():
                yield line if line.endswith(b"\n") else line + b"\n"


def _count_lines(file: Path) -> int:
    return sum(1 for _ in _read_lines(file))


def _yesterday() -> date:
    return datetime.now(UTC).date() - timedelta(days=1)


simulate.add_command(provider)
