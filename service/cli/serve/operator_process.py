"""What answers the operator's port for several API processes: it asks each at a port that only this machine reaches.

    /metrics        added up (``service/observability/added_metrics.py``)
    /health/live    200 when each lives
    /health/ready   200 when each is ready; else what one of them says is missing

It is a process beside the others, so it answers also when they are busy, and remembers what those that ended had counted. If
it ends itself, its successor counts from nought.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import time
from collections.abc import Sequence
from typing import Any

import httpx
import msgspec
import uvloop
from litestar import Litestar, Response, get, head
from litestar.di import Provide

from service.admission.in_flight import InFlight
from service.admission.limits import OPERATOR_BOUNDS
from service.app import NoEvents
from service.cli.process import stop_event
from service.cli.serve.api_process import Server, configuration
from service.cli.serve.supervisor import Supervised
from service.http import problems
from service.http.injection import Injected
from service.http.middleware import release
from service.http.problems import RETRY_AFTER_S, Problem
from service.observability import metrics
from service.observability.added_metrics import AddedMetrics
from service.server.admission_control import AdmissionControl
from service.server.health import Health
from service.server.listening import in_copies
from service.server.load_shedding import SheddingProtocol
from service.settings import Settings

ANSWERS_WITHIN_S = 5.0
"""A little more than readiness itself takes when the database does not answer."""


class _Refusal(msgspec.Struct):
    """What a process says that is not ready."""

    code: str
    detail: str


class ApiProcesses:
    """The API processes, as one asks them, and what they have counted."""

    def __init__(self, addresses: Sequence[tuple[str, int]], *, since: float | None = None) -> None:
        """``since`` is when this process took over from another, if it did."""
        self._added = AddedMetrics(len(addresses), since=since)
        self._counting = asyncio.Lock()
        self._addresses = [f"http://{host}:{port}" for host, port in addresses]
        # A connection each time: one that is kept may lead to a process that is gone.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.AsyncClient(timeout=ANSWERS_WITHIN_S, limits=limits, trust_env=False)

    async def ask(self, path: str) -> list[httpx.Response | None]:
        """The answer of each; ``None`` of one that does not answer."""
        return await asyncio.gather(*(self._ask(address + path) for address in self._addresses))

    async def count(self) -> bytes:
        """The metrics of all as those of one. One call after the other: an answer that comes late is not the newest."""
        async with self._counting:
            answers = await self.ask("/metrics")
            self._added.see([answer.text if answer is not None and answer.is_success else None for answer in answers])
            return self._added.render()

    async def check(self, path: str) -> tuple[str, ...]:
        """What all of them warn of. Raises the problem of one that is not well."""
        answers = await self.ask(path)
        if silent := answers.count(None):
            raise Problem(
                "overloaded",
                f"{silent} of {len(answers)} API processes do not answer.",
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )
        given = [answer for answer in answers if answer is not None]
        for answer in given:
            if not answer.is_success:
                refusal = msgspec.json.decode(answer.content, type=_Refusal)
                raise Problem(refusal.code, refusal.detail, headers={"Retry-After": str(RETRY_AFTER_S)})
        said = [msgspec.json.decode(answer.content, type=Health).warnings for answer in given]
        return tuple(dict.fromkeys(warning for warnings in said for warning in warnings))

    async def _ask(self, url: str) -> httpx.Response | None:
        try:
            return await self._client.get(url)
        except httpx.TransportError:
            return None


@get("/metrics")
async def read_metrics(processes: Injected[ApiProcesses]) -> Response[bytes]:
    """Return the metrics of all processes as those of one."""
    return Response(await processes.count(), headers={"Content-Type": metrics.CONTENT_TYPE})


@get("/health/live")
async def live(processes: Injected[ApiProcesses]) -> Health:
    """Answer 200 while all processes live."""
    return Health(warnings=await processes.check("/health/live"))


@get("/health/ready")
async def ready(processes: Injected[ApiProcesses]) -> Health:
    """Answer 200 if all processes are ready."""
    return Health(warnings=await processes.check("/health/ready"))


@head("/health/live")
async def live_in_short(processes: Injected[ApiProcesses]) -> None:
    """As ``live``, for who looks at the status alone."""
    await processes.check("/health/live")


@head("/health/ready")
async def ready_in_short(processes: Injected[ApiProcesses]) -> None:
    """As ``ready``, for who looks at the status alone."""
    await processes.check("/health/ready")


def application(processes: ApiProcesses) -> Litestar:
    """What the operator's port serves."""

    def asked() -> ApiProcesses:
        return processes

    served = Litestar(
        route_handlers=[read_metrics, live, ready, live_in_short, ready_in_short],
        dependencies={"processes": Provide(asked, sync_to_thread=False)},
        signature_namespace={"ApiProcesses": ApiProcesses},
        exception_handlers=problems.exception_handlers,
        openapi_config=None,
        logging_config=None,
        event_emitter_backend=NoEvents,
    )
    served.asgi_handler = release(served.asgi_handler)
    return served


def run(
    settings: Settings,
    operator: socket.socket,
    addresses: Sequence[tuple[str, int]],
    supervised: Supervised,
) -> None:
    """Serve until told to stop, or until the supervisor is gone."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, operator, addresses, supervised))


async def _serve(
    settings: Settings, operator: socket.socket, addresses: Sequence[tuple[str, int]], supervised: Supervised
) -> None:
    stop = stop_event(supervised.parent)
    processes = ApiProcesses(addresses, since=time.time() if supervised.is_successor else None)
    gate = AdmissionControl(InFlight(OPERATOR_BOUNDS))
    protocol = functools.partial(SheddingProtocol, gate=gate)
    server = Server(configuration(application(processes), protocol, settings))
    async with asyncio.TaskGroup() as tasks:
        if supervised.is_successor:
            tasks.create_task(processes.count())
        serving: asyncio.Task[Any] = tasks.create_task(server.serve(in_copies(operator)))
        looking = tasks.create_task(gate.check_forever())
        supervised.started()
        await stop.wait()
        server.should_exit = True
        await serving
        looking.cancel()
