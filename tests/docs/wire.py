"""The walkthrough's parts in one process, speaking for real, and what crossed between them, told in short.

Configuration, person server, authorization service and agents are the demo's own; the gateway is a few lines that ask
the service and obey. Clock, keys and names are fixed or cut, so that the same code always writes the same page.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
from starlette.types import ASGIApp, Receive, Scope, Send

from aauthkit import jwt as jws
from aauthkit.agent import Agent, Interaction
from aauthkit.agent.identity import EnrolledIdentity, stable_key_in
from aauthkit.agent.own_provider import OwnProvider, provider_keys_in
from aauthkit.agent_provider.storage import TicketStore
from aauthkit.authz.outcome import Call, Result
from aauthkit.authz.service import AuthorizationService
from aauthkit.cli.person import ServeOptions, application
from aauthkit.cli.person.state import migrated_database
from aauthkit.clock import FixedClock
from aauthkit.database import open_database
from aauthkit.demo.supervisor.choices import (
    AGENT_DOMAIN,
    BACKEND_IDENTIFIER,
    DEVELOPMENT_ISSUER,
    PERSON_SERVER,
    Choices,
)
from aauthkit.demo.supervisor.parts import PERSON
from aauthkit.demo.supervisor.policy import authz_file
from aauthkit.discovery import Discovery
from aauthkit.drafts import DRAFT_01, Draft, draft_named
from aauthkit.errors import Unavailable
from aauthkit.flow import Call as ServerCall
from aauthkit.flow import Fetch, Fetched
from aauthkit.keys import PrivateKey, jwks
from aauthkit.person_server.storage import SERVER, PersonStore, RevocationStore, RuleStore
from aauthkit.resource.metadata import JWKS_PATH, METADATA_PATH, resource_jwks, resource_metadata
from aauthkit.serving import message_from_scope

START = 1_795_300_000.0
SUPPLY_CHAIN = "http://supply-chain-agent.localhost:3000"
MARKET_ANALYSIS = "http://market-analysis-agent.localhost:3000"
_REVOCATION_PATH = "/aauth/revocation"
_SHOWN_REQUEST = (
    "content-type",
    "content-digest",
    "prefer",
    "signature-input",
    "signature",
    "signature-key",
)
_SHOWN_RESPONSE = (
    "aauth-requirement",
    "www-authenticate",
    "accept-signature",
    "signature-error",
    "location",
    "retry-after",
    "cache-control",
    "content-type",
)


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One request and its answer."""

    request: httpx2.Request
    status: int
    headers: httpx2.Headers
    body: bytes

    @property
    def path(self) -> str:
        return self.request.url.path


def fields(headers: httpx2.Headers) -> dict[str, str]:
    """As they were on the wire: a client does not show the signature of its own request."""
    return {name.decode().lower(): value.decode("latin-1") for name, value in headers.raw}


class Wire(httpx2.AsyncBaseTransport):
    """Names, who answers under them, and what was said. Documents are fetched without being noted."""

    def __init__(self) -> None:
        self.apps: dict[str, ASGIApp] = {}
        self.exchanges: list[Exchange] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await httpx2.ASGITransport(app=self.apps[str(request.url.netloc, "ascii")]).handle_async_request(
            request
        )
        body = await response.aread()
        self.exchanges.append(
            Exchange(request=request, status=response.status_code, headers=response.headers, body=body)
        )
        return httpx2.Response(response.status_code, headers=response.headers, stream=httpx2.ByteStream(body))

    async def call(self, request: ServerCall) -> Fetched:
        """A server calls another."""
        sent = httpx2.Request(request.method, request.url, headers=list(request.headers), content=request.body)
        response = await self.handle_async_request(sent)
        return Fetched(status=response.status_code, headers=dict(response.headers), body=await response.aread())

    async def fetch(self, request: Fetch) -> Fetched:
        app = self.apps.get(urlsplit(request.url).netloc)
        if app is None:
            raise Unavailable("nobody answers there")
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app)) as client:
            response = await client.get(request.url)
        return Fetched(status=response.status_code, body=response.content)


