"""Content-Digest (RFC 9530): write it, and recompute it from the body that arrived."""

from __future__ import annotations

import base64
import hashlib
import hmac

from aauthkit.httpsig.fields import MalformedField, parse_dictionary

_ALGORITHMS = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}


def content_digest(body: bytes) -> str:
    """The header's value with sha-256."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def digest_matches(header: str, body: bytes) -> bool:
    """Whether every digest we know in ``header`` is the body's; false when there is none we know."""
    try:
        members = parse_dictionary(header)
    except MalformedField:
        return False
    known = {name: value for name, (value, _) in members.items() if name in _ALGORITHMS}
    return bool(known) and all(
        isinstance(value, bytes) and hmac.compare_digest(value, _ALGORITHMS[name](body).digest())
        for name, value in known.items()
    )
