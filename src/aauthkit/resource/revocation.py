"""The revocation endpoint of a resource (AAuth-11 §11.12.3): a person server or access server withdraws its tokens.

There is nothing downstream of a resource, so the answer is given at once, empty, and never 202. Any pair is recorded,
whether or not its token was ever seen here. ``receive_revocation`` and ``keep`` are what the ASGI endpoint and the
authorization service for proxies have in common; what was recorded is asked by ``verify_request``.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from starlette.types import ASGIApp, Receive, Scope, Send

from aauthkit.clock import Clock
from aauthkit.discovery import Discovery
from aauthkit.drafts import DRAFT_11
from aauthkit.errors import (
    AAuthError,
    ConfigurationError,
    InternalError,
    MethodNotAllowed,
    UnsupportedIssuer,
    UntrustedSigner,
    render,
)
from aauthkit.flow import AsyncFetcher, Flow, arun
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.replay import Replays
from aauthkit.resource.admission import Verification
from aauthkit.resource.settings import Resource
from aauthkit.revocation import IssuerRate, Revocation, Revocations
from aauthkit.serving import message_from_scope, received_body
from aauthkit.sigkey.jwks_uri import PublishedKey
from aauthkit.tokens import agent as agent_tokens
from aauthkit.tokens import auth as auth_tokens
from aauthkit.trust import Trust
from aauthkit.verify import Requirements, verify_request

# Two short members.
MAX_REVOCATION_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class RevocationReceiver:
    """What receiving needs besides the resource; one for all resources of a process."""

    revocations: Revocations
    rate: IssuerRate
    discovery: Discovery
    replays: Replays
    clock: Clock


def receiver_of(verification: Verification) -> RevocationReceiver:
    """A receiver that records into what ``verification`` asks."""
    if verification.revocations is None:
        raise ConfigurationError("A resource that receives revocations keeps them where its verification looks.")
    return RevocationReceiver(
        revocations=verification.revocations,
        rate=IssuerRate(verification.clock),
        discovery=verification.discovery,
        replays=verification.replays,
        clock=verification.clock,
    )


def revocation_requirements(resource: Resource) -> Requirements:
    """§11.12.1: signed as a server by one whose tokens are accepted here, body covered, and in no other way."""
    return replace(
        resource.requirements,
        drafts=(DRAFT_11,),
        schemes=frozenset({PublishedKey.name}),
        token_types=frozenset(),
        published={
            auth_tokens.DWK_PERSON_SERVER: resource.auth_issuers,
            auth_tokens.DWK_ACCESS_SERVER: resource.auth_issuers,
            # An agent provider revokes at the person server only (§11.12.2).
            agent_tokens.DWK: Trust.nobody(),
        },
        cover_body=True,
        cover=(),
        allow_unsafe_replay=False,
    )


def receive_revocation(
    message: Message, resource: Resource, receiver: RevocationReceiver
) -> Flow[tuple[Revocation, str]]:
    """Verify and read a revocation; returned are what is revoked and who revokes it, for ``keep``.

    Raises ``SignatureError``, ``UnsupportedIssuer``, ``InvalidRequest``, ``RateLimited``, ``Unavailable``.
    """
    try:
        verified = yield from verify_request(
            message,
            revocation_requirements(resource),
            discovery=receiver.discovery,
            replays=receiver.replays,
            clock=receiver.clock,
        )
    except UntrustedSigner as error:
        # Said without having fetched anything of it: whether its signature is good changes nothing.
        raise UnsupportedIssuer("Revocations are taken here from issuers whose tokens are accepted.") from error
    assert verified.published is not None  # noqa: S101 (no other scheme is accepted)
    issuer = verified.published.id
    receiver.rate.admit(issuer)
    revocation = Revocation.from_body(message.body or b"", message.field("content-type"))
    return revocation, issuer


async def keep(revocation: Revocation, issuer: str, receiver: RevocationReceiver) -> None:
    """Record what was received; afterwards the caller answers 200 with nothing in it.

    Raises ``InvalidRequest``, ``RateLimited``, ``Unavailable``. In a thread: a store may wait for a disk.
    """
    await asyncio.to_thread(receiver.revocations.record, issuer, revocation.jti, revocation.expires_at)


class RevocationEndpoint:
    """ASGI: answers at ``resource.revocation_path`` and hands everything else to ``app``."""

    def __init__(
        self, app: ASGIApp, *, resource: Resource, receiver: RevocationReceiver, fetcher: AsyncFetcher
    ) -> None:
        self._app = app
        self._resource = resource
        self._receiver = receiver
        self._fetcher = fetcher

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else None
        if path is None or path != self._resource.revocation_path or not self._resource.is_revocable:
            await self._app(scope, receive, send)
            return
        try:
            await self._receive(scope, receive)
        except AAuthError as error:
            rendered = render(error, DRAFT_11)
            await _answer(send, rendered.status, rendered.headers, rendered.body)
        except Exception as error:
            rendered = render(InternalError("a revocation failed", debug=repr(error)), DRAFT_11)
            await _answer(send, rendered.status, rendered.headers, rendered.body)
            raise
        else:
            await _answer(send, 200, {"Cache-Control": "no-store"}, b"")

    async def _receive(self, scope: Scope, receive: Receive) -> None:
        if scope["method"] != "POST":
            raise MethodNotAllowed("Send a revocation with POST.", allowed=("POST",))
        body = await received_body(receive, limit=MAX_REVOCATION_BYTES)
        message = message_from_scope(scope, body, issuer=self._resource.issuer)
        flow = receive_revocation(message, self._resource, self._receiver)
        await keep(*await arun(flow, self._fetcher), self._receiver)


async def _answer(send: Send, status: int, headers: dict[str, str], body: bytes) -> None:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
