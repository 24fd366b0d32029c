"""Our person server with its agent provider, whole and in this process, for a peer's client: what the peer sends comes
through its pipe. It asks nobody, since a person is not what these tests are about."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2

from aauthkit.agent_provider.storage import TicketStore
from aauthkit.cli.person import ServeOptions, application
from aauthkit.clock import SystemClock
from aauthkit.database import open_database
from aauthkit.drafts import DRAFT_11, Draft
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.sign import sign_message
from aauthkit.keys import PrivateKey
from aauthkit.person_server.storage import PersonStore
from aauthkit.sigkey.jkt_jwt import delegate
from aauthkit.tokens import agent as agent_tokens
from aauthkit.tokens import person as person_tokens
from tests.interop.scene import Meeting
from tests.interop.serving import PublishedBy
from tests.parties import PERSON_SERVER

_IDP = "https://idp.example"


@dataclass
class PersonServer:
    """The server. ``rewrite`` is done to every request of the peer before the server sees it."""

    client: httpx2.AsyncClient
    state: Path
    rewrite: Callable[[Message], Message] = lambda message: message
    seen: list[str] = field(default_factory=list)

    async def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The server's answer to a request the peer made."""
        body = request["body"].encode()
        message = self.rewrite(Message.of(request["method"], request["url"], request["headers"].items(), body))
        response = await self.client.request(
            message.method, request["url"], headers=list(message.headers), content=message.body
        )
        self.seen.append(f"{message.method} {message.path} {response.status_code}")
        return {"status": response.status_code, "headers": dict(response.headers), "body": response.text}

    async def enrol(self, key: PrivateKey) -> str:
        """The agent token of an agent that signs with ``key`` and has a person."""
        clock = SystemClock()
        engine = open_database(self.state / "person.db")
        try:
            owner = await PersonStore(engine, clock).named("ada", _IDP)
            ticket = await TicketStore(engine, clock).make(owner.id, lifetime=timedelta(minutes=5))
        finally:
            await engine.dispose()
        return await enrolled(self.client, PERSON_SERVER, ticket, key, DRAFT_11)

    async def documents(self) -> dict[str, Any]:
        """What it publishes, as agent provider and as person server."""
        names = (agent_tokens.DWK, person_tokens.DWK, "jwks.json")
        urls = [f"{PERSON_SERVER}/.well-known/{name}" for name in names]
        return {url: (await self.client.get(url)).json() for url in urls}


async def enrolled(client: httpx2.AsyncClient, provider: str, ticket: str, key: PrivateKey, draft: Draft) -> str:
    """The agent token our agent provider gives for ``key``, with a fresh stable key behind it."""
    clock, stable = SystemClock(), PrivateKey.generate()
    body = {"stable_pub": stable.public.as_jwk(draft), "agent_name": "a peer", "ticket": ticket, "draft": draft.name}
    message = Message.of(
        "POST", f"{provider}/register", [("content-type", "application/json")], json.dumps(body).encode()
    )
    delegation = delegate(stable, key.public, draft, now=clock.now())
    signature = sign_message(message, key, signature_key=str(delegation), created=int(clock.now()))
    response = await client.post(
        f"{provider}/register", content=message.body, headers=dict([*message.headers, *signature])
    )
    assert response.status_code == 200, response.text
    return str(response.json()["agent_token"])


@asynccontextmanager
async def our_person_server(state: Path, scene: Meeting) -> AsyncIterator[PersonServer]:
    """The server with what the others of ``scene`` publish; it keeps its own keys."""
    asked = ServeOptions(
        listen="127.0.0.1:1",
        issuer=PERSON_SERVER,
        state=state,
        agent_domain=PERSON_SERVER.removeprefix("https://"),
        oidc_issuer=_IDP,
        oidc_client="aauth-person-server",
        unasked_resources=("any",),
    )
    async with application(asked, network=PublishedBy(scene)) as app:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url=PERSON_SERVER) as client:
            yield PersonServer(client=client, state=state)
