"""Requests that bypass the framework: one table of method and path, with the handler of each.

    Route("POST", "/v1/grants", report_event)
    Route(None, "/r/{token}", link_page)         any method: the handler says which it takes

Of the routes that fit a path, the first to take the request answers it. A handler that returns ``None`` leaves the request to
the next one, and the last of them leaves it to the framework.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from litestar.types import ASGIApp, Receive, Send

from service.http.request_target import API

if TYPE_CHECKING:
    from service.services import Services

Handler = Callable[["Services", Any, Receive, Send, str], Awaitable[None] | None]
"""Decides at once whether it takes a request. It is given the ASGI scope and callables, and the value in the path."""


class Route(msgspec.Struct, frozen=True):
    """One line of the table. One segment of its path may have a ``{value}``."""

    method: str | None
    path: str
    handler: Handler
    called: str = ""
    """What logs and metrics call the route, if not by its path."""


def dispatch(routes: Sequence[Route], services: Services, framework: ASGIApp) -> ASGIApp:
    """Put the routes in front of the framework, which answers what none of them takes."""
    table = _Table(routes)

    # It awaits nothing: a request passes through no coroutine on its way to its handler.
    def dispatched(scope: Any, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http":
            fitting, value = table.find(scope["path"])
            for method, called, handler in fitting:
                if method is None or method == scope["method"]:
                    taken = handler(services, scope, receive, send, value)
                    if taken is not None:
                        scope["path_template"] = called
                        return taken
        return framework(scope, receive, send)

    return dispatched


_Entry = tuple[str | None, str, Handler]
_NOTHING: tuple[list[_Entry], str] = ([], "")


class _Table:
    """Routes by the paths that they fit."""

    def __init__(self, routes: Sequence[Route]) -> None:
        by_pattern: dict[str, list[_Entry]] = {}
        for route in routes:
            by_pattern.setdefault(_pattern_of(route.path), []).append((route.method, route.called or route.path, route.handler))
        # A path without a value is found at once, and before one whose value it could be.
        with_value = {pattern: entries for pattern, entries in by_pattern.items() if "(" in pattern}
        self._by_path = {route.path: by_pattern[_pattern_of(route.path)] for route in routes if "{" not in route.path}
        self._by_group: list[list[_Entry]] = [[], *with_value.values()]
        self._match = re.compile("|".join(with_value) or "(?!)").fullmatch

    def find(self, path: str) -> tuple[list[_Entry], str]:
        """The routes that fit a path, and the value in it."""
        if (entries := self._by_path.get(path)) is not None:
            return entries, ""
        if not path[-1:].isalnum() or "//" in path:
            path = _tidied(path)
            if (entries := self._by_path.get(path)) is not None:
                return entries, ""
        match = self._match(path)
        if match is None:
            return _NOTHING
        group = match.lastindex or 0
        return self._by_group[group], match[group]


def _pattern_of(path: str) -> str:
    # No segment is empty, though the value in front of a suffix may be.
    return re.sub(r"\\{\w+\\}", "(?=[^/])([^/]*)", re.escape(path))


def _tidied(path: str) -> str:
    """A path without empty segments and, outside the API, without signs at its end: in a message they may follow a link."""
    segments = [segment for segment in path.split("/") if segment]
    while len(segments) > 1 and segments[0] != API and not any(map(str.isalnum, segments[-1])):
        segments.pop()
    return "/" + "/".join(segments)
