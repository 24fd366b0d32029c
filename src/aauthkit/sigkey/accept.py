"""Accept-Signature (RFC 9421 §5) with Signature Keys' ``sigkey``: what a server asks an unsigned client for."""

from __future__ import annotations

from collections.abc import Iterable

from aauthkit.httpsig.sign import BASE_COMPONENTS

IDENTIFIED = "uri"
PSEUDONYMOUS = "jkt"


def accept_signature(*, sigkey: str, cover: Iterable[str] = (), label: str = "sig") -> str:
    """The header's value: the components to cover, ``created``, and which kind of key (``jkt`` or ``uri``)."""
    names = dict.fromkeys([*BASE_COMPONENTS, *cover])
    return f"{label}=({' '.join(chr(34) + name + chr(34) for name in names)});created;sigkey={sigkey}"
