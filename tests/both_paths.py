"""Watches what is sent down the fast path and through the framework: which of them took a request, and what was logged."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog

from service.auth import fast_path
from service.observability import log


@dataclass
class Watch:
    """What was seen. ``taken`` has an entry for each request that the fast path took."""

    taken: list[str] = field(default_factory=list[str])
    lines: io.BytesIO = field(default_factory=io.BytesIO)

    def clear_log(self) -> None:
        """Forget what was logged."""
        self.lines.truncate(0)
        self.lines.seek(0)

    def last_line(self) -> dict[str, Any]:
        """The log line of the last request, without what is new each time."""
        line: dict[str, Any] = json.loads(self.lines.getvalue().splitlines()[-1])
        for name in ("timestamp", "duration_ms"):
            del line[name]
        return line


@contextlib.contextmanager
def watching(patch: pytest.MonkeyPatch) -> Generator[Watch]:
    """Watch who is let in on the fast path."""
    watch = Watch()
    admit = fast_path.admit

    async def noting(*arguments: Any) -> Any:
        watch.taken.append("one")
        return await admit(*arguments)

    patch.setattr(fast_path, "admit", noting)
    log.configure("info", watch.lines)
    yield watch
    structlog.reset_defaults()
