"""Whatever colour a brand has, its pages can be read."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from service.pages import rendering
from service.pages.brand_colors import TEXT_CONTRAST, contrast, mix, palette, parse


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


@pytest.mark.parametrize("accent", ["#ffffff", "#ffd400", "#000000", "#00ff00", "#7a3e1d"])
def test_quiet_text_can_be_read_on_the_accents_tint(accent: str) -> None:
    """In the light and in the dark, whatever the accent: both are in the style sheet."""
    css = (Path(rendering.__file__).parent / "templates" / "page.css").read_text()
    cards, softs = (re.findall(rf"--{name}: (#[0-9a-f]{{6}});", css) for name in ("card", "soft"))
    shares = [int(share) / 100 for share in re.findall(r"--tint: color-mix\(in srgb, var\(--accent\) (\d+)%", css)]
    assert len(cards) == len(softs) == len(shares) == 2
    for card, soft, share in zip(cards, softs, shares, strict=True):
        assert contrast(parse(soft), mix(parse(card), parse(accent), share)) >= TEXT_CONTRAST
