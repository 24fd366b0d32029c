"""A person server with its agent provider in one process, and everybody who talks to it: agents that really sign,
resources that really issue, an identity provider that really answers. Nothing here is asserted."""

from __future__ import annotations

import hashlib
import json
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
from joserfc import jwt
from joserfc.jwk import RSAKey
from sqlalchemy.ext.asyncio import AsyncEngine

from aauthkit import jwt as jws
from aauthkit.agent_provider.storage import TicketStore
from aauthkit.cli.person import ServeOptions, application
from aauthkit.cli.person.keeping import key_store
from aauthkit.clock import Clock, FixedClock, SystemClock
from aauthkit.database import open_database
from aauthkit.drafts import DRAFT_01
from aauthkit.errors import Unavailable
from aauthkit.flow import Call, Fetch, Fetched
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.sign import sign_message
from aauthkit.keys import PrivateKey, b64url_encode, jwks
from aauthkit.person_server.asking.waiting import Changes
from aauthkit.person_server.codes import Secrets
from aauthkit.person_server.signing import SigningKeys
from aauthkit.person_server.storage import PersonStore
from aauthkit.person_server.storage.audit import AuditLog, with_audit_log
from aauthkit.sigkey.jkt_jwt import delegate
from aauthkit.tokens.resource import build_resource_token
from tests.person_server.described import DescribedTransport
from tests.postgresql import PostgreSQL
from tests.sqlite import migrated

ISSUER = "http://127.0.0.1:8765"
DOMAIN = "agent-server.example"
IDP = "http://idp.localhost:8080/realms/aauth-test"
CLIENT = "aauth-person-server"
AUTOMATION = "harness"
START = 1_795_300_000.0
# Made once: an RSA key costs more than the rest of a test.
_IDP_KEY = RSAKey.generate_key(2048, {"kid": "idp", "use": "sig"})


Answering = Callable[[Call], Fetched | Awaitable[Fetched]]


class Network:
    """The documents of others, and those who are called. What is not there does not answer; all is noted."""

    def __init__(self) -> None:
        self.documents: dict[str, Any] = {}
        self.fetched: list[str] = []
        self.calls: list[Call] = []
        self.answers: dict[str, Answering] = {}

    async def fetch(self, request: Fetch) -> Fetched:
        self.fetched.append(request.url)
        if request.url not in self.documents:
            raise Unavailable("nobody answers there")
        document = self.documents[request.url]
        return Fetched(status=200, body=document if isinstance(document, bytes) else json.dumps(document).encode())

    async def call(self, request: Call) -> Fetched:
        """What whoever stands at that URL answers; nobody, unless a test put somebody there."""
        self.calls.append(request)
        if request.url not in self.answers:
            raise Unavailable("nobody answers there")
        answer = self.answers[request.url](request)
        return await answer if isinstance(answer, Awaitable) else answer


class Resource:
    """A resource that publishes its metadata and keys and issues resource tokens."""

    def __init__(self, issuer: str, network: Network, clock: FixedClock) -> None:
        self.issuer = issuer
        self.key = PrivateKey.generate()
        self._clock = clock
        self.scopes = {"a:read": "Read", "a:write": "Write", "require:user": "Needs you", "user.mail": "Mail"}
        network.documents[f"{issuer}/.well-known/aauth-resource.json"] = {
            "issuer": issuer,
            "jwks_uri": f"{issuer}/.well-known/jwks.json",
            "client_name": "A resource <b>",
            "scope_descriptions": self.scopes,
        }
        network.documents[f"{issuer}/.well-known/jwks.json"] = jwks([(self.key, DRAFT_01)])

    def token(self, holder: Agent, scope: str = "a:read", **changes: Any) -> str:
        values: dict[str, Any] = {
            "issuer": self.issuer,
            "audience": ISSUER,
            "agent": holder.agent_id,
            "agent_jkt": holder.key.thumbprint,
            "scope": scope,
            "now": self._clock.now(),
        }
        return build_resource_token(self.key, DRAFT_01, **values | changes)