class Gateway:
    """Asks the authorization service and obeys, as the real one does; what passes is answered by an echo."""

    def __init__(self, service: AuthorizationService) -> None:
        self._service = service
        # What stands behind it publishes by itself, at addresses that are open: by origin and path.
        self.open: dict[str, dict[str, Any]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = next(value.decode() for name, value in scope["headers"] if name == b"host")
        resource = self._service.resource_at(host)
        assert resource is not None
        documents = {METADATA_PATH: resource_metadata, JWKS_PATH: resource_jwks}
        if scope["path"] in documents:
            await _answer(send, 200, {}, json.dumps(documents[scope["path"]](resource.settings)).encode())
            return
        if (published := self.open.get(resource.settings.issuer + scope["path"])) is not None:
            await _answer(send, 200, {}, json.dumps(published).encode())
            return
        body = bytes((await receive()).get("body", b""))
        call = Call(message=message_from_scope(scope, body, issuer=resource.settings.issuer))
        if scope["path"] == _REVOCATION_PATH:
            await self._service.revoke(call)
            await _answer(send, 200, {"Cache-Control": "no-store"}, b"")
            return
        outcome = await self._service.decide(call)
        if outcome.result is Result.ALLOWED:
            await _answer(send, 200, {}, json.dumps(dict(outcome.set_headers)).encode())
        else:
            await _answer(send, outcome.status, dict(outcome.headers), outcome.body)


@dataclass
class System:
    """The parts of one mode."""

    wire: Wire
    clock: FixedClock
    state: Path
    draft: Draft
    gateway: Gateway
    _names: dict[str, str] = field(default_factory=dict)

    async def enrolled(self, name: str, *, acts_as: str | None = None) -> Agent:
        """An agent let in by a ticket, as the demo's are."""
        discovery = Discovery(development=True, clock=self.clock)
        identity = EnrolledIdentity(
            provider=PERSON_SERVER,
            name=name,
            stable_key=stable_key_in(self.state / name),
            draft=self.draft,
            discovery=discovery,
            clock=self.clock,
            ticket=await self._ticket([acts_as] if acts_as else []),
        )
        agent = Agent(
            identity, draft=self.draft, discovery=discovery, clock=self.clock, fetcher=self.wire, transport=self.wire
        )
        agent.enrol_behind(identity, self.state / name)
        await agent.wait_ready()
        assert agent.agent_id is not None
        self._names[agent.agent_id] = f"aauth:{name}@{AGENT_DOMAIN}"
        return agent

    async def published(self) -> Agent:
        """The backend as it signs under the scheme ``jwks_uri``."""
        key = PrivateKey.generate(kid="backend-1")
        documents = {
            "/.well-known/aauth-agent.json": {
                "issuer": BACKEND_IDENTIFIER,
                "jwks_uri": f"{BACKEND_IDENTIFIER}/.well-known/jwks.json",
            },
            "/.well-known/jwks.json": jwks([(key, DRAFT_01)]),
        }

        async def app(scope: Scope, _receive: Receive, send: Send) -> None:
            await _answer(send, 200, {}, json.dumps(documents[scope["path"]]).encode())

        self.wire.apps[urlsplit(BACKEND_IDENTIFIER).netloc] = app
        agent = Agent.published(identifier=BACKEND_IDENTIFIER, key=key, draft=DRAFT_01, development=True)
        return Agent(
            agent.identity,
            draft=DRAFT_01,
            discovery=Discovery(development=True, clock=self.clock),
            clock=self.clock,
            fetcher=self.wire,
            transport=self.wire,
        )

    async def own_provider(self, issuer: str) -> Agent:
        """A resource as the agent it is when it calls on, published at the gateway as the demo's are."""
        keys = provider_keys_in(self.state / "own-provider", (self.draft,))
        identity = OwnProvider(issuer=issuer, keys=keys, drafts=(self.draft,), clock=self.clock, development=True)
        self.gateway.open |= {issuer + path: document for path, document in identity.documents().items()}
        discovery = Discovery(development=True, clock=self.clock)
        agent = Agent(
            identity, draft=self.draft, discovery=discovery, clock=self.clock, fetcher=self.wire, transport=self.wire
        )
        agent.problem = None
        return agent

    async def revoke(self, agent: Agent) -> None:
        """The person takes back all that an agent has; returns when the resources know."""
        async with migrated_database(self.state / "person", None) as engine:
            owner = await PersonStore(engine, self.clock).named(PERSON, DEVELOPMENT_ISSUER)
            store = RevocationStore(engine, self.clock, issuer=PERSON_SERVER)
            cascade = await store.revoke_agent(
                PERSON_SERVER, str(agent.agent_id), person_id=owner.id, handle_hash="not polled"
            )
            while not await store.is_finished(cascade.id):
                await asyncio.sleep(0.02)

    async def _ticket(self, resources: list[str]) -> str:
        engine = open_database(self.state / "person" / "person.db")
        try:
            owner = await PersonStore(engine, self.clock).named(PERSON, DEVELOPMENT_ISSUER)
            store = TicketStore(engine, self.clock)
            return await store.make(owner.id, lifetime=timedelta(hours=1), resources=resources)
        finally:
            await engine.dispose()

    async def decide(self, interaction: Interaction) -> None:
        """The person says yes, at the person server."""
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=self.wire.apps[urlsplit(PERSON_SERVER).netloc]), base_url=PERSON_SERVER
        ) as browser:
            found = (await browser.get("/consent", params={"code": interaction.code})).json()
            decided = await browser.post(f"/consent/{found['pending_id']}/decision", json={"approved": True})
            assert decided.status_code == 200, decided.text

    async def unsigned(self, origin: str) -> None:
        """Somebody who knows nothing of signatures."""
        async with httpx2.AsyncClient(transport=self.wire) as client:
            await client.post(f"{origin}/", json={})

    # Telling

    def request(self, exchange: Exchange) -> str:
        """The request as it was sent, cut to what matters."""
        sent = exchange.request
        lines = [f"{sent.method} {self._tell(sent.url.raw_path.decode())} HTTP/1.1", f"Host: {sent.headers['host']}"]
        lines += self._headers(sent.headers, _SHOWN_REQUEST)
        return "\n".join([*lines, *self._body(sent.content)]) + "\n"

    def answer(self, exchange: Exchange) -> str:
        """Its answer, likewise."""
        lines = [f"HTTP/1.1 {exchange.status} {HTTPStatus(exchange.status).phrase}"]
        lines += self._headers(exchange.headers, _SHOWN_RESPONSE)
        return "\n".join([*lines, *self._body(exchange.body)]) + "\n"

    def upstream(self, exchange: Exchange) -> str:
        """What the gateway tells the application behind it about an exchange that passed."""
        return "\n".join(f"{name}: {self._tell(value)}" for name, value in json.loads(exchange.body).items()) + "\n"

    def token(self, raw: str) -> str:
        """A token, decoded."""
        parsed = jws.parse(raw)
        header = json.dumps(dict(parsed.header))
        return self._tell(f"{header}\n{_one_a_line(parsed.claims)}") + "\n"

    def _headers(self, headers: httpx2.Headers, shown: tuple[str, ...]) -> list[str]:
        sent = fields(headers)
        return [f"{_written(name)}: {self._tell(sent[name])}" for name in shown if name in sent]

    def _body(self, body: bytes) -> list[str]:
        return ["", self._tell(json.dumps(json.loads(body), ensure_ascii=False))] if body else []

    def _tell(self, text: str) -> str:
        """Tokens by their type, agents by what they are, everything random or unreadable cut."""
        text = _TOKEN.sub(lambda found: f"({_type_of(found[0])})", text)
        for agent_id, name in self._names.items():
            text = text.replace(agent_id, name)
        for pattern, replacement in _CUTS:
            text = pattern.sub(replacement, text)
        return text


