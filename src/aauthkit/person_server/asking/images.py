"""Telling an image by its bytes: PNG, JPEG, WebP or GIF of a size a browser opens gladly; anything else is none.

What a server says about the type is not asked. SVG and HTML are documents that can do things, so they are no images.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

# A logo is shown at 48 px. A few bytes can unfold into an image that fills a computer's memory.
_LONGEST_SIDE = 2048
Size = tuple[int, int]


def media_type_of(content: bytes) -> str | None:
    """The type of the image, if it is one that is shown."""
    for media_type, magic, size_of in _KINDS:
        if content.startswith(magic):
            try:
                width, height = size_of(content)
            except (IndexError, ValueError, struct.error):
                return None
            return media_type if 0 < width <= _LONGEST_SIDE and 0 < height <= _LONGEST_SIDE else None
    return None


def _png(content: bytes) -> Size:
    if content[12:16] != b"IHDR":
        raise ValueError
    return struct.unpack(">II", content[16:24])


def _gif(content: bytes) -> Size:
    return struct.unpack("<HH", content[6:10])


def _webp(content: bytes) -> Size:
    if content[8:12] != b"WEBP":
        raise ValueError
    match content[12:16]:
        case b"VP8X":
            return 1 + int.from_bytes(content[24:27], "little"), 1 + int.from_bytes(content[27:30], "little")
        case b"VP8L" if content[20] == 0x2F:
            packed = int.from_bytes(content[21:25], "little")
            return 1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF)
        case b"VP8 " if content[23:26] == b"\x9d\x01\x2a":
            width, height = struct.unpack("<HH", content[26:30])
            return width & 0x3FFF, height & 0x3FFF
    raise ValueError


def _jpeg(content: bytes) -> Size:
    """The frame header: every segment before it says how long it is."""
    at = 2
    while content[at] == 0xFF:
        marker, (length,) = content[at + 1], struct.unpack(">H", content[at + 2 : at + 4])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", content[at + 5 : at + 9])
            return width, height
        at += 2 + length
    raise ValueError


_KINDS: tuple[tuple[str, bytes, Callable[[bytes], Size]], ...] = (
    ("image/png", b"\x89PNG\r\n\x1a\n", _png),
    ("image/gif", b"GIF87a", _gif),
    ("image/gif", b"GIF89a", _gif),
    ("image/webp", b"RIFF", _webp),
    ("image/jpeg", b"\xff\xd8\xff", _jpeg),
)
