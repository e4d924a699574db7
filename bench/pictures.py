"""One picture a benchmark: two bars, a dot for each turn, and a line where the ratio that is wanted begins. Plain SVG."""

from __future__ import annotations

from html import escape

from bench.results import Measured, Wanted, shown

_WIDTH, _ROW, _LEFT, _RIGHT = 720, 34, 96, 96
_TEXT = "font-family='system-ui, sans-serif' font-size='13' fill='#1f2430'"
_COLORS = {"ours": "#1f4fd8", "reference": "#9aa3b5"}


def draw(name: str, measured: Measured, wanted: Wanted | None) -> str:
    """The picture as the text of an SVG document."""
    ours, reference = (tuple(turn[side] for turn in measured.turns) for side in (0, 1))
    bound = None if wanted is None else wanted.bound * measured.reference
    longest = max([measured.ours, measured.reference, *ours, *reference, bound or 0.0]) or 1.0
    scale = (_WIDTH - _LEFT - _RIGHT) / longest
    result = measured.result
    height = 2 * _ROW + 76

    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} {height}' width='{_WIDTH}' height='{height}'>",
        f"<title>{escape(name)}</title>",
        f"<rect width='{_WIDTH}' height='{height}' fill='#ffffff'/>",
        f"<text x='12' y='24' {_TEXT} font-weight='600'>{escape(name)}: {result.ratio:g} of the reference, in "
        f"{escape(measured.unit)}</text>",
    ]
    for row, (side, figure, turns) in enumerate((("ours", measured.ours, ours), ("reference", measured.reference, reference))):
        top = 44 + row * _ROW
        end = _LEFT + max([figure, *turns]) * scale + 10
        parts += [
            f"<text x='12' y='{top + 17}' {_TEXT}>{side}</text>",
            f"<rect x='{_LEFT}' y='{top}' width='{figure * scale:.1f}' height='24' fill='{_COLORS[side]}'/>",
            f"<text x='{end:.1f}' y='{top + 17}' {_TEXT}>{shown(figure)}</text>",
        ]
        parts += [
            f"<circle cx='{_LEFT + turn * scale:.1f}' cy='{top + 12}' r='3' fill='#ffffff' stroke='#1f2430'/>" for turn in turns
        ]
    if wanted is not None and bound is not None:
        x = _LEFT + bound * scale
        color = "#1a7f37" if wanted.met(result.ratio) else "#c62828"
        parts += [
            f"<line x1='{x:.1f}' y1='38' x2='{x:.1f}' y2='{44 + 2 * _ROW}' stroke='{color}' stroke-width='2'/>",
            f"<text x='{x:.1f}' y='{62 + 2 * _ROW}' {_TEXT} text-anchor='middle'>{escape(str(wanted))}</text>",
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"
