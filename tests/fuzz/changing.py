"""Good inputs with one part changed: every part by everything a parser may stumble over, in order, without chance."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

# What parsers stumble over, put anywhere into a good input.
PIECES = (
    *(bytes([code]) for code in b"\0\n\r\xff \t\"\\',;=:.-()[]{}?#@/"),
    *(b"", b"::", b"\xc3\xa9", b"\xed\xa0\x80", b"[" * 2000, b"9" * 5000, b"A" * 70_000),
    *(b"0", b"-0", b"007", b"1.5", b"1e400", b"NaN", b"null", b"true", b"[]", b"{}", b'""', b'"\\ud800"'),
    *(b"%00", b"//", b"..", b";a", b";a=1", b";created=1", b', sig=("@path")', b"eyJ"),
)
_VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 10**400, "", " ", "\n", "\ud800", "\N{SNOWMAN}", "A" * 3000, "1"),
    *([], [[]], ["a", 1], {}, {"a": {"b": 1}}, "https://other.example", "https://a.example/?#", "aauth:a@b.example"),
)
# Where a text falls into parts: each delimiter is a part of its own.
_DELIMITERS = re.compile(rb'([\s;,=()":.&?/{}\[\]]+)')
# How many neighbouring parts are said twice.
_SPANS = (1, 2, 3, 4, 6)


def changes(seed: bytes) -> Iterator[bytes]:
    """Every change of one part, from the first part to the last."""
    yield from _changed_members(seed)
    parts = _DELIMITERS.split(seed)
    for at in range(len(parts)):
        before, after = b"".join(parts[:at]), b"".join(parts[at + 1 :])
        for piece in PIECES:
            yield before + piece + after
            yield before + parts[at] + piece + after
        for span in _SPANS:
            yield b"".join(parts[: at + span]) + b"".join(parts[at:])


def _changed_members(seed: bytes) -> Iterator[bytes]:
    try:
        document = json.loads(seed)
    except ValueError:
        return
    for changed in _changed(document):
        yield json.dumps(changed).encode()


def _changed(value: Any) -> Iterator[Any]:
    yield from _VALUES
    if isinstance(value, dict):
        for name, member in value.items():
            yield {other: kept for other, kept in value.items() if other != name}
            yield from ({**value, name: changed} for changed in _changed(member))
    elif isinstance(value, list):
        for at, member in enumerate(value):
            yield from ([*value[:at], changed, *value[at + 1 :]] for changed in _changed(member))
