"""The metrics of several processes as those of one.

    counters, histograms   added up, also over processes that have ended, as they were last read: no sum ever falls
    gauges                 added up, but for those in ``TAKEN``
    ``*_created``          the earliest

What a process counts after it was last read and before it ends is not in the sums. While one does not answer, its gauges are
not either.

Sums are lost with who adds them up. The next one takes what it finds for nought, so that all of them begin again: had it begun
with what the living processes counted, a sum would fall by a little, and be taken for a new one that has grown by all the rest.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Generator, Iterable, Sequence

import msgspec
from prometheus_client import Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families

TAKEN: dict[str, Callable[[float, float], float]] = {
    "process_start_time_seconds": min,
    "python_info": max,
    "rewards_deferred_claims_age_seconds": max,
    # They share the disks.
    "rewards_disk_free_bytes": min,
    "rewards_disk_size_bytes": min,
    # Each looks at all of them.
    "rewards_sources": max,
    "rewards_envelopes_waiting": max,
}
"""What is the same of all, or is told by one of them."""

_STARTED = "process_start_time_seconds"
_GAUGES = {"gauge", "unknown"}
_Labels = tuple[tuple[str, str], ...]


class _Family(msgspec.Struct):
    """A metric with all its series."""

    documentation: str
    kind: str
    samples: dict[tuple[str, _Labels], float]


_Families = dict[str, _Family]


class AddedMetrics:
    """The sums over a number of processes, each of which may end and be followed by another."""

    def __init__(self, processes: int, *, since: float | None = None) -> None:
        """``since`` is when this one took over from another: what was counted before is not in its sums."""
        self._since = since
        self._before: list[_Families] = [{} for _ in range(processes)]
        self._last: list[_Families] = [{} for _ in range(processes)]
        self._now: list[_Families] = []
        self._ended: _Families = {}
        self._restarts = 0

    def see(self, texts: Sequence[str | None]) -> None:
        """Take what each process says now; ``None`` from one that says nothing."""
        self._now = []
        for index, text in enumerate(texts):
            last = self._last[index]
            if text is None:
                self._now.append(_counted(last))
                continue
            families = _read(text)
            if not last and self._since is not None and (_started_at(families) or 0) < self._since:
                self._before[index] = _counted(families)
            if last and _started_at(last) != _started_at(families):
                self._ended = _add([self._ended, _counted(last)])
                self._restarts += 1
                self._before[index] = {}
            self._last[index] = _less(families, self._before[index])
            self._now.append(self._last[index])

    def render(self) -> bytes:
        """What was seen, as one process would say it."""
        return generate_latest(_Collected(_add([*self._now, self._ended, _restarts(self._restarts)])))


class _Collected:
    """Families in the shape in which the library writes them."""

    def __init__(self, families: _Families) -> None:
        self._families = families

    def collect(self) -> Generator[Metric]:
        """Each of them."""
        for name, family in self._families.items():
            metric = Metric(name, family.documentation, family.kind)
            for (sample, labels), value in family.samples.items():
                metric.add_sample(sample, dict(labels), value)
            yield metric


def _read(text: str) -> _Families:
    return {
        metric.name: _Family(
            metric.documentation,
            metric.type,
            {(sample.name, tuple(sample.labels.items())): sample.value for sample in metric.samples},
        )
        for metric in text_string_to_metric_families(text)
    }


def _restarts(count: int) -> _Families:
    return {"rewards_process_restarts": _Family("", "counter", {("rewards_process_restarts_total", ()): count})}


def _counted(families: _Families) -> _Families:
    return {name: family for name, family in families.items() if family.kind not in _GAUGES or name.endswith("_created")}


def _less(families: _Families, before: _Families) -> _Families:
    """What was counted since ``before``. When a series was created stays as it is."""
    return {
        name: family
        if name not in before or name.endswith("_created")
        else _Family(
            family.documentation,
            family.kind,
            {series: value - before[name].samples.get(series, 0) for series, value in family.samples.items()},
        )
        for name, family in families.items()
    }


def _started_at(families: _Families) -> float | None:
    started = families.get(_STARTED)
    return None if started is None else started.samples.get((_STARTED, ()))


def _add(each: Iterable[_Families]) -> _Families:
    total: _Families = {}
    for families in each:
        for name, family in families.items():
            into = total.setdefault(name, _Family(family.documentation, family.kind, {})).samples
            together = min if name.endswith("_created") else TAKEN.get(name, operator.add)
            for series, value in family.samples.items():
                into[series] = together(into[series], value) if series in into else value
    return total
