"""``Agent``: one agent of a process, with its identity, its tokens and ready-made HTTP clients.

It is where the pieces of this package meet; protocol decisions are in the modules it uses.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import anyio
import httpx2

from aauthkit.agent.auth import AAuth
from aauthkit.agent.callback import LocalCallback
from aauthkit.agent.credentials import Credentials, Identity
from aauthkit.agent.dialect import Dialects
from aauthkit.agent.documents import AgentDocuments, App
from aauthkit.agent.drivers import AsyncDriver
from aauthkit.agent.identity import EnrolledIdentity, PublishedIdentity, note_enrolment, stable_key_in
from aauthkit.agent.interaction import Interaction
from aauthkit.agent.loopback import LoopbackTransport, SyncLoopbackTransport, httpx_transport
from aauthkit.agent.own_provider import OwnProvider, provider_keys_in
from aauthkit.agent.person_server import PersonServer
from aauthkit.agent.steps import Ask, Steps
from aauthkit.agent.store import TokenStore
from aauthkit.agent.sub_agent import SubAgentIdentity
from aauthkit.agent.turns import Turns
from aauthkit.clock import Clock, SystemClock
from aauthkit.discovery import Discovery
from aauthkit.drafts import DRAFT_01, NATIVE, Draft
from aauthkit.errors import (
    AAuthError,
    CannotSign,
    ConfigurationError,
    InvalidResponse,
    RateLimited,
    RequirementNotMet,
    Unavailable,
    UntrustedIssuer,
)
from aauthkit.fetching import HTTPFetcher, SyncHTTPFetcher
from aauthkit.flow import AsyncFetcher, arun
from aauthkit.keys import PrivateKey
from aauthkit.tokens import agent as agent_tokens

T = TypeVar("T")

# Draft 11 first; 01 where a resource shows that it speaks that (``dialect``).
BOTH = (NATIVE, DRAFT_01)
# An answer may take as long as an agent thinks; the person's time is not in it, that is polled for.
DEFAULT_TIMEOUT = httpx2.Timeout(120.0, connect=5.0)
_RETRY_FIRST = timedelta(seconds=0.5)
_RETRY_LONGEST = timedelta(seconds=10)
# Settings of a client that httpx gives to the transport it makes; ours is made here, so they are handed over.
_OF_TRANSPORT = frozenset({"verify", "cert", "http1", "http2", "limits", "proxy"})
# The agent's own calls are rare and far between; without kept connections they work on any event loop.
_UNKEPT = httpx2.Limits(max_keepalive_connections=0)


class Agent:
    """An agent that signs as ``identity``. Use ``Agent.start`` or ``Agent.open`` for one enrolled with a provider,
    ``Agent.own_provider`` for one that is its own, ``Agent.published`` for draft 01's that publish their keys.

    It may be used on several event loops one after another; each client belongs to the loop it is used on. Blocking
    clients may be used from several threads. ``transport`` is what the agent's own calls and its clients go through,
    ``fetcher`` what reads documents.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        draft: Draft | None = None,
        discovery: Discovery,
        clock: Clock,
        fetcher: AsyncFetcher | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        parent: Agent | None = None,
    ) -> None:
        self.identity = identity
        self.parent = parent
        """The agent that asks the person server for this one, which is its sub-agent (AAuth-11 §10.2)."""
        self.dialects = Dialects((draft,) if draft is not None else BOTH)
        self.discovery = discovery
        self.clock = clock
        self.store = TokenStore(clock)
        self.fetcher: AsyncFetcher = fetcher or HTTPFetcher(development=discovery.development)
        self.sync_fetcher = SyncHTTPFetcher(development=discovery.development)
        self.problem: str | None = None if identity.current is not None else "not enrolled yet"
        self.turns = Turns(anyio.Event)
        self.sync_turns = Turns(threading.Event)
        self._transport = transport
        self._enrolling: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls,
        *,
        provider: str,
        name: str,
        state: Path,
        ticket: str | None = None,
        draft: Draft | None = None,
        development: bool = False,
    ) -> Agent:
        """Enrol (or come back with the same stable key) and return when the agent can sign.

        Raises ``Denied``, ``Expired`` or ``AgentRevoked`` when the provider will not have it. A provider that does
        not answer yet is tried again. The agent speaks draft 11, and 01 with resources that speak that; with ``draft``
        it speaks that one alone.
        """
        agent = cls.open(provider=provider, name=name, state=state, ticket=ticket, draft=draft, development=development)
        try:
            await agent.wait_ready()
        except BaseException:
            await agent.aclose()
            raise
        return agent

    @classmethod
    def open(
        cls,
        *,
        provider: str,
        name: str,
        state: Path,
        ticket: str | None = None,
        draft: Draft | None = None,
        development: bool = False,
    ) -> Agent:
        """Like ``start`` but returns at once; the enrolment goes on behind, ``ready`` and ``problem`` tell how far."""
        clock = SystemClock()
        discovery = Discovery(development=development, clock=clock)
        identity = EnrolledIdentity(
            provider=provider,
            name=name,
            stable_key=stable_key_in(state),
            draft=draft or NATIVE,
            discovery=discovery,
            clock=clock,
            ticket=ticket,
        )
        agent = cls(identity, draft=draft, discovery=discovery, clock=clock)
        agent.enrol_behind(identity, state)
        return agent

    @classmethod
    def published(
        cls, *, identifier: str, key: PrivateKey, draft: Draft = DRAFT_01, development: bool = False
    ) -> Agent:
        """An agent known by a URL where its metadata and JWKS are (scheme ``jwks_uri``); draft 01 has such agents."""
        if draft.person_tokens:
            # AAuth-11 §11.3.2: agents MUST use the jwt scheme.
            raise ConfigurationError(f"In draft {draft.name} agents sign with tokens; use Agent.own_provider.")
        clock = SystemClock()
        identity = PublishedIdentity(identifier=identifier, key=key, draft=draft)
        return cls(identity, draft=draft, discovery=Discovery(development=development, clock=clock), clock=clock)

    @classmethod
    def own_provider(
        cls,
        *,
        issuer: str,
        state: Path,
        name: str = "agent",
        person_server: str | None = None,
        draft: Draft | None = None,
        development: bool = False,
    ) -> Agent:
        """An agent that is its own provider, as a resource is that calls on for its callers (AAuth-11 §10.1.1.1).

        ``issuer`` is its server identifier; ``with_documents`` publishes there what others need to trust it.
        """
        clock = SystemClock()
        drafts = (draft,) if draft is not None else BOTH
        identity = OwnProvider(
            issuer=issuer,
            keys=provider_keys_in(state, drafts),
            drafts=drafts,
            clock=clock,
            name=name,
            person_server=person_server,
            development=development,
        )
        return cls(identity, draft=draft, discovery=Discovery(development=development, clock=clock), clock=clock)

    def with_documents(self, app: App, *, name: str | None = None) -> App:
        """``app`` with the agent's metadata and keys before it; for an agent that is its own provider."""
        if not isinstance(self.identity, OwnProvider):
            raise ConfigurationError("Only an agent that is its own provider publishes agent documents.")
        return AgentDocuments(app, self.identity.documents(name))

    async def permission(
        self, action: str, *, description: str | None = None, parameters: Mapping[str, Any] | None = None
    ) -> bool:
        """Whether the person server lets the agent do something no resource governs (AAuth-11 §7.7); waits for it.

        After ``False`` the agent MUST NOT go on. ``description`` is Markdown. Raises what any other answer means.
        """
        body = {"action": action, "description": description, "parameters": parameters}
        answer = await self._run(self._asked("permission_endpoint", body))
        return answer.get("permission") == "granted"

    async def ask_person(self, question: str) -> str:
        """The person's answer to ``question`` (Markdown), through the person server (AAuth-11 §7.6)."""
        answer = await self._run(self._asked("interaction_endpoint", {"type": "question", "question": question}))
        text = answer.get("answer")
        if not isinstance(text, str):
            raise InvalidResponse("The person server brings no answer.")
        return text

    def _asked(self, member: str, body: Mapping[str, Any]) -> Steps[dict[str, Any]]:
        if self.parent is not None:
            # §10.2.3: a sub-agent does not call the person server.
            raise RequirementNotMet("A sub-agent asks nobody itself; its parent does.")
        credentials = yield from self.identity.credentials(NATIVE)
        if credentials.ps is None:
            raise RequirementNotMet("This agent has no person server to ask.")
        server = PersonServer(
            issuer=credentials.ps, credentials=credentials, discovery=self.discovery, clock=self.clock
        )
        response = yield from server.ask(member, {name: value for name, value in body.items() if value is not None})
        return response.json()

    async def local_callback(self) -> LocalCallback:
        """A page on this machine for the person's browser to come back to.

        Raises ``CannotSign`` where the agent's provider does not say that its agents may use one (AAuth-11 §11.1.2).
        """
        issuer = self.identity.issuer if isinstance(self.identity, OwnProvider) else None
        if isinstance(self.identity, EnrolledIdentity):
            issuer = self.identity.provider
        metadata = await arun(self.discovery.metadata(issuer or "", agent_tokens.DWK), self.fetcher)
        if metadata.get("localhost_callback_allowed") is not True:
            raise CannotSign("The agent's provider does not allow callbacks on this machine.")
        return LocalCallback()

    def sub_agent(self, discriminator: str) -> Agent:
        """A sub-agent of this one (AAuth-11 §10.2): it calls resources with a key of its own, and this agent asks the
        person server for it. Raises ``ConfigurationError`` where this is a sub-agent itself: there is one level only.
        """
        if self.parent is not None or not isinstance(self.identity, EnrolledIdentity | OwnProvider):
            raise ConfigurationError("Only a top-level agent with a provider has sub-agents.")
        draft = self.dialects.drafts[0]
        development = self.discovery.development
        identity = SubAgentIdentity(
            self.identity, discriminator, draft=draft, clock=self.clock, development=development
        )
        child = Agent(
            identity,
            draft=draft,
            discovery=self.discovery,
            clock=self.clock,
            fetcher=self.fetcher,
            transport=self._transport,
            parent=self,
        )
        child.problem = None
        return child

    @property
    def ready(self) -> bool:
        """Whether the agent can sign now."""
        return self.identity.current is not None

    @property
    def agent_id(self) -> str | None:
        """The agent's identifier, once known."""
        return self.identity.current.agent if self.identity.current is not None else None

    def enrol_behind(self, identity: EnrolledIdentity, state: Path) -> None:
        """Begin the enrolment as a task of the running loop."""
        self._enrolling = asyncio.create_task(self._enrol_with_patience(identity, state))
        # Whoever waits gets the failure; ``problem`` tells everybody else, so it is not lost when nobody waits.
        self._enrolling.add_done_callback(lambda task: None if task.cancelled() else task.exception() and None)

    async def wait_ready(self) -> None:
        """Wait until the agent can sign; raises what made the enrolment end otherwise."""
        if self._enrolling is not None:
            await asyncio.shield(self._enrolling)
        if not self.ready:
            raise CannotSign("The agent is not enrolled.")

    def auth(self, **options: Any) -> AAuth:
        """An ``auth=`` for any httpx or httpx2 client; options are those of ``AAuth``."""
        return AAuth(self, **options)

    def http_client(self, *, auth: AAuth | None = None, **settings: Any) -> httpx2.AsyncClient:
        """An ``httpx2.AsyncClient`` that signs; it also finds ``*.localhost``."""
        return httpx2.AsyncClient(
            **{
                "auth": auth or self.auth(),
                "transport": self._transport or LoopbackTransport(**_of_transport(settings)),
                "timeout": DEFAULT_TIMEOUT,
                "trust_env": False,
                **settings,
            }
        )

    def sync_http_client(self, *, auth: AAuth | None = None, **settings: Any) -> httpx2.Client:
        """The blocking client; the agent must be enrolled already."""
        return httpx2.Client(
            **{
                "auth": auth or self.auth(),
                "transport": SyncLoopbackTransport(**_of_transport(settings)),
                "timeout": DEFAULT_TIMEOUT,
                "trust_env": False,
                **settings,
            }
        )

    def http_client_a2a(self, *, auth: AAuth | None = None, **settings: Any) -> Any:
        """An ``httpx.AsyncClient`` (0.28), for libraries that take that one."""
        import httpx

        return httpx.AsyncClient(
            **{
                "auth": auth or self.auth(),
                "transport": httpx_transport(**_of_transport(settings)),
                "timeout": httpx.Timeout(120.0, connect=5.0),
                "trust_env": False,
                **settings,
            }
        )

    def speaker(self, credentials: Credentials) -> Steps[Credentials]:
        """Who signs at the person server: the agent itself, or for a sub-agent its parent (AAuth-11 §10.2.3)."""
        if self.parent is None:
            yield from ()
            return credentials
        return (yield from self.parent.identity.credentials(credentials.draft))

    def check_person_server(self, audience: str, credentials: Credentials, upstream_issuer: str | None) -> None:
        """Whether a resource token may be taken to ``audience``: our person server, or the upstream token's issuer.

        A challenge must not send the agent, and what it carries, to a server of the resource's choosing.
        """
        if audience != (upstream_issuer or credentials.ps):
            raise UntrustedIssuer(f"The resource wants {audience} to decide, which is not this agent's person server.")

    @cached_property
    def transport(self) -> httpx2.AsyncBaseTransport:
        """What the agent's own calls go through."""
        return self._transport or LoopbackTransport(limits=_UNKEPT)

    @cached_property
    def sync_transport(self) -> httpx2.BaseTransport:
        """The same for blocking clients."""
        return SyncLoopbackTransport(limits=_UNKEPT)

    async def aclose(self) -> None:
        """Stop what runs behind; tokens in memory are gone."""
        if self._enrolling is not None and not self._enrolling.done():
            self._enrolling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._enrolling
        if self.parent is None and isinstance(self.fetcher, HTTPFetcher):
            await self.fetcher.aclose()

    async def __aenter__(self) -> Agent:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _enrol_with_patience(self, identity: EnrolledIdentity, state: Path) -> None:
        wait = _RETRY_FIRST
        while True:
            try:
                credentials = await self._run(identity.enrol())
            except (Unavailable, RateLimited) as error:
                # A provider that is not up yet, or is asked by too many at once.
                self.problem = error.detail
                self.discovery.forget_failures()
                asked = error.retry_after if isinstance(error, RateLimited) else 0
                await asyncio.sleep(max(wait.total_seconds(), asked))
                wait = min(2 * wait, _RETRY_LONGEST)
            except AAuthError as error:
                self.problem = error.detail
                raise
            else:
                self.problem = None
                # The note is for tools; an agent whose disk is full can sign all the same.
                with contextlib.suppress(OSError):
                    note_enrolment(state, credentials, identity.provider)
                return

    async def short_lived(self, lifetime: timedelta) -> Credentials:
        """Credentials of their own that end after ``lifetime`` (whole seconds), beside those the agent signs with.

        From a provider that takes ``expires_in`` at its ``refresh_endpoint``. Raises ``CannotSign`` for an agent that
        has no provider.
        """
        if not isinstance(self.identity, EnrolledIdentity):
            raise CannotSign("Only an agent that is enrolled with a provider gets tokens from it.")
        return await self._run(self.identity.short_lived(lifetime))

    async def _run(self, steps: Steps[T]) -> T:
        """Drive identity flows outside a request of the application."""
        driver = AsyncDriver(self, _ignore, _no_answer)
        try:
            step = next(steps)
            while True:
                try:
                    answer = await driver.obey(step)
                except Exception as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        finally:
            steps.close()
            driver.close()


async def _ignore(_event: Interaction | str) -> None:
    """Enrolment asks nobody through the agent: the person approves in the person server's page."""


async def _no_answer(_question: Ask) -> str | None:
    return None


def _of_transport(settings: dict[str, Any]) -> dict[str, Any]:
    """Take out of ``settings`` what belongs to the transport; with one of the caller's own there is nothing to take."""
    if "transport" in settings:
        return {}
    return {name: settings.pop(name) for name in _OF_TRANSPORT & settings.keys()}
