"""What a fuzz target is: a function of bytes that returns, and the seeds that reach its inside.

A target catches what the code under it documents and nothing else, so whatever leaves it is a bug: another exception,
an answer that is no answer, or something read that is written differently.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from aauthkit.drafts import DRAFTS
from aauthkit.errors import AAuthError, InternalError, MisuseError, Unavailable, render

Run: TypeAlias = Callable[[bytes], None]
_HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Target:
    """One thing that reads what others wrote."""

    name: str
    run: Run
    made: Callable[[], Iterable[bytes]]
    """Seeds that are made anew each time, because they hold keys, tokens or signatures."""

    def seeds(self) -> list[bytes]:
        """The stored seeds of this target, and the made ones."""
        return [*stored("seeds.json", self.name), *self.made()]


def nothing() -> Iterable[bytes]:
    return ()


@cache
def _stored(file: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((_HERE / file).read_text(encoding="utf-8"))
    return entries


def stored(file: str, name: str) -> list[bytes]:
    """The inputs of a file for a target: their characters are bytes, and a list is of texts and ``[text, times]``."""
    return [_bytes(entry["input"]) for entry in _stored(file) if name in entry["targets"].split()]


def _bytes(value: str | list[str | list[Any]]) -> bytes:
    parts = value if isinstance(value, list) else [value]
    texts = [part if isinstance(part, str) else part[0] * part[1] for part in parts]
    return "".join(texts).encode("latin-1")


@contextmanager
def only(*allowed: type[Exception]) -> Iterator[None]:
    """What documents ``allowed`` raises that or nothing; an error of ours is one that may be told to a peer."""
    try:
        yield
    except allowed as error:
        if isinstance(error, AAuthError):
            check_answer(error)


def check_answer(error: AAuthError) -> None:
    """An error that hostile input led to is the peer's, and can be told in either draft."""
    assert not isinstance(error, MisuseError | InternalError), repr(error)
    for draft in DRAFTS.values():
        rendered = render(error, draft)
        assert 400 <= rendered.status < 500 or isinstance(error, Unavailable) or rendered.status == 502
        assert all(value.isascii() and value.isprintable() for value in rendered.headers.values())
        json.loads(rendered.body)


def text_of(data: bytes) -> str:
    """Bytes as a header carries them."""
    return data.decode("latin-1")


def lines_of(data: bytes, count: int) -> list[str]:
    """Exactly ``count`` texts from lines; what is missing is empty, and the last keeps its line breaks."""
    parts = text_of(data).split("\n", count - 1)
    return parts + [""] * (count - len(parts))


def json_of(data: bytes) -> object:
    """A JSON value; bytes that are none are a text."""
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError):
        return text_of(data)
    return value
