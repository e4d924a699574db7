"""Getting something over HTTPS from a host that others named: from checked addresses, whole, and of a bounded length."""

from __future__ import annotations

import ssl

from service.egress.calling import CallFailed, Request, call_at, pinned_to, target_of
from service.egress.resolving import Pinned, Resolver

FETCH_TIMEOUT_S = 5.0
BYTES_MAX = 64 * 1024
_OK = 200


class FetchFailed(OSError):
    """It cannot be had now; the message says why."""


async def get(resolver: Resolver, url: str) -> bytes:
    """What is at an ``https`` URL. Raises `FetchFailed`."""
    try:
        target = target_of(url)
        pinned = await pinned_to(resolver, url)
    except CallFailed as error:
        raise FetchFailed(str(error)) from error
    return await get_from(pinned, target)


async def get_from(pinned: Pinned, target: str, *, context: ssl.SSLContext | None = None) -> bytes:
    """What a host has for a path and query. Raises `FetchFailed`."""
    request, context = Request("GET", target), context or ssl.create_default_context()
    try:
        answer = await call_at(pinned, request, context, timeout_s=FETCH_TIMEOUT_S, bytes_max=BYTES_MAX)
    except CallFailed as error:
        raise FetchFailed(str(error)) from error
    if answer.status != _OK:
        raise FetchFailed("is not there, or not whole")
    return answer.body
