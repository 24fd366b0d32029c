"""What an agent signs with at one moment, and signing with it; credentials are replaced whole, never changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Protocol

from aauthkit.agent.steps import Outgoing, Steps
from aauthkit.agent.store import MARGIN, is_ending
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
    token: str | None = field(default=None, repr=False)
    """The agent token; ``None`` for an agent that publishes its keys instead."""

    def presenting(self, token: str) -> Credentials:
        """The same key, presenting a person or auth token instead."""
        return replace(self, signature_key=str(ConfirmationJWT(jwt=token)))

    def last(self, needed: timedelta, *, now: float) -> bool:
        """Whether they are good for ``needed`` more; a short-lived token need not have more than half its life left."""
        return self.expires_at is None or not is_ending(self.issued_at, self.expires_at, now=now, within=needed)


class Identity(Protocol):
    """Something an agent can sign as: enrolled with a provider, its own provider, or publishing its own keys."""

    @property
    def current(self) -> Credentials | None:
        """The credentials of the agent's first draft at hand, possibly about to end; ``None`` before enrolment."""
        ...

    def credentials(self, draft: Draft, lasting: timedelta = MARGIN) -> Steps[Credentials]:
        """Credentials of ``draft``, renewed when they end within ``lasting``; raises ``CannotSign`` without any."""
        ...

    def renewed(self, refused: Credentials) -> Steps[Credentials]:
        """Fresh credentials in place of some that a server refused; possibly the same where there are no others."""
        ...


def sign(
    request: Outgoing,
    credentials: Credentials,
    *,
    now: float,
    cover: Iterable[str] = (),
    extra: tuple[tuple[str, str], ...] = (),
) -> tuple[tuple[str, str], ...]:
    """The headers to add to one request: ``extra`` and the signature over it all.

    Components of ``cover`` that the request does not have are left out.
    """
    message = as_signed(request, extra)
    cover = [name for name in cover if can_cover(message, name)]
    signature = sign_message(
        message, credentials.key, signature_key=credentials.signature_key, created=int(now), cover=tuple(cover)
    )
    return (*extra, *signature)


def as_signed(request: Outgoing, extra: tuple[tuple[str, str], ...] = ()) -> Message:
    """The request as its receiver sees it: a Host header of the application's own is what goes on the wire."""
    replaced = {name.lower() for name, _ in extra}
    kept = [(name, value) for name, value in request.headers if name.lower() not in replaced]
    message = Message.of(request.method, request.url, [*kept, *extra], request.body or None)
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
