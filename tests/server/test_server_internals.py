"""What our protocol takes for granted of the server it is made of: read again, whenever the server has a new version."""

from __future__ import annotations

import hashlib
import inspect
from typing import Any

import httptools
import uvicorn
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

READ: dict[Any, str] = {
    HttpToolsProtocol.connection_made: "6efb565ff3d36b91",
    HttpToolsProtocol.connection_lost: "c91a4c9bf2e29c55",
    HttpToolsProtocol.data_received: "010a7ae59a5d3b1a",
    HttpToolsProtocol.send_400_response: "ae5a4a3782b646fd",
    HttpToolsProtocol.on_message_begin: "96d377fdc7c2baef",
    HttpToolsProtocol.on_header: "65d62c044f61fdbd",
    HttpToolsProtocol.on_headers_complete: "1ea8589acfad92d8",
    HttpToolsProtocol.on_body: "dba9c32aeba35b6a",
    HttpToolsProtocol.on_message_complete: "1fbad42dc31fc01f",
    HttpToolsProtocol.on_response_complete: "64e254f28e389e76",
    HttpToolsProtocol.shutdown: "d7351fa33f00d430",
    HttpToolsProtocol._start_asgi_task: "9c08c2571ae9b038",  # pyright: ignore[reportPrivateUsage]
    RequestResponseCycle.__init__: "4d2f220910c33c12",
    RequestResponseCycle.run_asgi: "0f33f2449a444bc2",
    RequestResponseCycle.send: "abdd8601b326a8da",
    RequestResponseCycle.receive: "8124ae006be71184",
    FlowControl: "126debcdaa894c83",
    type(ProxyHeadersMiddleware(None).trusted_hosts): "3debe2af4a662daf",  # pyright: ignore[reportArgumentType]
}


def test_the_server_is_the_one_that_was_read() -> None:
    """When this fails, read what has changed, compare service/server with it, and note the new digests."""
    assert (uvicorn.__version__, httptools.__version__) == ("0.54.0", "0.9.0")
    assert {what.__qualname__: _digest(what) for what in READ} == {what.__qualname__: digest for what, digest in READ.items()}


def _digest(what: Any) -> str:
    return hashlib.sha256(inspect.getsource(what).encode()).hexdigest()[:16]