_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")
_CUTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r":[A-Za-z0-9+/]{30,}={0,2}:"), ":…:"),
    (re.compile(r'nonce="[^"]+"'), 'nonce="…"'),
    (re.compile(r'("(?:jti|kid|x|agent_jkt|presented_jti)": )"[^"]+"'), r'\1"…"'),
    (re.compile(r"(/pending/)[\w-]{16,}"), r"\1…"),
    (re.compile(r'("ticket": )"[^"]+"'), r'\1"…"'),
    (re.compile(r'(code=|"code": )"[^"]+"'), r'\1"K7WQ4-3MZD9"'),
    (re.compile(r'("sub": )"(?!aauth:)[^"]+"'), r'\1"(the person, as named to this resource)"'),
    (re.compile(r"^[\w-]{43}$"), "(thumbprint)"),
    (re.compile(r"^[\w-]{32}$"), "(the person, as named to this resource)"),
    (re.compile(r';kid="[\w-]{12}"'), ';kid="…"'),
)


def _written(name: str) -> str:
    return name.title().replace("Aauth", "AAuth").replace("Www", "WWW")


def _type_of(token: str) -> str:
    return {
        "aa-agent+jwt": "agent token",
        "aa-person+jwt": "person token",
        "aa-resource+jwt": "resource token",
        "aa-auth+jwt": "auth token",
        "jkt-s256+jwt": "delegation",
    }[jws.parse(token).typ]


def _one_a_line(members: Mapping[str, Any]) -> str:
    lines = [f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in members.items()]
    return "{\n" + ",\n".join(lines) + "\n}"


async def _answer(send: Send, status: int, headers: dict[str, str], body: bytes) -> None:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def system(state: Path, mode: str, **choices: str) -> AsyncIterator[System]:
    """The demo's parts for a mode, in this process, with a state of their own."""
    clock, wire = FixedClock(START), Wire()
    chosen = Choices(state=state, mode=mode, **choices)  # type: ignore[arg-type]
    (state / "authz.yaml").write_text(authz_file(chosen))
    asked = ServeOptions(
        listen="127.0.0.1:8765",
        issuer=PERSON_SERVER,
        state=state / "person",
        agent_domain=AGENT_DOMAIN,
        oidc_issuer=DEVELOPMENT_ISSUER,
        oidc_client="aauth-person-server",
        development=True,
        # Who the person is has its own tests; here somebody just decides.
        open_consent=True,
        trusted_intermediaries=(SUPPLY_CHAIN, MARKET_ANALYSIS),
        unasked_resources=("any",),
    )
    async with application(asked, clock=clock, network=wire, calls=wire) as person_server:
        wire.apps[urlsplit(PERSON_SERVER).netloc] = person_server
        gateway = Gateway(AuthorizationService(state / "authz.yaml", clock=clock, fetcher=wire))
        for origin in (SUPPLY_CHAIN, MARKET_ANALYSIS):
            wire.apps[urlsplit(origin).netloc] = gateway
        if mode == "user-consent":
            await _ask_for(state, "supply-chain:optimize")
        yield System(wire=wire, clock=clock, state=state, draft=draft_named(chosen.draft), gateway=gateway)


async def _ask_for(state: Path, scope: str) -> None:
    async with migrated_database(state / "person", None) as engine:
        await RuleStore(engine).set_rule(SERVER, "exact", scope, required=True)
