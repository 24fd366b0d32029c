"""Headers of a signed request that only the transport sees.

An HTTP client copies a request's headers when it follows a redirect. Signature headers must not be copied: to another
origin they would leak a token, and on the same one they would be wrong. So they are kept beside the header list that
is copied and appear in ``raw`` alone, which is what goes on the wire.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any


@cache
def _wire_headers(base: Any) -> Any:
    class WireHeaders(base):  # type: ignore[misc]
        """The client's own headers class with more on the wire."""

        plain = base
        wire: tuple[tuple[bytes, bytes], ...] = ()

        @property
        def raw(self) -> list[tuple[bytes, bytes]]:
            return [*super().raw, *self.wire]

    return WireHeaders


def with_wire_headers(headers: Any, extra: Sequence[tuple[str, str]]) -> Any:
    """``headers`` (of httpx or httpx2) with ``extra`` added on the wire only, replacing any of the same name."""
    replaced = {name.lower().encode("ascii") for name, _ in extra}
    kind: Any = getattr(headers, "plain", type(headers))
    kept = [(name, value) for name, value in kind(headers).raw if name.lower() not in replaced]
    signed = _wire_headers(kind)(kept)
    signed.wire = tuple((name.encode("ascii"), value.encode("ascii")) for name, value in extra)
    return signed
