"""One JSON object a line, written without blocking on formatting.

What is logged names no person and holds no secret: no bodies, headers, query strings, tokens or addresses. An error is logged
as its type and the lines it came through, never with its message, because a database's message quotes the row.
"""

from __future__ import annotations

import logging
import sys
import traceback
from pathlib import Path
from typing import Any, BinaryIO

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


def configure(level: str = "info", stream: BinaryIO | None = None) -> None:
    """Send all logging of this process to ``stream`` (standard output unless given), one JSON object a line."""
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.BytesLoggerFactory(stream or sys.stdout.buffer),
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
