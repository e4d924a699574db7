"""Requests so plain that they need no framework, and how they are answered.

Plain is what nearly every program sends. Whatever else a request says of its body, its host or its query concerns the
framework, which knows what is right: such a request is left to it.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from litestar.types import Send

from service.admission.limits import SINGLE_BYTES_MAX
from service.http.idempotency import HEADER, REPLAYED, parse_key
from service.http.problems import Problem

_JSON = frozenset({b"application/json", b"application/json; charset=utf-8", b"application/json;charset=utf-8"})
_HOST = re.compile(rb"[0-9A-Za-z.:\[\]-]*")
_ELSEWHERE = frozenset({b"content-encoding", b"transfer-encoding"})
_IDEMPOTENCY_KEY = HEADER.lower().encode()

_JSON_ANSWER = (b"content-type", b"application/json")
_REPLAYED = (REPLAYED.lower().encode(), b"true")

_encode = msgspec.json.Encoder().encode


class PlainRequest(msgspec.Struct, frozen=True, gc=False):
    """What was sent."""

    value: str
    """The value in the path."""
    body: bytes
    idempotency_key: str


class FastAnswer(msgspec.Struct, frozen=True, gc=False):
    """What is answered, as JSON."""

    status: int
    content: msgspec.Struct
    replayed: bool = False


def authorization_with_json(scope: Any, *, bytes_max: int = SINGLE_BYTES_MAX) -> list[str] | None:
    """What a plain request with a JSON body of at most ``bytes_max`` has in ``Authorization``; ``None`` for any other."""
    if scope["query_string"]:
        return None
    sent: list[str] = []
    types = length = 0
    for name, value in scope["headers"]:
        if name == b"authorization":
            sent.append(value.decode("latin-1"))
        elif name == b"content-type":
            types += 1 if value in _JSON else 2
        elif name == b"content-length":
            length = int(value) if value.isdigit() else 0
        elif name in _ELSEWHERE or (name == b"host" and not _HOST.fullmatch(value)):
            return None
    return sent if types == 1 and 0 < length <= bytes_max and not scope.get("root_path") else None


def authorization_without_body(scope: Any) -> list[str] | None:
    """What a plain request without a body has in ``Authorization``; ``None`` for any other."""
    if scope["query_string"]:
        return None
    sent: list[str] = []
    for name, value in scope["headers"]:
        if name == b"authorization":
            sent.append(value.decode("latin-1"))
        elif (
            name in _ELSEWHERE
            or (name == b"host" and not _HOST.fullmatch(value))
            or (name == b"content-length" and value != b"0")
        ):
            return None
    return None if scope.get("root_path") else sent


def idempotency_key_of(scope: Any) -> str | None:
    """The idempotency key of a request, if it has one that is right. What is wrong with others the framework's route says."""
    sent = [value for name, value in scope["headers"] if name == _IDEMPOTENCY_KEY]
    if len(sent) != 1:
        return None
    try:
        return parse_key(sent[0].decode("latin-1"))
    except Problem:
        return None


async def send_answer(send: Send, answer: FastAnswer) -> None:
    """Answer with a JSON document."""
    body = _encode(answer.content)
    length = (b"content-length", b"%d" % len(body))
    headers = [_JSON_ANSWER, length, _REPLAYED] if answer.replayed else [_JSON_ANSWER, length]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
