"""How long what took, for who wants to know: ``pytest -rP`` shows it."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Generator


class Stopwatch:
    """Keeps times by name."""

    def __init__(self) -> None:
        self._taken: defaultdict[str, list[float]] = defaultdict(list)

    @contextlib.contextmanager
    def timing(self, name: str) -> Generator[None]:
        """Take the time of the body."""
        begin = time.perf_counter()
        yield
        self._taken[name].append(time.perf_counter() - begin)

    def __str__(self) -> str:
        lines = [f"{'':40}{'times':>8}{'in all':>10}{'longest':>10} s"]
        for name, taken in self._taken.items():
            lines.append(f"{name:40}{len(taken):8}{sum(taken):10.2f}{max(taken):10.2f}")
        return "\n".join(lines)
