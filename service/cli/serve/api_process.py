"""One API process: the API on one socket, its metrics and health on another."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import socket
from collections.abc import Callable, Generator

import uvicorn
import uvloop
from litestar import Litestar

from service.admission.in_flight import InFlight
from service.admission.limits import OPERATOR_BOUNDS
from service.app import create_app, operator_app
from service.cli.process import stop_event
from service.server.admission_control import AdmissionControl
from service.server.listening import in_copies
from service.server.load_shedding import SheddingProtocol
from service.server.open_files import bounds_for_files, raise_file_limit
from service.settings import Settings, load_secrets

# Longer than the longest statement, so that what was accepted is answered.
SHUTDOWN_TIMEOUT_S = 10
_ALLOCATIONS_BETWEEN_LOOKS = 50_000


class Server(uvicorn.Server):
    """Two of these live in one process, so neither may take its signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nothing more, finish what was accepted."""
        for listening in (sockets or [])[:1]:
            # The supervisor has the port's sockets too: without this, clients would go on queueing where nobody accepts.
            with listening.dup() as copy:
                for server in self.servers:
                    server.close()
                copy.shutdown(socket.SHUT_RDWR)
        await super().shutdown(sockets)


def application(settings: Settings) -> Litestar:
    """The application, not started yet. Raises `SettingsError` when the secrets are not as they must be."""
    return create_app(settings, load_secrets(settings.secrets_path), bounds=bounds_for_files(raise_file_limit()))


def run(
    app: Litestar,
    settings: Settings,
    public: socket.socket,
    operator: socket.socket,
    *,
    parent: int | None,
    started: Callable[[], None] = lambda: None,
) -> None:
    """Serve until told to stop, or until ``parent`` (see ``stop_event``) is gone. Calls ``started`` when it begins."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(app, settings, public, operator, parent, started))


async def _serve(
    app: Litestar,
    settings: Settings,
    public: socket.socket,
    operator: socket.socket,
    parent: int | None,
    started: Callable[[], None],
) -> None:
    stop = stop_event(parent)
    # Opened here and not by the server, which would swallow the reason when it cannot be.
    async with app.lifespan(), asyncio.TaskGroup() as tasks:
        # All that is there now stays: the collector need not look at it again and again, at some hundred milliseconds a look.
        gc.collect()
        gc.freeze()
        # Requests leave no reference cycles behind, so frequent collections would only cost time.
        gc.set_threshold(_ALLOCATIONS_BETWEEN_LOOKS, *gc.get_threshold()[1:])
        gate = AdmissionControl(app.state.in_flight, settings.trusted_proxies)
        # The operator sees what is going on also when the process is full, so the operator's port has a gate of its own.
        operator_gate = AdmissionControl(InFlight(OPERATOR_BOUNDS))
        servers = [
            Server(configuration(app, functools.partial(SheddingProtocol, gate=gate), settings)),
            Server(configuration(operator_app(app), functools.partial(SheddingProtocol, gate=operator_gate), settings)),
        ]
        serving: list[asyncio.Task[None]] = []
        for server, listening in zip(servers, (public, operator), strict=True):
            serving.append(tasks.create_task(server.serve(in_copies(listening))))
        looking = [tasks.create_task(each.check_forever()) for each in (gate, operator_gate)]
        started()
        await stop.wait()
        for server in servers:
            server.should_exit = True
        await asyncio.gather(*serving)
        for task in looking:
            task.cancel()


def configuration(app: Litestar, protocol: Callable[..., asyncio.Protocol], settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # pyright: ignore[reportArgumentType] - Litestar is an ASGI application, its types say it in other words
        loop="none",
        http=protocol,  # pyright: ignore[reportArgumentType] - it is only called
        ws="none",
        lifespan="off",
        log_config=None,
        # Our own line is written by the application; the server's would halve its speed.
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
    )
