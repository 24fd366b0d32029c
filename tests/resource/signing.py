"""Signed ASGI requests by hand, so that a test can spoil any part of one; and an application that notes what it got."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aauthkit.clock import FixedClock
from aauthkit.discovery import Discovery
from aauthkit.drafts import DRAFT_01, Draft
from aauthkit.errors import Unavailable
from aauthkit.flow import Fetch, Fetched
from aauthkit.httpsig.message import Message as SignedMessage
from aauthkit.httpsig.replay import ReplayCache
from aauthkit.httpsig.sign import sign_message
from aauthkit.identifiers import AgentIdentifier
from aauthkit.keys import PrivateKey, jwks
from aauthkit.resource.admission import Verification
from aauthkit.resource.settings import Require, Resource
from aauthkit.sigkey import ConfirmationJWT, HeaderWebKey, PublishedKey
from aauthkit.sigkey.jkt_jwt import delegate
from aauthkit.tokens.agent import build_agent_token
from aauthkit.tokens.auth import build_auth_token
from aauthkit.trust import Trust, TrustedIssuer

NOW = 1_795_300_000.0
ISSUER = "http://orders.localhost:3000"
PROVIDER = "http://127.0.0.1:8765"
PERSON_SERVER = "http://person.localhost:8766"
PUBLISHER = "http://backend.localhost:8000"
DOMAIN = "agent-server.example"
AGENT = AgentIdentifier("backend", DOMAIN)


class Issuers:
    """Whose documents can be had: a provider that is also the person server, and an agent that publishes its keys."""

    def __init__(self, draft: Draft = DRAFT_01) -> None:
        self.draft = draft
        self.key = PrivateKey.generate()
        self.person_server_key = PrivateKey.generate()
        self.publisher_key = PrivateKey.generate(kid="one")
        self.down = False
        self.fetched: list[str] = []

    async def fetch(self, request: Fetch) -> Fetched:
        self.fetched.append(request.url)
        if self.down:
            raise Unavailable("down")
        documents: dict[str, Any] = {}
        keys = {PROVIDER: self.key, PUBLISHER: self.publisher_key, PERSON_SERVER: self.person_server_key}
        for issuer, key in keys.items():
            document = {"issuer": issuer, "jwks_uri": f"{issuer}/jwks"}
            documents |= {f"{issuer}/.well-known/aauth-{role}.json": document for role in ("agent", "person")}
            documents[f"{issuer}/jwks"] = jwks([(key, self.draft)])
        return Fetched(status=200, body=json.dumps(documents[request.url]).encode())


def resource(**changes: Any) -> Resource:
    values: dict[str, Any] = {
        "issuer": ISSUER,
        "require": Require.AUTH_TOKEN,
        "draft": DRAFT_01,
        "agent_providers": Trust.only([TrustedIssuer(issuer=PROVIDER, domain=DOMAIN), TrustedIssuer(issuer=PUBLISHER)]),
        "auth_issuers": Trust.only([TrustedIssuer(issuer=PROVIDER)]),
        "development": True,
        "signing_key": PrivateKey.generate(),
        "scopes": ("orders:read", "orders:write"),
        "default_scopes": ("orders:read",),
    }
    return Resource(**values | changes)


@dataclass
class Bench:
    """One resource's verification and the callers that come to it."""

    issuers: Issuers = field(default_factory=Issuers)
    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW))
    key: PrivateKey = field(default_factory=PrivateKey.generate)

    def verification(self) -> Verification:
        return Verification(
            discovery=Discovery(development=True, clock=self.clock), replays=ReplayCache(), clock=self.clock
        )

    def agent_token(self, **changes: Any) -> str:
        values: dict[str, Any] = {
            "issuer": PROVIDER,
            "agent": AGENT,
            "confirm": self.key.public,
            "ps": PROVIDER,
            "now": self.clock.now(),
        }
        return build_agent_token(changes.pop("by", self.issuers.key), DRAFT_01, **values | changes)

    def auth_token(self, **changes: Any) -> str:
        values: dict[str, Any] = {
            "issuer": PROVIDER,
            "audience": ISSUER,
            "agent": str(AGENT),
            "confirm": self.key.public,
            "scope": "orders:read",
            "sub": None,
            "now": self.clock.now(),
        }
        return build_auth_token(changes.pop("by", self.issuers.key), DRAFT_01, **values | changes)

    def scheme(self, name: str) -> tuple[PrivateKey, str]:
        """A key and what Signature-Key says of it."""
        if name == "hwk":
            return self.key, str(HeaderWebKey(key=self.key.public, draft=DRAFT_01))
        if name == "jkt-jwt":
            return self.key, str(delegate(PrivateKey.generate(), self.key.public, DRAFT_01, now=self.clock.now()))
        if name == "jwks_uri":
            return self.issuers.publisher_key, str(PublishedKey(id=PUBLISHER, dwk="aauth-agent.json", kid="one"))
        token = self.auth_token() if name == "auth token" else self.agent_token()
        return self.key, str(ConfirmationJWT(jwt=token))

    def signed(
        self,
        method: str = "GET",
        target: str = "/orders",
        body: bytes = b"",
        *,
        by: str = "agent token",
        token: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
        host: str = "orders.localhost:3000",
        cover: tuple[str, ...] = (),
        key: PrivateKey | None = None,
    ) -> Scope:
        own, signature_key = self.scheme(by)
        if token is not None:
            signature_key = str(ConfirmationJWT(jwt=token))
        lines = [("host", host), *headers]
        message = SignedMessage.of(method, f"http://{host}{target}", lines, body)
        lines += sign_message(
            message, key or own, signature_key=signature_key, created=int(self.clock.now()), cover=cover
        )
        return scope_of(method, target, lines)


def scope_of(method: str, target: str, headers: Iterable[tuple[str, str]] = (), kind: str = "http") -> Scope:
    """The ASGI scope as a server makes it."""
    path, _, query = target.partition("?")
    return {
        "type": kind,
        "method": method,
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
    }


@dataclass
class Answer:
    """What an application sent."""

    events: list[Message]

    @property
    def status(self) -> int:
        return int(self.events[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode("latin-1") for name, value in self.events[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(event.get("body", b"") for event in self.events[1:])

    @property
    def error(self) -> str:
        return str(json.loads(self.body)["error"])


async def ask(app: ASGIApp, scope: Scope, *chunks: bytes, disconnects: bool = False) -> Answer:
    """Send a request in ``chunks``; ``disconnects`` hangs up where the last of them would be expected."""
    events: list[Message] = []
    parts = list(chunks) or [b""]
    waiting: list[Message] = [
        {"type": "http.request", "body": part, "more_body": disconnects or number < len(parts) - 1}
        for number, part in enumerate(parts)
    ]
    if disconnects:
        waiting.append({"type": "http.disconnect"})

    ended = asyncio.Event()

    async def receive() -> Message:
        if waiting:
            return waiting.pop(0)
        await ended.wait()
        return {"type": "http.disconnect"}

    async def send(event: Message) -> None:
        events.append(event)
        if event["type"] == "http.response.body" and not event.get("more_body", False):
            ended.set()

    await app(scope, receive, send)
    return Answer(events)


class Application:
    """Says yes, and notes each scope and body it was given."""

    def __init__(self) -> None:
        self.calls: list[tuple[Scope, bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        if scope["type"] == "http":
            event = await receive()
            body = event.get("body", b"")
        self.calls.append((scope, body))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"in"})
