"""One JSON object a line, written without blocking on formatting.

What is logged names no person and holds no secret: no bodies, headers, query strings, tokens or addresses. An error is logged
as its type and the lines it came through, never with its message, because a database's message quotes the row.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec
import structlog

_encode = msgspec.json.Encoder(enc_hook=str).encode


def _render(_logger: object, _method: str, event: Any) -> bytes:
    return _encode(event)


class _ToStructlog(logging.Handler):
    """Sends what libraries say through the standard library's logging to the same stream."""

    def emit(self, record: logging.LogRecord) -> None:
        failure = record.exc_info[1] if record.exc_info else None
        details: dict[str, Any] = describe_error(failure) if failure is not None else {}
        # Only the first line: asyncio, for one, quotes the exception of a forgotten task on the second.
        said = record.getMessage().partition("\n")[0]
        structlog.get_logger().log(max(record.levelno, logging.DEBUG), said, logger=record.name, **details)


class _Unfailing:
    """A stream that drops what its disk does not take: a full disk must cost lines, not answers."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, line: bytes) -> None:
        # One of each request: a `suppress` is made for each, a `try` costs nothing.
        try:  # noqa: SIM105
            self._stream.write(line)
        except OSError:
            pass

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


class _RequestLine(msgspec.Struct, tag_field="event", tag="request"):
    request_id: str
    method: str
    route: str
    status: int
    duration_ms: float
    timestamp: datetime
    code: str | msgspec.UnsetType
    brand: str | msgspec.UnsetType
    api_key_id: int | msgspec.UnsetType
    level: str = "info"


class _RequestLines:
    """Writes the line of each request. What is said in one turn of the event loop is written together at its end."""

    def __init__(self) -> None:
        self.stream: _Unfailing | None = None
        self._waiting = False

    def write(self, line: bytes) -> None:
        stream = self.stream
        if stream is None:
            return
        stream.write(line)
        if not self._waiting:
            self._waiting = True
            asyncio.get_running_loop().call_soon(self._flush, stream)

    def _flush(self, stream: _Unfailing) -> None:
        self._waiting = False
        stream.flush()


_request_lines = _RequestLines()


def request(
    *,
    request_id: str,
    method: str,
    route: str,
    status: int,
    duration_ms: float,
    code: str | None,
    brand: str | None,
    api_key_id: int | None,
) -> None:
    """Log that a request was answered: the line that structlog would write, in a quarter of its time."""
    line = _RequestLine(
        request_id,
        method,
        route,
        status,
        duration_ms,
        datetime.now(UTC),
        code or msgspec.UNSET,
        brand or msgspec.UNSET,
        api_key_id or msgspec.UNSET,
    )
    _request_lines.write(_encode(line) + b"\n")


def configure(level: str = "info", stream: BinaryIO | None = None) -> None:
    """Send all logging of this process to ``stream`` (standard output unless given), one JSON object a line."""
    number = logging.getLevelNamesMapping()[level.upper()]
    unfailing = _Unfailing(stream or sys.stdout.buffer)
    _request_lines.stream = unfailing if number <= logging.INFO else None
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.BytesLoggerFactory(cast(BinaryIO, unfailing)),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_ToStructlog()]
    # Libraries narrate at level info what our own lines already say.
    root.setLevel(max(number, logging.WARNING))


def _short(filename: str) -> str:
    return "/".join(Path(filename).parts[-3:])


def describe_error(error: BaseException) -> dict[str, Any]:
    """Return the type of ``error``, the lines it came through, and what the database calls it, but nothing it quotes."""
    through = traceback.extract_tb(error.__traceback__)
    # The libraries' own lines between ours tell little; the last says where it failed.
    ours = [frame for frame in through[:-1] if "site-packages" not in frame.filename]
    frames = [f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in (*ours, *through[-1:])]
    described: dict[str, Any] = {"error": type(error).__qualname__, "frames": frames}
    for name in ("sqlstate", "constraint_name"):
        value = getattr(error, name, None)
        if value is not None:
            described[name] = value
    if error.__cause__ is not None:
        described["cause"] = describe_error(error.__cause__)
    return described


def error_with_frames(event: str, error: BaseException, **context: object) -> None:
    """Log ``error`` under ``event``."""
    structlog.get_logger().error(event, **describe_error(error), **context)
