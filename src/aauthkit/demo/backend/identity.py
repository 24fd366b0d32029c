"""The backend's agent identity, and what it says about itself while there is none.

The one place that knows the agent library. It keeps trying in the background, so the API serves (and says why it cannot
run anything) from the first moment and recovers by itself. It never hands out a key or a token.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import httpx2

from aauthkit.agent import Agent, Interaction
from aauthkit.agent.agent import DEFAULT_TIMEOUT
from aauthkit.agent.credentials import Credentials
from aauthkit.agent.loopback import LoopbackTransport
from aauthkit.clock import Clock, SystemClock
from aauthkit.demo.backend.broken import Kind, Replayed, SignatureOnly, Tampered, stolen
from aauthkit.demo.backend.failures import NoIdentity
from aauthkit.demo.backend.journey import HOOKS
from aauthkit.demo.backend.settings import Settings
from aauthkit.drafts import draft_named
from aauthkit.errors import AAuthError
from aauthkit.keys import PrivateKey, jwks

log = logging.getLogger(__name__)

NAME = "Supply Chain Backend"
# After a refusal, or an approval nobody gave, ask again this often: each time is a new request in the person's page.
AGAIN_SECONDS = 15.0
# For the token that is shown when it has ended: the shortest there is.
SHORTEST = timedelta(seconds=1)

OnInteraction = Callable[[Interaction], Awaitable[None]]
OnStatus = Callable[[str], Awaitable[None]]


class NoToken(Exception):
    """The backend publishes its key and has no agent token that could be stolen or end."""


class Identity(Protocol):
    """What the rest of the backend needs of an agent."""

    @property
    def client(self) -> httpx2.AsyncClient:
        """The one HTTP client of the process; requests bring their own `auth`."""
        ...

    @property
    def missing(self) -> str | None:
        """Why there is no identity, in words; None when there is one."""
        ...

    def auth(self, *, on_interaction: OnInteraction, on_status: OnStatus, justification: str) -> httpx2.Auth:
        """Signs requests and answers challenges; raises `NoIdentity`."""
        ...

    def signature_only(self) -> httpx2.Auth:
        """Signs requests and stops at a challenge; raises `NoIdentity`."""
        ...

    async def breaking(self, kind: Kind) -> httpx2.Auth:
        """Signs so that the request must be refused; raises `NoIdentity`, and `NoToken` where there is none."""
        ...

    async def start(self) -> None: ...
    async def close(self) -> None: ...


class AgentIdentity:
    """An identity by the agent library: enrolled with the agent provider, or published by the backend itself."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._draft = draft_named(settings.draft)
        self._agent: Agent | None = None
        self._refused: str | None = None
        self._keeping: asyncio.Task[None] | None = None
        self.client = httpx2.AsyncClient(
            transport=LoopbackTransport(), timeout=DEFAULT_TIMEOUT, trust_env=False, event_hooks=HOOKS
        )

    @property
    def missing(self) -> str | None:
        credentials = self._credentials()
        if credentials is None:
            return self._refused or _in_words(self._agent, self._settings.provider)
        if credentials.expires_at is not None and credentials.expires_at <= self._clock.now():
            return f"The agent token has expired and {self._settings.provider} does not renew it."
        return None

    def auth(self, *, on_interaction: OnInteraction, on_status: OnStatus, justification: str) -> httpx2.Auth:
        agent = self._ready_agent()
        # The person looks at the backend's own page, where each question of the run appears.
        return agent.auth(on_interaction=on_interaction, on_status=on_status, justification=justification, relay=False)

    def signature_only(self) -> httpx2.Auth:
        self._ready_agent()
        credentials = self._credentials()
        if credentials is None:
            raise NoIdentity("It is being renewed.")
        return SignatureOnly(credentials, self._clock)

    async def breaking(self, kind: Kind) -> httpx2.Auth:
        agent, credentials = self._ready_agent(), self._credentials()
        if credentials is None:
            raise NoIdentity("It is being renewed.")
        if kind == "tampered":
            return Tampered(credentials, self._clock)
        if kind == "replayed":
            return Replayed(credentials, self._clock)
        if credentials.token is None:
            raise NoToken
        if kind == "stolen":
            return stolen(credentials, self._clock)
        ended = await agent.short_lived(SHORTEST)
        await asyncio.sleep(max(0.0, (ended.expires_at or 0) - self._clock.now()))
        return SignatureOnly(ended, self._clock)

    async def start(self) -> None:
        if self._settings.scheme == "jwks_uri":
            key = published_key(self._settings.state)
            identifier = self._settings.published_identifier
            self._agent = Agent.published(identifier=identifier, key=key, draft=self._draft, development=True)
        else:
            self._keeping = asyncio.create_task(self._enrol(), name="enrolment")

    async def close(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeping
        if self._agent is not None:
            await self._agent.aclose()
        await self.client.aclose()

    def _credentials(self) -> Credentials | None:
        return None if self._agent is None else self._agent.identity.current

    def _ready_agent(self) -> Agent:
        if self._agent is None or self._credentials() is None:
            raise NoIdentity(self.missing or "It is being renewed.")
        return self._agent

    async def _enrol(self) -> None:
        """Until it succeeds: a refusal, or an approval nobody gave, is told and asked again later."""
        while True:
            self._agent = Agent.open(
                provider=self._settings.provider,
                name=NAME,
                state=self._settings.state,
                ticket=self._settings.ticket,
                draft=self._draft,
                development=True,
            )
            try:
                await self._agent.wait_ready()
            except AAuthError as error:
                self._refused = error.detail
                log.warning("enrolment: %s", error.detail)
                await self._agent.aclose()
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                self._refused = None
                log.info("enrolled as %s", self._agent.agent_id)
                return


def published_key(state: Path) -> PrivateKey:
    """The key the backend publishes under the scheme `jwks_uri`, made on first use."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    return PrivateKey.load_or_create(state / "published-key.pem")


def published_jwks(settings: Settings) -> dict[str, Any] | None:
    """The JWKS to serve; None when the backend is enrolled and publishes nothing."""
    if settings.scheme != "jwks_uri":
        return None
    return dict(jwks([(published_key(settings.state), draft_named(settings.draft))]))


def _in_words(agent: Agent | None, provider: str) -> str:
    if agent is None or agent.problem in (None, "not enrolled yet"):
        return f"The backend is not enrolled yet; if it waits for your approval, give it at {provider}/ui/."
    return f"The backend is not enrolled: {agent.problem}"
