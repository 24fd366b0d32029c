"""What a server asks of signers: Accept-Signature (RFC 9421 §5) and Signature Keys' Accept-Signature-Scheme and -Alg.

The first says what to sign and is all that draft 01 knows; the others say which keys are taken (Signature Keys §4).
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from aauthkit.httpsig.components import BASE_COMPONENTS
from aauthkit.sigkey import SCHEMES

IDENTIFIED = "uri"
PSEUDONYMOUS = "jkt"
# Those who tell more about themselves first: who may be refused as unknown should not be invited to stay so.
_PREFERENCE = ("jwt", "jwks_uri", "jkt-jwt", "hwk")


def accept_signature(*, sigkey: str | None = None, cover: Iterable[str] = (), label: str = "sig") -> str:
    """The components to cover and ``created``; draft 01 also says which kind of key (``jkt`` or ``uri``)."""
    names = dict.fromkeys([*BASE_COMPONENTS, *cover])
    kind = f";sigkey={sigkey}" if sigkey is not None else ""
    return f"{label}=({' '.join(chr(34) + name + chr(34) for name in names)});created{kind}"


def accept_signature_scheme(schemes: Container[str]) -> str:
    """Every scheme of ``schemes``, preferred first (Signature Keys §4.1; AAuth-11 §11.3.4.1: all of them)."""
    return ", ".join(name for name in _PREFERENCE if name in SCHEMES and name in schemes)


def accept_signature_alg(algorithms: Iterable[str]) -> str:
    """Exactly the algorithms that are accepted, by their JOSE names as registered (Signature Keys §4.2)."""
    return ", ".join(algorithms)
