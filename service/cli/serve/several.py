"""Several API processes on one port, and one more that answers the operator's for all of them.

    the port               a socket for each process, bound here once (``service/server/listening.py`` says why)
    the operator's port    its own process (``operator_process.py``), which asks each API process at a local port
    the spool              one directory: a process writes only to files of its own, and the living adopt what the dead left
    limits, pools, caches  each process has its own, as everywhere

All is loaded and the application made before they are forked (``supervisor.py``). Settings and secrets come along in memory.
"""

from __future__ import annotations

import functools
import select
import socket
import sys

import msgspec
import structlog
from litestar import Litestar

from service.cli.serve import api_process
from service.cli.serve.supervisor import Child, Supervised, Supervisor
from service.observability import log
from service.server.listening import listen, listen_locally, listen_together, when_free
from service.settings import Settings, SettingsError

_PORT_FREE_WITHIN_S = 3.0
"""Processes whose supervisor was killed leave the port by themselves."""


class _Sockets(msgspec.Struct, frozen=True):
    """What is bound once, before there are processes. ``public`` and ``private`` have one for each API process."""

    public: list[socket.socket]
    private: list[socket.socket]
    operator: socket.socket

    def close_all_but(self, *ours: socket.socket) -> None:
        """In a process: let go of what is others'. A port is free when nobody has it any more."""
        for each in (*self.public, *self.private, self.operator):
            if each not in ours:
                each.close()


def serve(settings: Settings, count: int, parent: int | None) -> None:
    """Serve from ``count`` processes, until told to stop or ``parent`` ends. Returns in each of them too."""
    # Lines of several processes stay whole where each write does: in a pipe, up to so much.
    said = open(sys.stdout.fileno(), "wb", buffering=select.PIPE_BUF, closefd=False)  # noqa: SIM115 - for as long as we live
    log.configure(settings.log_level, said)
    within_s = 0.0 if parent is None else _PORT_FREE_WITHIN_S
    sockets = when_free(functools.partial(_bind, settings, count), within_s=within_s)
    app = api_process.application(settings)
    children = [
        Child(
            f"api {index + 1}",
            functools.partial(_serve_api, app, settings, sockets, index),
            listening=(sockets.public[index], sockets.private[index]),
        )
        for index in range(count)
    ]
    children.append(Child("operator", functools.partial(_serve_operator, settings, sockets)))
    work = Supervisor(children, parent=parent).run()
    if work is not None:
        work()


def _bind(settings: Settings, count: int) -> _Sockets:
    operator = listen(settings.operator_host, settings.operator_port, "REWARDS_OPERATOR_PORT")
    try:
        public = listen_together(settings.host, settings.port, "REWARDS_PORT", count)
    except SettingsError:
        operator.close()
        raise
    return _Sockets(public, [listen_locally() for _ in range(count)], operator)


def _serve_api(app: Litestar, settings: Settings, sockets: _Sockets, index: int, supervised: Supervised) -> None:
    structlog.contextvars.bind_contextvars(process=index + 1)
    public, private = sockets.public[index], sockets.private[index]
    sockets.close_all_but(public, private)
    api_process.run(app, settings, public, private, parent=supervised.parent, started=supervised.started)


def _serve_operator(settings: Settings, sockets: _Sockets, supervised: Supervised) -> None:
    from service.cli.serve import operator_process  # here, so that nobody else loads its client

    addresses: list[tuple[str, int]] = [each.getsockname() for each in sockets.private]
    sockets.close_all_but(sockets.operator)
    operator_process.run(settings, sockets.operator, addresses, supervised)