class IdentityProvider:
    """Signs people in without asking; `transport` is what the person server's client talks to.

    Refresh tokens are spent when they are used, as at a strict provider. ``unreachable`` and ``disabled`` are for tests
    to change; ``asked`` counts the requests for renewal.
    """

    def __init__(self, clock: FixedClock) -> None:
        self.key = _IDP_KEY
        self._clock = clock
        self._codes: dict[str, dict[str, Any]] = {}
        self.extra_claims: dict[str, Any] = {}
        """What it says of everybody besides."""
        self._begun = 0
        self._renewals: dict[str, str] = {}
        self.disabled: set[str] = set()
        self.roles: dict[str, list[str]] = {}
        self.metadata: dict[str, Any] = {}
        self.unreachable = False
        self.asked = 0
        self.transport = httpx2.MockTransport(self._answer)

    def sign(self, claims: Mapping[str, Any], **header: Any) -> str:
        return jwt.encode({"alg": "RS256", "kid": "idp", **header}, dict(claims), self.key)

    def claims(self, username: str, **changes: Any) -> dict[str, Any]:
        now = int(self._clock.now())
        return {
            "iss": IDP,
            "sub": f"subject-of-{username}",
            "preferred_username": username,
            "realm_access": {"roles": self.roles.get(username, [])},
            "iat": now,
            "exp": now + 300,
            **self.extra_claims,
        } | changes

    def bearer(self, username: str, **changes: Any) -> str:
        return self.sign(self.claims(username, azp=AUTOMATION, aud=["account", CLIENT], typ="Bearer", **changes))

    def logout_token(self, **changes: Any) -> str:
        now = int(self._clock.now())
        events: dict[str, object] = {"http://schemas.openid.net/event/backchannel-logout": {}}
        claims = {"iss": IDP, "aud": CLIENT, "iat": now, "exp": now + 120, "jti": f"out-{now}", "events": events}
        return self.sign({name: value for name, value in (claims | changes).items() if value is not None})

    def authorize(self, url: str, username: str, **id_claims: Any) -> dict[str, str]:
        """What the browser brings back after the person signed in at `url`."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        code = f"code-{self._begun}"
        self._begun += 1
        claims = self.claims(username, aud=asked["client_id"], nonce=asked["nonce"], typ="ID", sid=f"sid-{code}")
        self._codes[code] = {
            "outlives": "offline_access" in asked["scope"].split(),
            "id_token": self.sign(claims | id_claims),
            "challenge": asked["code_challenge"],
            "username": username,
        }
        return {"code": code, "state": asked["state"], "iss": IDP}

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        if self.unreachable:
            raise httpx2.ConnectError("nobody answers there")
        path = request.url.path.removeprefix("/realms/aauth-test")
        if path == "/.well-known/openid-configuration":
            return httpx2.Response(
                200,
                json={
                    "issuer": IDP,
                    "authorization_endpoint": f"{IDP}/auth",
                    "token_endpoint": f"{IDP}/token",
                    "jwks_uri": f"{IDP}/certs",
                    "authorization_response_iss_parameter_supported": True,
                    **self.metadata,
                },
            )
        if path == "/certs":
            return httpx2.Response(200, json={"keys": [self.key.as_dict(private=False)]})
        form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        if form["grant_type"] == "refresh_token":
            return self._renew(form["refresh_token"])
        issued = self._codes.pop(form["code"], None)
        if issued is None or _challenge_of(form["code_verifier"]) != issued["challenge"]:
            return httpx2.Response(400, json={"error": "invalid_grant"})
        return self._tokens(issued["username"], issued["id_token"], outlives=issued["outlives"])

    def end_logins(self) -> None:
        """Refresh tokens that do not outlive their login are refused from now on."""
        self._renewals = {token: who for token, who in self._renewals.items() if token.startswith("outliving-")}

    def _renew(self, refresh_token: str) -> httpx2.Response:
        self.asked += 1
        username = self._renewals.pop(refresh_token, None)
        if username is None or username in self.disabled:
            return httpx2.Response(400, json={"error": "invalid_grant"})
        outlives = refresh_token.startswith("outliving-")
        return self._tokens(username, self.sign(self.claims(username, aud=CLIENT, typ="ID")), outlives=outlives)

    def _tokens(self, username: str, id_token: str, *, outlives: bool = False) -> httpx2.Response:
        renewal = f"{'outliving' if outlives else 'renewal'}-{len(self._renewals)}-{username}-{self.asked}"
        self._renewals[renewal] = username
        tokens = {"access_token": "x", "token_type": "Bearer", "id_token": id_token, "refresh_token": renewal}
        return httpx2.Response(200, json=tokens)


def _challenge_of(verifier: str) -> str:
    return b64url_encode(hashlib.sha256(verifier.encode()).digest())


@dataclass
class Agent:
    """An agent with its stable key, its current key and, once enrolled, its token."""

    world: World
    stable: PrivateKey = field(default_factory=PrivateKey.generate)
    key: PrivateKey = field(default_factory=PrivateKey.generate)
    token: str = ""

    @property
    def agent_id(self) -> str:
        return str(jws.parse(self.token).claims["sub"])

    async def register(self, ticket: str | None = None, *, name: str = "backend", **changes: Any) -> httpx2.Response:
        body = {"stable_pub": self.stable.public.as_jwk(DRAFT_01), "agent_name": name} | changes
        if ticket is not None:
            body["ticket"] = ticket
        response = await self.delegated("POST", "/register", body)
        if response.status_code == 200:
            self.token = response.json()["agent_token"]
        return response

    async def delegated(self, method: str, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        """A request signed by the current key, which the stable key delegates to."""
        delegation = delegate(self.stable, self.key.public, DRAFT_01, now=self.world.clock.now())
        return await self.world.send(method, path, body, self.key, str(delegation), headers)

    async def signed(self, method: str, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        """A request signed with the agent token."""
        return await self.world.send(method, path, body, self.key, f'jwt;jwt="{self.token}"', headers)

    async def ask(self, resource_token: str, **members: Any) -> httpx2.Response:
        return await self.signed("POST", "/token", {"resource_token": resource_token} | members)

    async def poll(self, url: str, wait: int | None = None) -> httpx2.Response:
        headers = {} if wait is None else {"prefer": f"wait={wait}"}
        return await self.signed("GET", urlsplit(url).path, **headers)


@dataclass
class Person:
    """A person with a browser session, or with a bearer token."""

    world: World
    username: str
    client: httpx2.AsyncClient

    async def sign_in(self, return_to: str = "/ui/") -> httpx2.Response:
        begun = await self.client.get("/ui/login", params={"return_to": return_to})
        brought = self.world.idp.authorize(begun.headers["location"], self.username)
        return await self.client.get("/ui/callback", params=brought)

    async def csrf(self) -> str:
        return str((await self.client.get("/person/me")).json()["csrf_token"])

    async def opened(self, query: dict[str, str]) -> httpx2.Response:
        """The consent page as a browser gets to it by a code."""
        return await self.client.get("/ui/consent.html", params=query, follow_redirects=True)

    async def decide(self, pending_id: str, approved: bool, **members: Any) -> httpx2.Response:
        return await self.client.post(
            f"/consent/{pending_id}/decision",
            json={"approved": approved} | members,
            headers={"X-CSRF-Token": await self.csrf()},
        )

    async def post(self, path: str, body: Any = None) -> httpx2.Response:
        return await self.client.post(path, json=body or {}, headers={"X-CSRF-Token": await self.csrf()})


class OnPostgreSQL:
    """Where worlds keep their databases when the tests run with `--database postgresql`: one a state folder."""

    def __init__(self) -> None:
        self.server: PostgreSQL | None = None
        self.urls: dict[Path, str] = {}

    async def of(self, state: Path) -> str:
        assert self.server is not None
        if state not in self.urls:
            self.urls[state] = await self.server.database()
        return self.urls[state]


on_postgresql = OnPostgreSQL()


def database_of(state: Path) -> str | Path:
    """Where `open_database` finds the database of the world with this state."""
    return on_postgresql.urls.get(state, state / "person.db")


class World:
    """The server, the clock, and everybody else."""

    def __init__(self, app: Any, state: Path, clock: FixedClock, network: Network, idp: IdentityProvider) -> None:
        self.app = app
        self.state = state
        self.clock = clock
        self.network = network
        self.idp = idp
        self.keys: Mapping[str, PrivateKey] = {}
        """The server's own signing keys, by draft, as they were when the world began."""
        self.setup_links: list[str] = []
        self.people_of = IDP
        """Where the people of this server sign in."""
        self.client = self.browser()
        self.changes = Changes()
        self._resources: dict[str, Resource] = {}

    def browser(self, **headers: str) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=DescribedTransport(self.app), base_url=ISSUER, headers=headers)

    def open_database(self) -> AsyncEngine:
        """The server's database, as another process opens it; its audit log is sealed with a secret of the test."""
        return with_audit_log(open_database(database_of(self.state)), AuditLog(self.clock, Secrets(bytes(32))))

    @property
    def routes(self) -> list[Any]:
        """The addresses of the server, under whatever is wrapped around it."""
        app = self.app
        while not hasattr(app, "routes"):
            app = app._app
        found: list[Any] = app.routes
        return found

    def pass_time(self, **duration: float) -> None:
        self.clock.advance(timedelta(**duration))

    def resource(self, issuer: str = "http://resource.localhost:3000") -> Resource:
        if issuer not in self._resources:
            self._resources[issuer] = Resource(issuer, self.network, self.clock)
        return self._resources[issuer]

    async def ticket(self, username: str = "mcp-user", **options: Any) -> str:
        engine = self.open_database()
        try:
            owner = await PersonStore(engine, self.clock).named(username, self.people_of)
            store = TicketStore(engine, self.clock)
            return await store.make(owner.id, lifetime=timedelta(hours=1), **options)
        finally:
            await engine.dispose()

    async def agent(self, username: str = "mcp-user", *, name: str = "backend", **options: Any) -> Agent:
        agent = Agent(self)
        response = await agent.register(await self.ticket(username, **options), name=name)
        assert response.status_code == 200, response.text
        return agent

    async def person(self, username: str = "mcp-user") -> Person:
        person = Person(self, username, self.browser())
        response = await person.sign_in()
        assert response.status_code == 303, response.text
        return person

    def automation(self, username: str = "mcp-user") -> httpx2.AsyncClient:
        return self.browser(Authorization=f"Bearer {self.idp.bearer(username)}")

    async def send(
        self, method: str, path: str, body: Any, key: PrivateKey, signature_key: str, headers: Mapping[str, str]
    ) -> httpx2.Response:
        content = b"" if body is None else json.dumps(body).encode()
        lines = [*headers.items()] + ([("content-type", "application/json")] if content else [])
        message = Message.of(method, f"{ISSUER}{path}", lines, content)
        signature = sign_message(message, key, signature_key=signature_key, created=int(self.clock.now()))
        return await self.client.request(method, path, content=content, headers=dict([*lines, *signature]))


