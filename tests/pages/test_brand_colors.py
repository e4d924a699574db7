"""Whatever colour a brand has, its pages can be read."""

from __future__ import annotations

import random

import pytest

from service.pages.brand_colors import contrast, palette


def rgb(color: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(color[1:])
    return red, green, blue


def test_contrast_is_wcags() -> None:
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((119, 119, 119), (255, 255, 255)) == pytest.approx(4.48, abs=0.01)


COLORS = ["#000000", "#ffffff", "#ffd84d", "#0b1033", "#777777", "#ff0000", "#00ff00", "#0000ff"]


@pytest.mark.parametrize("accent", [*COLORS, *(f"#{random.Random(seed).randrange(2**24):06x}" for seed in range(100))])
def test_text_can_be_read_on_and_in_every_accent(accent: str) -> None:
    colors = palette(accent)
    assert contrast(rgb(colors.on_accent), rgb(accent)) >= 4.2  # mid greys allow no more with either ink
    assert contrast(rgb(colors.accent_on_light), (255, 255, 255)) >= 4.5
    assert contrast(rgb(colors.accent_on_dark), (27, 29, 34)) >= 4.5


def test_a_readable_accent_is_left_as_it_is() -> None:
    assert palette("#0f6b5c").accent_on_light == "#0f6b5c"
