"""Servers that revoke, resources that are told, and records of what was issued, for the tests of revocation."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
from sqlalchemy import insert, select, text

from aauthkit.cli.person.state import migrated_database
from aauthkit.database import reading, writing
from aauthkit.discovery import Discovery
from aauthkit.drafts import DRAFT_11
from aauthkit.flow import Call, Fetched, arun
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.replay import ReplayCache
from aauthkit.httpsig.sign import sign_message
from aauthkit.keys import PrivateKey, jwks
from aauthkit.person_server.storage import RevocationStore
from aauthkit.person_server.storage.schema import agent_tokens, issued_tokens, person_tokens, persons
from aauthkit.server_identity import ServerIdentity
from aauthkit.trust import Trust, TrustedIssuer
from aauthkit.verify import Requirements, verify_request
from tests.person_server.world import ISSUER, World, on_postgresql

RESOURCE = "http://orders.localhost:3000"
STOCK = "http://stock.localhost:3000"
PROVIDER_DWK = "aauth-agent.json"
RESOURCE_DWK = "aauth-resource.json"
_numbers = itertools.count()


def provider(world: World) -> ServerIdentity:
    """The agent provider that runs beside the server, under its key of draft 11."""
    return ServerIdentity(issuer=ISSUER, dwk=PROVIDER_DWK, key=world.keys["11"])


def server(world: World, issuer: str = RESOURCE, dwk: str = RESOURCE_DWK, **metadata: Any) -> ServerIdentity:
    """A server with published keys; a resource as long as nothing else is said."""
    key = PrivateKey.generate()
    document = {"issuer": issuer, "jwks_uri": f"{issuer}/jwks", **metadata}
    world.network.documents |= {f"{issuer}/.well-known/{dwk}": document, f"{issuer}/jwks": jwks([(key, DRAFT_11)])}
    return ServerIdentity(issuer=issuer, dwk=dwk, key=key)


async def revoke(
    world: World,
    who: ServerIdentity,
    jti: str = "t-1",
    exp: Any = None,
    *,
    body: bytes | None = None,
    wait: int | None = None,
    method: str = "POST",
    path: str = "/revoke",
    media_type: str = "application/json",
    client: httpx2.AsyncClient | None = None,
) -> httpx2.Response:
    """Ask the person server, signed as ``who``."""
    if body is None:
        body = json.dumps({"jti": jti, "exp": int(world.clock.now()) + 300 if exp is None else exp}).encode()
    if method == "GET":
        body = b""
    lines = [("content-type", media_type)] if body else []
    if wait is not None:
        lines.append(("prefer", f"wait={wait}"))
    message = Message.of(method, f"{ISSUER}{path}", lines, body)
    signature = sign_message(message, who.key, signature_key=who.signature_key, created=int(world.clock.now()))
    return await (client or world.client).request(method, path, content=body, headers=dict([*lines, *signature]))


@dataclass
class Told:
    """A resource's revocation endpoint: verifies what comes as any resource would, notes it, answers as told."""

    world: World
    issuer: str = RESOURCE
    answers: list[Fetched | Exception] = field(default_factory=list)
    """What to answer first; then an empty 200."""
    tokens: list[str] = field(default_factory=list)
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    under_way: int = 0
    most_under_way: int = 0

    def __post_init__(self) -> None:
        self.hold.set()
        self._discovery = Discovery(development=True, clock=self.world.clock)
        self._replays = ReplayCache()
        # The document of a resource of this world, when there is one, keeps what else it says.
        at = f"{self.issuer}/.well-known/{RESOURCE_DWK}"
        known = self.world.network.documents.get(at, {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/jwks"})
        self.world.network.documents[at] = {**known, "revocation_endpoint": self.endpoint}
        self.world.network.answers[self.endpoint] = self._answer

    @property
    def endpoint(self) -> str:
        return f"{self.issuer}/revoke-here"

    async def _answer(self, call: Call) -> Fetched:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.hold.wait()
            self.tokens.append((await self._verified(call))["jti"])
            answer = self.answers.pop(0) if self.answers else Fetched(status=200)
            if isinstance(answer, Exception):
                raise answer
            return answer
        finally:
            self.under_way -= 1

    async def _verified(self, call: Call) -> dict[str, Any]:
        documents = dict(self.world.network.documents)
        for name in ("aauth-person.json", "jwks.json"):
            response = await self.world.client.get(f"/.well-known/{name}")
            documents[f"{ISSUER}/.well-known/{name}"] = response.json()
        requirements = Requirements(
            authorities=frozenset({self.issuer.partition("//")[2]}),
            drafts=(DRAFT_11,),
            schemes=frozenset({"jwks_uri"}),
            token_types=frozenset(),
            agent_providers=Trust.nobody(),
            auth_issuers=Trust.nobody(),
            audience=None,
            development=True,
            published={"aauth-person.json": Trust.only([TrustedIssuer(issuer=ISSUER)])},
            cover_body=True,
        )
        flow = verify_request(
            Message.of(call.method, call.url, [("host", self.issuer.partition("//")[2]), *call.headers], call.body),
            requirements,
            discovery=self._discovery,
            replays=self._replays,
            clock=self.world.clock,
        )
        verified = await arun(flow, _Documents(documents))
        assert verified.published is not None
        assert verified.published.id == ISSUER
        members: dict[str, Any] = json.loads(call.body)
        assert members.keys() == {"jti", "exp"}
        return members


class _Documents:
    def __init__(self, at: dict[str, Any]) -> None:
        self._at = at

    async def fetch(self, request: Any) -> Fetched:
        return Fetched(status=200, body=json.dumps(self._at[request.url]).encode())


@asynccontextmanager
async def records(world: World) -> AsyncIterator[Records]:
    async with migrated_database(world.state, on_postgresql.urls.get(world.state), world.clock) as engine:
        async with writing(engine) as connection:
            person = (
                await connection.execute(
                    select(persons.c.id).where(persons.c.username.in_(("mcp-user", "u"))).order_by(persons.c.username)
                )
            ).scalar()
            if person is None:
                person = "p"
                row = {"id": person, "issuer": "i", "username": "u", "created_at": 0.0}
                await connection.execute(insert(persons).values(**row))
        yield Records(world, engine, str(person), RevocationStore(engine, world.clock, issuer=ISSUER))


@dataclass
class Records:
    """What the server accepted and issued, written as its token endpoints write it."""

    world: World
    engine: Any
    person_id: str
    store: RevocationStore

    async def agent_token(self, jti: str, agent: str, *, life: int = 3600, issuer: str = ISSUER) -> None:
        now = self.world.clock.now()
        await self._insert(agent_tokens, issuer=issuer, jti=jti, agent=agent, accepted_at=now, expires_at=now + life)

    async def person_token(self, agent: str, resource: str = RESOURCE, *, life: int = 3600, **changes: Any) -> str:
        now, jti = self.world.clock.now(), f"person-{next(_numbers)}"
        values: dict[str, Any] = {
            "jti": jti,
            "agent_issuer": ISSUER,
            "agent": agent,
            "agent_token_jti": "a-1",
            "agent_jkt": "k",
            "person_id": self.person_id,
            "resource": resource,
            "sub": "s",
            "issued_at": now,
            "expires_at": now + life,
        }
        await self._insert(person_tokens, **values | changes)
        return jti

    async def auth_token(self, agent: str, resource: str = RESOURCE, *, life: int = 3600, **changes: Any) -> str:
        now, jti = self.world.clock.now(), f"auth-{next(_numbers)}"
        values: dict[str, Any] = {
            "jti": jti,
            "agent_issuer": ISSUER,
            "agent": agent,
            "agent_jkt": "k",
            "person_id": self.person_id,
            "resource": resource,
            "scope": "a:read",
            "act": "{}",
            "draft": "11",
            "issued_at": now,
            "expires_at": now + life,
        }
        await self._insert(issued_tokens, **values | changes)
        return jti

    async def count(self, table: str) -> int:
        async with reading(self.engine) as connection:
            return int((await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())

    async def _insert(self, table: Any, **values: Any) -> None:
        async with writing(self.engine) as connection:
            await connection.execute(insert(table).values(**values))


async def until(condition: Any, *, seconds: float = 5.0) -> None:
    """Wait for something that happens in the background."""
    async with asyncio.timeout(seconds):
        while not (await value if asyncio.iscoroutine(value := condition()) else value):
            await asyncio.sleep(0.01)
