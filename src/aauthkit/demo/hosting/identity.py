"""This process's own agent identities, and HTTP clients that sign with them on behalf of one question.

In its own right it is enrolled with the agent provider. For a caller it acts as the resource it is: in draft 11 that is
an agent which is its own provider (AAuth-11 §10.1.1.1); in draft 01 the enrolment registers it as the resource.

The enrolment goes on in the background: the process serves from the first moment, says in /health why it cannot call
anybody yet, and recovers by itself. A key or a token never leaves the agent library.
"""

from __future__ import annotations

import logging
from types import TracebackType
from typing import TYPE_CHECKING

import httpx2
from starlette.types import ASGIApp

from aauthkit.agent import AAuth, Agent
from aauthkit.demo.hosting.conversation import Question
from aauthkit.demo.hosting.settings import Settings
from aauthkit.drafts import draft_named
from aauthkit.errors import CannotSign

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger(__name__)


class OwnIdentity:
    """Enrolled while it is entered. `title` is the name a person reads when they are asked about this agent."""

    def __init__(self, settings: Settings, *, title: str) -> None:
        self._settings = settings
        self._title = title
        self._agent: Agent | None = None
        draft = draft_named(settings.draft)
        self._as_resource = (
            Agent.own_provider(issuer=settings.issuer, state=settings.state, draft=draft, development=True)
            if draft.person_tokens
            else None
        )

    @property
    def problem(self) -> str | None:
        """Why this process cannot call anybody yet; None when it can."""
        if self._agent is None:
            return "not started"
        return None if self._agent.ready else self._agent.problem or "not enrolled yet"

    def for_caller(self, question: Question) -> httpx.AsyncClient:
        """A client for the peer that is asked on the caller's authority: their auth token goes along as upstream."""
        upstream = question.caller.auth_token if question.caller is not None else None
        agent = self._as_resource if self._as_resource is not None and upstream is not None else self._running()
        client: httpx.AsyncClient = agent.http_client_a2a(auth=self._auth(agent, question, upstream))
        return client

    def for_itself(self, question: Question) -> httpx2.AsyncClient:
        """A client for a peer that only asks who calls; `question` is where a person would be asked for."""
        agent = self._running()
        return agent.http_client(auth=self._auth(agent, question, None))

    def published(self, app: ASGIApp) -> ASGIApp:
        """`app` with the documents others need to trust what this process does as the resource it is."""
        return app if self._as_resource is None else self._as_resource.with_documents(app, name=self._title)

    @staticmethod
    def _auth(agent: Agent, question: Question, upstream: str | None) -> AAuth:
        person_needed = question.caller.person_needed if question.caller is not None else None
        return AAuth(agent, on_interaction=person_needed, upstream_token=upstream)

    def _running(self) -> Agent:
        if self._agent is None:
            raise CannotSign("This agent has not started yet.")
        return self._agent

    async def __aenter__(self) -> None:
        self._agent = Agent.open(
            provider=self._settings.provider,
            name=self._title,
            state=self._settings.state,
            ticket=self._settings.ticket,
            draft=draft_named(self._settings.draft),
            development=True,
        )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for agent in (self._agent, self._as_resource):
            if agent is not None:
                await agent.aclose()
        self._agent = None
