"""Charts as SVG: bars, lines, and what is left of a budget.

An SVG here holds shapes only: it is stretched to the page, and labels beside it are text. Its classes are coloured by the
stylesheet, in the dark as well. A reader who cannot see it has the table that belongs to it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from markupsafe import Markup

WIDTH, HEIGHT = 1_000, 200


class Series(msgspec.Struct, frozen=True):
    """Figures of one kind, one for each place on the axis."""

    title: str
    values: Sequence[int]


class Chart(msgspec.Struct, frozen=True):
    """A drawing, the labels at its edges, and what its colours are: the n-th series has the class ``series-n``."""

    svg: Markup
    legend: Sequence[str]
    first: str
    last: str
    top: int
    bottom: int = 0


def bars(series: Sequence[Series], labels: Sequence[str]) -> Chart:
    """Bars, one for each label, in which the series are stacked. A negative value counts as zero."""
    tops = [sum(max(each.values[place], 0) for each in series) for place in range(len(labels))]
    top = _round_up(max(tops, default=0))
    step = WIDTH / max(len(labels), 1)
    drawn: list[str] = []
    for place, label in enumerate(labels):
        y = float(HEIGHT)
        for number, each in enumerate(series, 1):
            value = max(each.values[place], 0)
            height = HEIGHT * value / top
            y -= height
            if value:
                drawn.append(_bar(number, place * step + step * 0.1, y, step * 0.8, height, f"{label}: {value:,} {each.title}"))
    return _chart(drawn, [each.title for each in series], labels, top)


def lines(series: Sequence[Series], labels: Sequence[str]) -> Chart:
    """Lines from label to label, the first with the area below it."""
    values = [value for each in series for value in each.values]
    top, bottom = _round_up(max([*values, 0])), -_round_up(-min([*values, 0])) if min([*values, 0]) < 0 else 0
    step = WIDTH / max(len(labels) - 1, 1)
    drawn: list[str] = []
    for number, each in enumerate(series, 1):
        points = [
            f"{place * step:.1f} {HEIGHT * (top - value) / (top - bottom):.1f}" for place, value in enumerate(each.values)
        ]
        if not points:
            continue
        line = "M" + "L".join(points if len(points) > 1 else [points[0], f"{WIDTH} {points[0].partition(' ')[2]}"])
        if number == 1:
            floor = HEIGHT * top / (top - bottom)
            drawn.append(f'<path class="area" d="{line}L{WIDTH} {floor:.1f}L0 {floor:.1f}Z"/>')
        drawn.append(f'<path class="line series-{number}" d="{line}" vector-effect="non-scaling-stroke"/>')
    return _chart(drawn, [each.title for each in series], labels, top, bottom)


def burn_down(left: float) -> Markup:
    """The share that is left of a budget, as a bar that empties."""
    share = max(0.0, min(1.0, left))
    tone = "low" if share < 0.1 else "left"
    return Markup(  # noqa: S704 - numbers and our own words
        f'<svg class="burn-down" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="whole" width="100" height="6"/><rect class="{tone}" width="{100 * share:.2f}" height="6"/></svg>'
    )


def _bar(number: int, x: float, y: float, width: float, height: float, title: str) -> str:
    return (
        f'<rect class="series-{number}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}">'
        f"<title>{Markup.escape(title)}</title></rect>"
    )


def _chart(drawn: Sequence[str], legend: Sequence[str], labels: Sequence[str], top: int, bottom: int = 0) -> Chart:
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none"'
    # Numbers and our own words; labels are escaped.
    svg = Markup(f'<svg class="chart" {box} aria-hidden="true">{"".join(drawn)}</svg>')  # noqa: S704
    return Chart(svg, legend, labels[0] if labels else "", labels[-1] if labels else "", top, bottom)


def _round_up(value: int) -> int:
    """The next 1, 2 or 5 with zeros behind it, so that the top of an axis can be read."""
    scale = 10 ** max(len(str(value)) - 1, 0)
    return next(step * scale for step in (1, 2, 5, 10) if step * scale >= value)
