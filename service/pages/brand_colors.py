"""A brand's one colour, made readable.

A brand gives an accent colour without asking whether text can be read on it. From that one colour come all others of a
page, each with at least the contrast WCAG 2.2 asks for: 4.5 to 1 for text, 3 to 1 for what is only seen.
"""

from __future__ import annotations

import functools

import msgspec

TEXT_CONTRAST = 4.5
_WHITE = (255, 255, 255)
_INK = (17, 19, 24)
_LIGHT_CARD = _WHITE
_DARK_CARD = (27, 29, 34)

Rgb = tuple[int, int, int]


class Palette(msgspec.Struct, frozen=True):
    """The accent as the brand gave it, what can be read on it, and the accent as it can be read on either card."""

    accent: str
    on_accent: str
    accent_on_light: str
    accent_on_dark: str


@functools.lru_cache(maxsize=1_024)
def palette(accent: str) -> Palette:
    """The colours of a brand whose accent is ``#rrggbb``."""
    colour = parse(accent)
    return Palette(
        accent=accent,
        on_accent=_format(max((_WHITE, _INK), key=lambda text: contrast(text, colour))),
        accent_on_light=_format(_readable(colour, on=_LIGHT_CARD, towards=_INK)),
        accent_on_dark=_format(_readable(colour, on=_DARK_CARD, towards=_WHITE)),
    )


def contrast(one: Rgb, other: Rgb) -> float:
    """The contrast ratio of WCAG 2.2, from 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _readable(colour: Rgb, *, on: Rgb, towards: Rgb) -> Rgb:
    """The nearest mix of ``colour`` with ``towards`` that can be read as text."""
    for percent in range(101):
        mixed = mix(colour, towards, percent / 100)
        if contrast(mixed, on) >= TEXT_CONTRAST:
            return mixed
    return towards


def mix(one: Rgb, other: Rgb, share: float) -> Rgb:
    """Between two colours, so much of the ``other``."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _luminance(colour: Rgb) -> float:
    red, green, blue = (
        channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
        for channel in (value / 255 for value in colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def parse(accent: str) -> Rgb:
    """A colour from ``#rrggbb``."""
    red, green, blue = bytes.fromhex(accent.removeprefix("#"))
    return red, green, blue


def _format(colour: Rgb) -> str:
    return "#" + bytes(colour).hex()