@asynccontextmanager
async def world_at(
    state: Path,
    *,
    clock: FixedClock | None = None,
    mail_tls: ssl.SSLContext | None = None,
    beside: World | None = None,
    **options: Any,
) -> AsyncIterator[World]:
    """A world whose server keeps its state in `state`; the same folder again is a restart.

    With ``beside`` it is a second server of the same world, on the same database when the folder is the same.
    """
    clock = beside.clock if beside else clock or FixedClock(START)
    network = beside.network if beside else Network()
    idp = beside.idp if beside else IdentityProvider(clock)
    settings: dict[str, Any] = {
        "listen": "127.0.0.1:8765",
        "issuer": ISSUER,
        "state": state,
        "agent_domain": DOMAIN,
        "oidc_issuer": IDP,
        "oidc_client": CLIENT,
        "bearer_clients": (AUTOMATION,),
        "development": True,
    }
    if on_postgresql.server is not None:
        settings["database"] = await on_postgresql.of(state)
    elif not (state / "person.db").exists() and "database" not in options:
        await migrated(state / "person.db")
    asked, links, changes = ServeOptions(**settings | options), list[str](), Changes()
    async with application(
        asked,
        clock=clock,
        network=network,
        calls=network,
        openid_transport=idp.transport,
        changes=changes,
        announce_setup=links.append,
        mail_tls=mail_tls,
    ) as app:
        world = World(app, state, clock, network, idp)
        world.keys = await keys_of(state, clock)
        world.changes = changes
        world.setup_links = links
        try:
            yield world
        finally:
            await world.client.aclose()


async def keys_of(state: Path, clock: Clock | None = None) -> dict[str, PrivateKey]:
    """The keys that the server with this state signs with now, by draft."""
    engine = open_database(database_of(state))
    try:
        keys = SigningKeys(await key_store(engine, state, clock or SystemClock()), clock or SystemClock())
        await keys.read()
        return dict(keys)
    finally:
        await engine.dispose()


def code_of(response: httpx2.Response) -> str:
    found = re.search(r'code="([^"]+)"', response.headers["aauth-requirement"])
    assert found is not None
    return found.group(1)
