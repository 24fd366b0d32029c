"""An agent of another provider meets a person for the first time: shown, let in, turned away (AAuth-11 §13.14).

It is asked before the request the agent came with. Who the agent says it belongs to is never looked at: whoever signs
in with the code decides, and nobody learns whether somebody else did before.
"""

from __future__ import annotations

from dataclasses import dataclass

from aauthkit.errors import Conflict
from aauthkit.person_server.agents.providers import TrustedProviders
from aauthkit.person_server.asking.waiting import Changes
from aauthkit.person_server.ports import AgentDirectory
from aauthkit.person_server.storage import PendingRequest
from aauthkit.person_server.storage.bound import Binding, BoundStore

_REFUSALS = {
    Binding.TAKEN: "This agent was let in by somebody else and acts for them; it cannot act for you, too.",
    Binding.OVER: "This request is over; nothing was let in.",
    Binding.UNTRUSTED: "This server does not trust the agent's provider any more, so none of its agents is let in.",
}


@dataclass(frozen=True, kw_only=True)
class Introduction:
    """What is known of an agent that nobody let in yet."""

    agent_id: str
    provider: str
    provider_name: str
    """What the provider called itself when an administrator looked; its own words."""
    pinned: bool
    """Whether it is believed under the keys an administrator saw only."""
    trusted: bool
    """False when an administrator has taken that back since the agent asked."""
    jkt: str
    """The thumbprint of the key it signed with."""


@dataclass(frozen=True, kw_only=True)
class Introductions:
    """The first question about an agent; every dependency is handed in."""

    bound: BoundStore
    directory: AgentDirectory
    providers: TrustedProviders
    changes: Changes

    async def of(self, request: PendingRequest) -> Introduction | None:
        """What to ask before the request itself; None when its agent was let in, or needs no letting in."""
        in_its_own_name = request.principal == request.agent and request.upstream is None
        if not in_its_own_name or request.agent_issuer == self.directory.issuer:
            return None
        if await self.directory.agent(request.agent) is not None:
            return None
        provider = self.providers.named(request.agent_issuer)
        return Introduction(
            agent_id=request.agent,
            provider=request.agent_issuer,
            provider_name=provider.name if provider else "",
            pinned=provider is not None and provider.pinned is not None,
            trusted=provider is not None,
            jkt=request.agent_jkt,
        )

    async def claim(self, request: PendingRequest, person_id: str) -> bool:
        """Whoever brings the code of a request that is nobody's has it from now on; only the first who does."""
        return await self.bound.claim(request.id, person_id)

    async def let_in(self, request: PendingRequest, person_id: str) -> None:
        """The agent is the person's from now on; raises `Conflict`, without saying whose it is instead."""
        binding, ended = await self.bound.bind(request.id, person_id)
        if binding is not Binding.BOUND:
            raise Conflict(_REFUSALS[binding])
        self.changes.announce(request.id, person_id, *ended)

    async def turn_away(self, request: PendingRequest, person_id: str, *, answer_text: str | None) -> None:
        """The request ends with that; raises `Conflict` when it is over, or the agent was let in."""
        if not await self.bound.turn_away(request.id, person_id, answer_text=answer_text):
            raise Conflict("This request was decided already, or is over.")
        self.changes.announce(request.id, person_id)
