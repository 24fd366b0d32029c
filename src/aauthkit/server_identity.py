"""A server signing in its own right (AAuth-11 §11.3.2): always ``jwks_uri``, under its issuer and its own metadata.

A person server, an access server, an agent provider or a resource signs so when it revokes a token. A resource that
acts as an agent does not: it signs as agents do. Nothing is sent here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from aauthkit.flow import Call
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.sign import sign_message
from aauthkit.keys import PrivateKey
from aauthkit.sigkey.jwks_uri import PublishedKey


@dataclass(frozen=True, kw_only=True)
class ServerIdentity:
    """Who signs: ``issuer`` as in its metadata, ``dwk`` that document's well-known name, ``key`` one of its JWKS."""

    issuer: str
    dwk: str
    key: PrivateKey = field(repr=False)

    @property
    def signature_key(self) -> str:
        return str(PublishedKey(id=self.issuer, dwk=self.dwk, kid=self.key.kid))


def sign_as_server(
    identity: ServerIdentity,
    method: str,
    url: str,
    *,
    now: float,
    body: bytes = b"",
    prefer_wait: timedelta | None = None,
    patience: timedelta = timedelta(seconds=10),
) -> Call:
    """The signed call; a ``body`` is JSON, and its type and digest are covered (§11.3.3.1)."""
    headers: list[tuple[str, str]] = [("Content-Type", "application/json")] if body else []
    if prefer_wait is not None:
        headers.append(("Prefer", f"wait={int(prefer_wait.total_seconds())}"))
    message = Message.of(method, url, headers, body)
    signature = sign_message(message, identity.key, signature_key=identity.signature_key, created=int(now))
    return Call(method=method, url=url, headers=(*headers, *signature), body=body, patience=patience)
