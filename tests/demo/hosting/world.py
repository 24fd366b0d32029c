"""A person server's keys and documents, and a caller with tokens from it: enough to meet an agent's guard for real."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx2

from aauthkit.demo.hosting.settings import Settings
from aauthkit.drafts import DRAFT_01
from aauthkit.flow import Fetch, Fetched
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.sign import sign_message
from aauthkit.identifiers import AgentIdentifier
from aauthkit.keys import PrivateKey, jwks
from aauthkit.sigkey import ConfirmationJWT
from aauthkit.tokens.agent import build_agent_token
from aauthkit.tokens.auth import build_auth_token

PROVIDER = "http://127.0.0.1:8765"
DOMAIN = "agent-server.example"
BACKEND = "http://backend.localhost:8000"


def settings_for(name: str, **environment: str) -> Settings:
    return Settings.from_environment(environment, name=name, port=9999)


@dataclass
class Provider:
    """Agent provider and person server in one, and the fetcher through which its documents are found."""

    key: PrivateKey = field(default_factory=lambda: PrivateKey.generate(kid="provider-1"))
    backend: PrivateKey = field(default_factory=lambda: PrivateKey.generate(kid="backend-1"))

    async def fetch(self, request: Fetch) -> Fetched:
        documents: dict[str, Any] = {
            f"{PROVIDER}/.well-known/aauth-agent.json": {"issuer": PROVIDER, "jwks_uri": f"{PROVIDER}/jwks"},
            f"{PROVIDER}/.well-known/aauth-person.json": {"issuer": PROVIDER, "jwks_uri": f"{PROVIDER}/jwks"},
            f"{PROVIDER}/jwks": jwks([(self.key, DRAFT_01)]),
            f"{BACKEND}/.well-known/aauth-agent.json": {"issuer": BACKEND, "jwks_uri": f"{BACKEND}/jwks"},
            f"{BACKEND}/jwks": jwks([(self.backend, DRAFT_01)]),
        }
        body = documents.get(request.url)
        return Fetched(status=404) if body is None else Fetched(status=200, body=json.dumps(body).encode())

    def caller(self, local: str = "backend") -> Caller:
        return Caller(provider=self, agent=f"aauth:{local}@{DOMAIN}")


@dataclass
class Caller:
    """An agent with a key of its own."""

    provider: Provider
    agent: str
    key: PrivateKey = field(default_factory=PrivateKey.generate)

    def agent_token(self, *, issuer: str = PROVIDER, agent: str | None = None) -> Signing:
        token = build_agent_token(
            self.provider.key,
            DRAFT_01,
            issuer=issuer,
            agent=AgentIdentifier.parse(agent or self.agent),
            confirm=self.key.public,
            ps=PROVIDER,
            now=time.time(),
        )
        return self._presenting(token)

    def auth_token(self, audience: str, *, age: timedelta = timedelta(0), **changes: Any) -> Signing:
        claims: dict[str, Any] = {
            "issuer": PROVIDER,
            "audience": audience,
            "agent": self.agent,
            "confirm": self.key.public,
            "scope": "supply-chain:read",
            "sub": None,
            "now": time.time() - age.total_seconds(),
            **changes,
        }
        return self._presenting(build_auth_token(self.provider.key, DRAFT_01, **claims))

    def published(self) -> Signing:
        """The backend signing with the keys it publishes itself."""
        signature_key = f'jwks_uri;id="{BACKEND}";dwk="aauth-agent.json";kid="{self.provider.backend.kid}"'
        return Signing(key=self.provider.backend, signature_key=signature_key)

    def _presenting(self, token: str) -> Signing:
        return Signing(key=self.key, signature_key=str(ConfirmationJWT(jwt=token)))


@dataclass
class Signing(httpx2.Auth):
    """Signs each request once and sends it; no challenge is followed."""

    key: PrivateKey
    signature_key: str
    requires_request_body = True

    def sync_auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        yield self.signed(request)

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        await request.aread()
        yield self.signed(request)

    def signed(self, request: httpx2.Request) -> httpx2.Request:
        headers = tuple((name.lower(), value) for name, value in request.headers.items())
        message = Message.of(request.method, str(request.url), headers, request.content or None)
        added = sign_message(message, self.key, signature_key=self.signature_key, created=int(time.time()))
        for name, value in added:
            request.headers[name] = value
        return request
