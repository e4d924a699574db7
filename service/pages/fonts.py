"""The typefaces of pages: families of what devices have, because a page loads nothing."""

from __future__ import annotations

from collections.abc import Mapping

from service.brands.brand import Font

STACKS: Mapping[Font, str] = {
    "system": 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif',
    "humanist": 'Seravek, Optima, Candara, Calibri, "Noto Sans", "Liberation Sans", sans-serif',
    "geometric": '"Avenir Next", Avenir, "Century Gothic", "URW Gothic", Futura, "Nunito Sans", sans-serif',
    "rounded": 'ui-rounded, "SF Pro Rounded", "Arial Rounded MT Bold", Nunito, Quicksand, system-ui, sans-serif',
    "serif": 'ui-serif, "New York", Charter, Georgia, Cambria, "Liberation Serif", serif',
    "slab": 'Rockwell, "Roboto Slab", "American Typewriter", "DejaVu Serif", serif',
    "mono": 'ui-monospace, "SF Mono", Consolas, "Roboto Mono", "Liberation Mono", monospace',
}
