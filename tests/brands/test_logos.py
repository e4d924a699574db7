"""What may be a logo: small pictures of three kinds, by what they are."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from service.brands import logos
from tests.brands.pictures import jpeg, png, webp_lossless, webp_lossy, webp_with_a_canvas

KINDS: list[tuple[Callable[[int, int], bytes], str]] = [
    (png, "image/png"),
    (jpeg, "image/jpeg"),
    (webp_lossy, "image/webp"),
    (webp_lossless, "image/webp"),
    (webp_with_a_canvas, "image/webp"),
]


@pytest.mark.parametrize(("picture", "media_type"), KINDS)
def test_a_picture_is_what_its_first_bytes_say(picture: Callable[[int, int], bytes], media_type: str) -> None:
    assert logos.check(picture(120, 40)) is None
    assert logos.media_type(picture(120, 40)) == media_type


@pytest.mark.parametrize(("picture", "media_type"), KINDS)
def test_a_picture_is_small_when_it_is_unpacked(picture: Callable[[int, int], bytes], media_type: str) -> None:
    assert logos.check(picture(1_024, 1_024)) is None
    for width, height in ((1_025, 1), (1, 1_025)):
        assert logos.check(picture(width, height)) == f"must be at most 1024 pixels wide and high, is {width} by {height}"


@pytest.mark.parametrize(("picture", "media_type"), KINDS)
def test_a_picture_that_is_cut_short_of_its_size_is_none(picture: Callable[[int, int], bytes], media_type: str) -> None:
    whole = picture(7, 5)
    for length in range(16):
        assert logos.check(whole[:length]) == "must be a PNG, JPEG or WebP picture"


@pytest.mark.parametrize(
    "picture", [b"", b"GIF89a" + bytes(20), b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\xff\xd8\xff" + bytes(40)]
)
def test_anything_else_is_none(picture: bytes) -> None:
    assert logos.check(picture) == "must be a PNG, JPEG or WebP picture"


def test_a_picture_is_small_as_it_is_sent() -> None:
    assert logos.check(png(8, 8) + bytes(40_000)) == f"must be at most 32768 bytes, is {len(png(8, 8)) + 40_000}"


def test_a_banner_is_wide() -> None:
    for width, height in ((2_048, 1_024), (2_048, 1), (2, 1)):
        assert logos.check_banner(png(width, height)) is None
    assert logos.check_banner(png(2_049, 1)) == "must be at most 2048 pixels wide, is 2049 by 1"
    assert logos.check_banner(png(199, 100)) == "must be at least 2 times as wide as high, is 199 by 100"
    assert logos.check_banner(b"<svg xmlns='http://www.w3.org/2000/svg'/>") == "must be a PNG, JPEG or WebP picture"


def test_a_picture_without_an_area_is_none() -> None:
    assert logos.check(png(0, 0)) == "must be at most 1024 pixels wide and high, is 0 by 0"
    assert logos.check_banner(png(0, 0)) == "must be at most 2048 pixels wide, is 0 by 0"
