"""HTTP to this machine, without certificates: to load those costs each new client 20 ms of processor time."""

from __future__ import annotations

import functools
from typing import Any

import httpx


def request(method: str, url: str, **options: Any) -> httpx.Response:
    """Make one request."""
    return httpx.request(method, url, verify=False, **options)


get = functools.partial(request, "GET")
post = functools.partial(request, "POST")


def client(**options: Any) -> httpx.AsyncClient:
    """A client for several."""
    return httpx.AsyncClient(verify=False, **options)
