"""What an agent signs with at one moment, and signing with it; credentials are replaced whole, never changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Protocol

from aauthkit.agent.steps import Outgoing, Steps
from aauthkit.drafts import Draft
from aauthkit.httpsig.components import Component, MissingComponent, component_value
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.sign import sign_message
from aauthkit.keys import PrivateKey
from aauthkit.sigkey import ConfirmationJWT


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """A key and the Signature-Key scheme that says whose it is. ``issued_at`` and ``expires_at`` are Unix seconds."""

    agent: str
    key: PrivateKey
    signature_key: str = field(repr=False)
    draft: Draft
    ps: str | None = None
    issued_at: int = 0
    expires_at: int | None = None

    def presenting(self, token: str) -> Credentials:
        """The same key, presenting an auth token instead."""
        return replace(self, signature_key=str(ConfirmationJWT(jwt=token)))

    def last(self, needed: timedelta, *, now: float) -> bool:
        """Whether they are good for ``needed`` more; a short-lived token need not have more than half its life left."""
        if self.expires_at is None:
            return True
        return self.expires_at - now > min(needed.total_seconds(), (self.expires_at - self.issued_at) / 2)


class Identity(Protocol):
    """Something an agent can sign as: enrolled with a provider, or publishing its own keys."""

    def credentials(self, lasting: timedelta = ...) -> Steps[Credentials]:
        """Current credentials, renewed when they end within ``lasting``; raises ``CannotSign`` when there are none."""
        ...


def sign(
    request: Outgoing, credentials: Credentials, *, now: float, cover: Iterable[str] = ()
) -> tuple[tuple[str, str], ...]:
    """The signature headers for one request. Components of ``cover`` that the request does not have are left out."""
    message = as_signed(request)
    cover = [name for name in cover if can_cover(message, name)]
    return tuple(
        sign_message(
            message, credentials.key, signature_key=credentials.signature_key, created=int(now), cover=tuple(cover)
        )
    )


def as_signed(request: Outgoing) -> Message:
    """The request as its receiver sees it: a Host header of the application's own is what goes on the wire."""
    message = Message.of(request.method, request.url, request.headers, request.body or None)
    host = message.field("host")
    return message if host is None else replace(message, authority=host)


def can_cover(message: Message, name: str) -> bool:
    """Whether a component is in the message; what signing itself adds counts when there will be something to add."""
    if name in ("signature-key", "content-digest"):
        return name == "signature-key" or bool(message.body)
    try:
        component_value(message, Component(name))
    except MissingComponent:
        return False
    return True
