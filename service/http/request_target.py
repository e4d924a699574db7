"""What a request is addressed to: its path and its query, read by one rule for all routes, within the framework and outside.

    decode_paths            the outermost: splits the path that was sent, and decodes each part on its own
    mark_ambiguous_values   in front of the framework: a value that is spelled like a word of another path is still a value
    check_path_and_query    before each route of the framework: its values as they are, its query as its signature declares it

The framework knows a path as text in which slashes part it. So a slash within a value has a stand-in until its route is found.
It begins with NUL, which no value may hold.

Paths and queries of the API are strict. A page for people is lenient, because mail programs and shops add to its address: what
cannot be read there names no page.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Iterator, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
from litestar import Litestar, Request
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Receive, Send

from service.http.json_text import shown
from service.http.names import NotAName, pairs_of, refusal_of, segments_of
from service.http.problems import FieldError, Problem, invalid_field, invalid_fields, not_found, send_problem

API = "v1"

_SLASH = "\0s"
_VALUE = "\0v"
"""In front of a value that is spelled like a word of a path."""


def decode_paths(app: ASGIApp) -> ASGIApp:
    """Wrap the application: each of its paths is decoded from what was sent."""

    # It awaits nothing: what it returns is the application's own call, so that no request passes through a coroutine more.
    def decoded(scope: Any, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http":
            sent: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
            # Most paths have nothing to decode in them. For `in`, bytes would first fail to be a number, which costs more.
            if sent.count(b"%") or sent.count(b"//") or sent.count(b"\0") or not sent.isascii():
                try:
                    scope["path"] = _path_of(sent)
                except Problem as problem:
                    return send_problem(scope, send, problem)
        return app(scope, receive, send)

    return decoded


def _path_of(sent: bytes) -> str:
    try:
        segments = segments_of(sent)
    except NotAName as refused:
        # Nothing is decoded, so nothing is what it was not before.
        as_it_is = sent.decode("utf-8", "replace").replace("\0", "\ufffd")
        if _is_of_api(as_it_is.split("/")):
            raise Problem("malformed_request", f"The path {refused}.") from None
        return as_it_is
    if _is_of_api(segments):
        # An empty part is no value, and to leave it out would make another path of it.
        if "" in segments[1:-1] or any("\0" in segment for segment in segments):
            raise not_found("path")
    else:
        segments = [segment.replace("\0", "\ufffd") for segment in segments]
    return "/".join(segment.replace("/", _SLASH) for segment in segments)


def is_of_api(path: str) -> bool:
    """Whether a path is one of the API."""
    return path.startswith(f"/{API}/") or _is_of_api(path.split("/"))


def _is_of_api(segments: Sequence[str]) -> bool:
    # The framework leaves empty parts out.
    return next(filter(None, segments), "") == API


Template = tuple[str | None, ...]
"""The parts of a route's path; ``None`` stands for a value."""


def mark_ambiguous_values(framework: ASGIApp, app: Litestar) -> ASGIApp:
    """Wrap the framework, which takes a word of some route's path for that word wherever it could be one.

    ``batch`` is a customer's id as good as any, though there is a ``/v1/customers/batch``.
    """
    templates: set[tuple[str, Template]] = {
        (method, tuple(part if isinstance(part, str) else None for part in route.path_components))
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method in route.route_handler_map
    }
    words = _words_among_values({template for _, template in templates})

    async def marked(scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not words.isdisjoint(segments := scope["path"].strip("/").split("/")):
            scope["path"] = "/" + "/".join(_with_values_marked(scope["method"], segments, words, templates))
        await framework(scope, receive, send)

    return marked


def _words_among_values(templates: set[Template]) -> frozenset[str]:
    """The words that stand where another route has a value."""
    in_front_of_values = {template[:place] for template in templates for place, part in enumerate(template) if part is None}
    return frozenset(
        part
        for template in templates
        for place, part in enumerate(template)
        if part is not None and template[:place] in in_front_of_values
    )


def _with_values_marked(
    method: str, segments: list[str], words: frozenset[str], templates: set[tuple[str, Template]]
) -> list[str]:
    fits = [
        template
        for of_method, template in templates
        if of_method == method
        and len(template) == len(segments)
        and all(part is None or part == segment for part, segment in zip(template, segments, strict=True))
    ]
    if not fits:
        return segments
    # What says more of a path goes before what leaves more open.
    best = min(fits, key=lambda template: [part is None for part in template])
    return [
        _VALUE + segment if part is None and segment in words else segment for part, segment in zip(best, segments, strict=True)
    ]


class _Taken(msgspec.Struct, frozen=True):
    """What a route takes of an address."""

    is_of_api: bool
    parameters: frozenset[str]
    several: frozenset[str]
    """Those of the parameters that may be given more than once."""


async def check_path_and_query(request: Request[Any, Any, Any]) -> None:
    """Give a route its values as they were sent, and refuse a query that it does not declare."""
    values: dict[str, Any] = request.scope["path_params"]
    if any("\0" in value for value in values.values() if isinstance(value, str)):
        values = request.scope["path_params"] = {name: _as_sent(value) for name, value in values.items()}
    taken = _taken_by(request.scope["route_handler"])  # pyright: ignore[reportArgumentType] - only such routes come here
    if not taken.is_of_api:
        return
    for name, value in values.items():
        if isinstance(value, str) and (detail := refusal_of(value)) is not None:
            raise invalid_field(f"{{{name}}}", detail)
    query = request.scope["query_string"]
    if query:
        _refuse_other_parameters(query, taken)
        if not query.isascii():
            # The framework takes each byte for a letter of Latin-1.
            request.scope["query_string"] = b"".join(b"%%%02X" % byte if byte >= 0x80 else bytes([byte]) for byte in query)


def refuse_parameters(query: bytes) -> None:
    """Refuse the query of a route outside the framework that declares none."""
    _refuse_other_parameters(query, _Taken(is_of_api=True, parameters=frozenset(), several=frozenset()))


def _refuse_other_parameters(query: bytes, taken: _Taken) -> None:
    try:
        pairs = pairs_of(query)
    except NotAName as refused:
        raise Problem(
            "invalid_field", f"The query {refused}.", errors=[FieldError("?", "invalid_field", str(refused))]
        ) from None
    if errors := list(_errors_of(pairs, taken)):
        raise invalid_fields(errors)


def _errors_of(pairs: list[tuple[str, str]], taken: _Taken) -> Iterator[FieldError]:
    seen: set[str] = set()
    for name, value in pairs:
        pointer = f"?{shown(name)}".replace("\0", "")
        if name not in taken.parameters:
            yield FieldError(pointer, "unknown_field", "is not a parameter of this request")
        elif "\0" in value:
            yield FieldError(pointer, "invalid_field", "must not contain a NUL character")
        elif name in seen and name not in taken.several:
            yield FieldError(pointer, "invalid_field", "is given twice")
        seen.add(name)


def _as_sent(value: Any) -> Any:
    return value.removeprefix(_VALUE).replace(_SLASH, "/") if isinstance(value, str) else value


@functools.cache
def _taken_by(handler: HTTPRouteHandler) -> _Taken:
    names = {name for path in handler.paths for name in re.findall(r"\{(\w+)", path)}
    model = handler.create_kwargs_model(path_parameters=dict.fromkeys(names))  # pyright: ignore[reportArgumentType] - only names
    return _Taken(
        is_of_api=handler.resolve_include_in_schema(),
        parameters=frozenset(parameter.field_alias for parameter in model.expected_query_params),
        several=frozenset(model.sequence_query_parameter_names),
    )
