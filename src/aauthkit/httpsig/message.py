"""An HTTP request as a signature sees it: frozen, without any framework, every header line in order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, kw_only=True)
class Message:
    """A request. Header names are lower case; ``query`` is without ``?``, ``None`` when there is none.

    ``body`` is ``None`` when it was not read, ``b""`` when it is known to be empty.
    """

    method: str
    scheme: str
    authority: str
    path: str
    query: str | None
    headers: tuple[tuple[str, str], ...]
    body: bytes | None

    def __repr__(self) -> str:
        # Headers carry tokens, queries carry codes (DESIGN §4 rule 12).
        return f"Message({self.method!r}, {self.scheme!r}, {self.authority!r}, {self.path!r})"

    @classmethod
    def of(cls, method: str, url: str, headers: Iterable[tuple[str, str]] = (), body: bytes | None = None) -> Message:
        """A message from an absolute URL, with the target kept byte for byte."""
        parts = urlsplit(url)
        target = url.split("#", 1)[0]
        has_query = "?" in target
        return cls(
            method=method.upper(),
            scheme=parts.scheme.lower(),
            authority=parts.netloc.rpartition("@")[2],
            path=parts.path or "/",
            query=parts.query if has_query else None,
            headers=tuple((name.lower(), value) for name, value in headers),
            body=body,
        )

    @property
    def normalised_authority(self) -> str:
        """RFC 9421 §2.2.3: lower case, without the scheme's default port."""
        return self.authority.lower().removesuffix(_DEFAULT_PORTS.get(self.scheme, "\0"))

    @property
    def is_safe(self) -> bool:
        """Whether the method promises no effect (RFC 9110 §9.2.1)."""
        return self.method in SAFE_METHODS

    @cached_property
    def _fields(self) -> dict[str, list[str]]:
        fields: dict[str, list[str]] = {}
        for name, value in self.headers:
            fields.setdefault(name, []).append(value.strip(" \t"))
        return fields

    def field_lines(self, name: str) -> list[str]:
        """All values of a header, trimmed, in order; empty when absent."""
        return self._fields.get(name, [])

    def field(self, name: str) -> str | None:
        """RFC 9421 §2.1: the lines of a header joined with comma and space; ``None`` when absent."""
        lines = self._fields.get(name)
        return None if lines is None else ", ".join(lines)
