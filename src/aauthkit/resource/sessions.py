"""Session tokens (AAuth-11 §6.3): what a resource settled with a person, sealed for the agent whose key signs.

The token is opaque to the agent and worth nothing to anybody else: it is sealed with a key of the resource over the
thumbprint of the agent's key, and a request that shows one must cover `authorization` with its signature, which
``Verification`` sees to. What ended, was changed or belongs to another key is simply no session.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import nacl.exceptions
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt as _open,
)
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_encrypt as _seal,
)
from nacl.utils import random
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aauthkit.clock import Clock, SystemClock
from aauthkit.errors import ConfigurationError, InvalidRequest
from aauthkit.resource.admission import shows_session_token
from aauthkit.resource.asgi import verified_of
from aauthkit.resource.deferred import deferral_of
from aauthkit.resource.settings import Resource
from aauthkit.verify import VerifiedRequest

AAUTH_ACCESS = "AAuth-Access"
_KEY_BYTES = 32
_NONCE_BYTES = 24
# It travels in a header of every request; servers cut headers at 8 KiB.
_LARGEST_STATE = 2048
_LARGEST_TOKEN = 4096
# RFC 9110 §11.2: one scheme, one space or more, one token68.
_CREDENTIAL = re.compile(r"AAuth +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Session:
    """What was sealed, for the agent that signed the request; ``expires_at`` in Unix seconds."""

    state: Mapping[str, Any] = field(repr=False)
    issued_at: int
    expires_at: int


class SessionTokens:
    """Seals and opens session tokens of ``resource``.

    ``keys`` are 32 random bytes each: the first seals, the others only open, so that keys can be replaced. ``lifetime``
    is how long a token is good for; each response may bring a new one, which is how a session goes on.
    """

    def __init__(
        self,
        resource: Resource,
        *keys: bytes,
        lifetime: timedelta = timedelta(hours=12),
        clock: Clock | None = None,
    ) -> None:
        if not keys or any(len(key) != _KEY_BYTES for key in keys):
            raise ConfigurationError(f"Session tokens are sealed with keys of {_KEY_BYTES} random bytes.")
        self._issuer = resource.issuer
        self._keys: Sequence[bytes] = keys
        self._lifetime = lifetime
        self._clock = clock or SystemClock()

    def issue(self, verified: VerifiedRequest, state: Mapping[str, Any]) -> str:
        """A token for the agent of ``verified``, for an ``AAuth-Access`` header; ``state`` is any JSON object."""
        now = int(self._clock.now())
        content = {"state": state, "iat": now, "exp": now + int(self._lifetime.total_seconds())}
        plain = json.dumps(content, separators=(",", ":")).encode()
        if len(plain) > _LARGEST_STATE:
            raise ConfigurationError(f"The state of a session is at most {_LARGEST_STATE} bytes; keep an identifier.")
        nonce = random(_NONCE_BYTES)
        sealed = nonce + _seal(plain, self._bound_to(verified), nonce, self._keys[0])
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def of(self, verified: VerifiedRequest) -> Session | None:
        """The session the request shows; ``None`` without one that is good for this agent now.

        Raises ``InvalidRequest`` for a credential that is empty, holds white space or is not the only one.
        """
        credential = session_credential(verified)
        if credential is None:
            return None
        content = self._opened(credential, self._bound_to(verified))
        if content is None or content["exp"] <= self._clock.now():
            return None
        return Session(state=content["state"], issued_at=content["iat"], expires_at=content["exp"])

    def is_ageing(self, session: Session) -> bool:
        """Whether half of the session's time is over: then a response brings a new token."""
        return self._clock.now() >= (session.issued_at + session.expires_at) / 2

    def _bound_to(self, verified: VerifiedRequest) -> bytes:
        return f"aauth session\0{self._issuer}\0{verified.thumbprint}".encode()

    def _opened(self, credential: str, bound_to: bytes) -> dict[str, Any] | None:
        try:
            sealed = base64.urlsafe_b64decode(credential + "=" * (-len(credential) % 4))
        except (ValueError, binascii.Error):
            return None
        for key in self._keys:
            try:
                content: dict[str, Any] = json.loads(_open(sealed[_NONCE_BYTES:], bound_to, sealed[:_NONCE_BYTES], key))
            except (nacl.exceptions.CryptoError, ValueError):
                continue
            return content
        return None


def session_credential(verified: VerifiedRequest) -> str | None:
    """The one `AAuth` credential of the request; ``None`` when it shows none of that scheme (§6.3)."""
    if not shows_session_token(verified.message):
        return None
    lines = verified.message.field_lines("authorization")
    match = _CREDENTIAL.fullmatch(lines[0].strip(" \t")) if len(lines) == 1 else None
    if match is None or len(match[1]) > _LARGEST_TOKEN:
        raise InvalidRequest("Send one Authorization line: AAuth, a space, and the session token as it was given.")
    return match[1]


class ManagedAccess:
    """ASGI, inside ``DeferredResponses``: an agent without a session waits until its person has settled the matter.

    An agent that declared no `interaction` is asked all the same: its person server may bring the person here for it,
    and one that cannot be helped says so itself (§11.7 leaves it to the agent to declare).
    The application then runs with what was settled at ``scope["aauth.session"]`` (``session_of``), and its answer
    carries a session token for the calls to come. A session that is ageing is replaced in the same way.
    """

    def __init__(self, app: ASGIApp, tokens: SessionTokens) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or "aauth" not in scope:
            await self._app(scope, receive, send)
            return
        verified = verified_of(scope)
        session = self._tokens.of(verified)
        if session is None:
            state = await deferral_of(scope).visit().outcome()
        else:
            state = session.state
        new = self._tokens.issue(verified, state) if session is None or self._tokens.is_ageing(session) else None
        await self._app({**scope, "aauth.session": state}, receive, _with_token(send, new))


def session_of(scope: Scope) -> Mapping[str, Any]:
    """What was settled with the person of this request; raises ``KeyError`` outside ``ManagedAccess``."""
    state: Mapping[str, Any] = scope["aauth.session"]
    return state


def _with_token(send: Send, token: str | None) -> Send:
    if token is None:
        return send
    line = (AAUTH_ACCESS.lower().encode(), token.encode())

    async def with_token(event: Message) -> None:
        if event["type"] == "http.response.start":
            event = {**event, "headers": [*event.get("headers", ()), line, (b"cache-control", b"no-store")]}
        await send(event)

    return with_token
