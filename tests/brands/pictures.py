"""Pictures as small as they get, with any size written in them."""

from __future__ import annotations

import struct
import zlib


def png(width: int, height: int, *, colour: bytes = b"\xd8\x4f\x1f") -> bytes:
    """A PNG of one colour."""
    rows = (b"\0" + colour * width) * height

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def jpeg(width: int, height: int) -> bytes:
    """The beginning of a JPEG, as far as its size."""
    application = b"\xff\xe0" + struct.pack(">H", 16) + b"JFIF\0" + bytes(9)
    frame = b"\xff\xc2" + struct.pack(">HBHHB", 17, 8, height, width, 3) + bytes(9)
    return b"\xff\xd8" + application + frame


def webp_lossy(width: int, height: int) -> bytes:
    """The beginning of a lossy WebP."""
    return b"RIFF\0\0\0\0WEBPVP8 " + bytes(4) + b"\x30\x01\x00\x9d\x01\x2a" + struct.pack("<HH", width, height)


def webp_lossless(width: int, height: int) -> bytes:
    """The beginning of a lossless WebP."""
    return b"RIFF\0\0\0\0WEBPVP8L" + bytes(4) + b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14)


def webp_with_a_canvas(width: int, height: int) -> bytes:
    """The beginning of a WebP with alpha, an animation or a profile."""
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF\0\0\0\0WEBPVP8X" + bytes(4) + bytes(4) + sides
