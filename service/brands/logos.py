"""A brand's logos and its banner: small pictures that are sent inside each page.

    check        say what is wrong with a logo, or nothing
    check_banner the same of a banner, which is wide
    media_type   what a picture is, by its own first bytes

PNG, JPEG and WebP are taken, by what they are and not by what anybody says they are. SVG is not: it is a document that can
hold scripts. A page carries its logo, so it must be small; and it is small when it is unpacked, too.
"""

from __future__ import annotations

import hashlib

BYTES_MAX = 32 * 1024
SIDE_MAX = 1_024
"""In pixels: a few bytes of PNG can say that they are a picture of a gigapixel."""

BANNER_WIDTH_MAX = 2_048
BANNER_RATIO_MIN = 2

_PNG = b"\x89PNG\r\n\x1a\n"
# A JPEG's frame header (SOF) is any of these but DHT, JPG and DAC, which share their range (ITU-T T.81, table B.1).
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def check(picture: bytes) -> str | None:
    """Say why this cannot be a logo."""
    size = _checked_size(picture)
    if isinstance(size, str):
        return size
    width, height = size
    if not (1 <= width <= SIDE_MAX and 1 <= height <= SIDE_MAX):
        return f"must be at most {SIDE_MAX} pixels wide and high, is {width} by {height}"
    return None


def check_banner(picture: bytes) -> str | None:
    """Say why this cannot be a banner."""
    size = _checked_size(picture)
    if isinstance(size, str):
        return size
    width, height = size
    if not (1 <= width <= BANNER_WIDTH_MAX and height >= 1):
        return f"must be at most {BANNER_WIDTH_MAX} pixels wide, is {width} by {height}"
    if width < BANNER_RATIO_MIN * height:
        return f"must be at least {BANNER_RATIO_MIN} times as wide as high, is {width} by {height}"
    return None


def _checked_size(picture: bytes) -> tuple[int, int] | str:
    """Width and height, or what is wrong."""
    if len(picture) > BYTES_MAX:
        return f"must be at most {BYTES_MAX} bytes, is {len(picture)}"
    return _size_of(picture) or "must be a PNG, JPEG or WebP picture"


def media_type(picture: bytes) -> str:
    """What a picture that was checked is."""
    return "image/png" if picture.startswith(_PNG) else "image/webp" if picture.startswith(b"RIFF") else "image/jpeg"


def name_of(picture: bytes) -> str:
    """The name of a picture: what it is, in 32 hexadecimal digits."""
    return hashlib.sha256(picture).hexdigest()[:32]


def _size_of(picture: bytes) -> tuple[int, int] | None:
    """Width and height, if the picture says them."""
    try:
        if picture.startswith(_PNG) and picture[12:16] == b"IHDR":
            return _number(picture, 16, 4), _number(picture, 20, 4)
        if picture.startswith(b"RIFF") and picture[8:12] == b"WEBP":
            return _size_of_webp(picture)
        if picture.startswith(b"\xff\xd8\xff"):
            return _size_of_jpeg(picture)
    except IndexError:
        pass
    return None


def _size_of_jpeg(picture: bytes) -> tuple[int, int] | None:
    at = 2
    while picture[at] == 0xFF:
        marker = picture[at + 1]
        if marker in _FRAME_HEADERS:
            return _number(picture, at + 7, 2), _number(picture, at + 5, 2)
        at += 2 + max(_number(picture, at + 2, 2), 2)
    return None


def _size_of_webp(picture: bytes) -> tuple[int, int] | None:
    """RFC 9649: a canvas (2.7.1), a lossless (3.4) or a lossy picture (RFC 6386, 9.1)."""
    match picture[12:16]:
        case b"VP8X":
            return 1 + _number(picture, 24, 3, "little"), 1 + _number(picture, 27, 3, "little")
        case b"VP8L" if picture[20] == 0x2F:
            bits = _number(picture, 21, 4, "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case b"VP8 " if picture[23:26] == b"\x9d\x01\x2a":
            return _number(picture, 26, 2, "little") & 0x3FFF, _number(picture, 28, 2, "little") & 0x3FFF
        case _:
            return None


def _number(picture: bytes, at: int, size: int, order: str = "big") -> int:
    if len(picture) < at + size:
        raise IndexError(at)
    return int.from_bytes(picture[at : at + size], "little" if order == "little" else "big")
