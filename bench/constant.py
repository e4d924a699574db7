"""The reference of everything over HTTP: the same server and framework, the same body decoded, a constant answer.

No authentication, log, metrics or database. Run as ``python -m bench.constant PORT``; it ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Generator
from typing import Any

import uvicorn
import uvloop
from litestar import Litestar, get, post
from litestar.params import FromPath, JSONBody

from service.grants.schemas import GrantAnswer, GrantRequest

_ANSWER = GrantAnswer(
    grant_id="grt_" + 40 * "0", outcome="granted", reason=None, points=5, balance=125, balance_seq=1, replayed=False
)


@post("/v1/grants")
async def report_event(data: JSONBody[GrantRequest]) -> GrantAnswer:
    """Decode a report and answer what is always answered."""
    return _ANSWER


@post("/r/{token:str}", status_code=200)
async def claim_link(token: FromPath[str]) -> GrantAnswer:
    """Take a token without a look at it."""
    return _ANSWER


@get("/r/{token:str}")
async def follow_link(token: FromPath[str]) -> GrantAnswer:
    """Lead nowhere."""
    return _ANSWER


@get("/v1/customers/{customer_id:str}/balance")
async def get_balance(customer_id: FromPath[str]) -> GrantAnswer:
    """Look nothing up."""
    return _ANSWER


@get("/health/live")
async def is_live() -> None:
    """Say that requests are taken."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


async def _serve(port: int) -> None:
    app: Any = Litestar([report_event, claim_link, follow_link, get_balance, is_live], openapi_config=None, logging_config=None)
    server = _Server(
        uvicorn.Config(app, loop="none", http="httptools", ws="none", log_config=None, access_log=False, server_header=False)
    )

    def look() -> None:
        if not os.read(sys.stdin.fileno(), 1):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            server.should_exit = True

    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), look)
    await server.serve([socket.create_server(("127.0.0.1", port), backlog=2_048)])


def main() -> None:
    """Serve until nobody holds the other end of standard input."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(int(sys.argv[1])))


if __name__ == "__main__":
    main()
