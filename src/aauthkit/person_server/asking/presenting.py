"""What a person is shown of a request: who asks, for what, how that is known, and what there is to choose.

Pages and JSON show the same. Which words are the agent's, the resource's and ours stays apart here (AAuth-11 §7.4);
nothing is decided.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from aauthkit.person_server.asking.consent import version_of
from aauthkit.person_server.asking.deferring import draft_of
from aauthkit.person_server.asking.durations import PRESELECTED, Remember, offered
from aauthkit.person_server.asking.introducing import Introduction, Introductions
from aauthkit.person_server.codes import Secrets
from aauthkit.person_server.ports import AgentDirectory
from aauthkit.person_server.settings import ALWAYS_ASK, IDENTITY_SCOPES, PersonServerSettings
from aauthkit.person_server.storage import AUTH, PendingRequest, Person, PersonStore


@dataclass(frozen=True, kw_only=True)
class ShownAgent:
    """An agent as this server knows it; ``name`` is what it calls itself."""

    agent_id: str
    name: str
    given_name: str | None = None
    """What this person calls it; None where they gave it no name, and for an agent that is somebody else's."""
    provider: str | None = None
    known_since: float | None = None
    """When its person let it in; None for an intermediary, which nobody did."""


@dataclass(frozen=True, kw_only=True)
class ShownScope:
    """A scope to tick, in the resource's own words, and in ours where this server is what it is about."""

    scope: str
    description: str
    asked: bool
    """It is what the person is asked about; without it the scope would be given by their rules."""
    every_time: bool
    """It is never remembered."""
    discloses: str
    """What this server would tell the resource about the person, if the scope is about that."""


@dataclass(frozen=True, kw_only=True)
class Verified:
    """How what is known of the resource is known."""

    metadata: bool
    """It publishes a description of itself at its origin, where this server fetched it."""
    signature: bool
    """It signed what is asked for with the key it publishes there."""
    encrypted: bool
    """It was spoken with over https; otherwise it is on this machine, in development."""


@dataclass(frozen=True, kw_only=True)
class Presentation:
    """One request as its person sees it."""

    request: PendingRequest
    code: str
    """To compare with the one shown where the person started."""
    version: str
    """Names what is shown here, for the decision."""
    agent: ShownAgent
    acting_for: tuple[ShownAgent, ...]
    """The agents of the chain it acts for, the nearest first."""
    scopes: tuple[ShownScope, ...]
    verified: Verified
    durations: tuple[Remember, ...]
    preselected: Remember
    introduction: Introduction | None
    """What is asked before the request: whether the agent acts for this person at all."""


@dataclass(frozen=True, kw_only=True)
class Presenting:
    """Collects what is shown; every dependency is handed in."""

    settings: PersonServerSettings
    directory: AgentDirectory
    persons: PersonStore
    introductions: Introductions
    secrets: Secrets

    async def of(self, request: PendingRequest) -> Presentation:
        agents = request.upstream.agents if request.upstream is not None else ()
        return Presentation(
            request=request,
            code=self.secrets.code(request.id),
            version=version_of(request),
            agent=await self._agent(request.agent, request.agent_name, request.agent_issuer, of=request.person_id),
            acting_for=tuple([await self._agent(agent, of=request.person_id) for agent in agents]),
            scopes=await self._scopes(request),
            verified=Verified(
                metadata=request.resource_words.published,
                signature=request.kind == AUTH,
                encrypted=urlsplit(request.resource).scheme == "https",
            ),
            durations=_durations(request, self.settings),
            preselected=PRESELECTED,
            introduction=await self.introductions.of(request),
        )

    async def _agent(self, agent_id: str, name: str = "", provider: str | None = None, *, of: str) -> ShownAgent:
        known = await self.directory.agent(agent_id)
        if known is None:
            return ShownAgent(agent_id=agent_id, name=name or agent_id, provider=provider)
        return ShownAgent(
            agent_id=agent_id,
            name=name or known.name,
            given_name=known.given_name if known.person_id == of else None,
            provider=known.provider or self.directory.issuer,
            known_since=known.created_at,
        )

    async def _scopes(self, request: PendingRequest) -> tuple[ShownScope, ...]:
        person = await self.persons.person(request.person_id)
        asked = set(request.asked_scope.split())
        tells = draft_of(request).person_tokens
        return tuple(
            ShownScope(
                scope=scope,
                description=description,
                asked=scope in asked,
                every_time=scope in ALWAYS_ASK,
                discloses=_disclosed(scope, person) if tells else "",
            )
            for scope, description in request.scope_descriptions.items()
        )


def _durations(request: PendingRequest, settings: PersonServerSettings) -> tuple[Remember, ...]:
    """What is asked every time is agreed to once."""
    only_once = request.kind == AUTH and bool(request.scope) and ALWAYS_ASK.issuperset(request.scope.split())
    return (Remember.ONCE,) if only_once else offered(settings)


def _disclosed(scope: str, person: Person | None) -> str:
    """What a scope about the person would tell (§11.10), in our words: no resource says what we give away."""
    if scope not in IDENTITY_SCOPES or person is None:
        return ""
    claims = {"preferred_username": person.username, "email": person.email}
    told = [value for name in IDENTITY_SCOPES[scope] if (value := claims.get(name))]
    return ", ".join(told) or "nothing beyond the name it knows you by"
