"""Who asks at the token endpoints: an agent bound to a person or not yet, an intermediary, a sub-agent of either.

Each answer of this module is about one verified request; it fetches keys of sub-agents' providers and issues nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from aauthkit.clock import Clock
from aauthkit.drafts import DRAFT_11, Draft
from aauthkit.errors import AgentRevoked, PolicyDenied
from aauthkit.keys import PublicKey
from aauthkit.person_server.asking.states import State
from aauthkit.person_server.ports import AgentDirectory, KnownAgent
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.storage import (
    NOBODY,
    AcceptedAgentToken,
    DecisionStore,
    Holder,
    PendingRequest,
    PersonStore,
    Subagent,
    Upstream,
)
from aauthkit.person_server.storage.persons import DISABLED
from aauthkit.person_server.tokens.chaining import UpstreamTokens
from aauthkit.person_server.tokens.subagents import SubagentTokens
from aauthkit.tokens.agent import AgentToken
from aauthkit.verify import VerifiedRequest

_NOT_BOUND = "This agent is not bound to a person here; enrol it first."
# §7.1: where a person server first decides which person an agent acts for.
_NOT_LET_IN = "Nobody has let this agent in yet; ask for a person token first, and bring your person here."


@dataclass(frozen=True, kw_only=True)
class Requester:
    """Who asks, and for whom: the agent that signed, the person it acts for, and whom the person lets act."""

    token: AgentToken
    known: KnownAgent | None
    """The provider's entry; None for an intermediary (AAuth-11 §10.1.1.1) and a newcomer, who are bound to nobody."""
    person_id: str
    name: str
    """How the agent is called before the person: the name they let in, or an intermediary's identifier."""
    principal: str
    """Whom the person agrees to: the agent; an intermediary by its identifier, since it names agents as it likes."""
    upstream: Upstream | None = None
    subagent: Subagent | None = None
    newcomer: bool = False
    """An agent of another provider that nobody let in yet (§13.14): it gets nothing, and a person may be asked."""

    @property
    def chained(self) -> bool:
        """An intermediary, which acts onwards for whoever called it."""
        return self.known is None and not self.newcomer

    @property
    def agent(self) -> str:
        return str(self.token.agent)

    @property
    def via(self) -> str:
        """The agents of the chain it acts for, the nearest first."""
        return " ".join(self.upstream.agents) if self.upstream else ""

    @cached_property
    def key(self) -> PublicKey:
        """The key that tokens are bound to: the sub-agent's when one is asked for (§10.2.3), else the signer's."""
        return PublicKey.from_jwk(self.subagent.jwk, DRAFT_11) if self.subagent else self.token.key

    @property
    def jkt(self) -> str:
        return self.key.thumbprint

    def holder(self, resource: str, account: str | None = None) -> Holder:
        """Whom the person agrees with when they let it act at the resource."""
        return Holder(
            person_id=self.person_id,
            agent_issuer=self.token.issuer,
            agent=self.principal,
            resource=resource,
            via=self.via,
            account=account or "",
        )

    @property
    def not_after(self) -> int:
        """No token outlives the agent tokens behind the request nor the authorization it extends (§7.1.2, §9.4.1)."""
        bounds = [token.expires_at for token in (self.upstream, self.subagent) if token is not None]
        return int(min(self.token.expires_at, *bounds)) if bounds else self.token.expires_at


@dataclass(frozen=True, kw_only=True)
class Callers:
    """Identifies requesters; every dependency is handed in."""

    settings: PersonServerSettings
    decisions: DecisionStore
    persons: PersonStore
    directory: AgentDirectory
    upstream_tokens: UpstreamTokens
    subagent_tokens: SubagentTokens
    clock: Clock

    async def bound(self, verified: VerifiedRequest) -> Requester:
        """The agent behind a request in its own name; raises `PolicyDenied` or `AgentRevoked`."""
        requester = await self.met(verified)
        if requester.newcomer:
            raise PolicyDenied(_NOT_LET_IN)
        return requester

    async def met(self, verified: VerifiedRequest) -> Requester:
        """The same, also when it is a newcomer: of a provider an administrator trusts, in draft 11, naming us."""
        token = _signing_token(verified)
        if token.ps not in (None, self.settings.issuer):
            raise PolicyDenied("The agent token names another person server.")
        known = await self._known(token)
        if known is None:
            if not self._may_be_let_in(verified, token):
                raise PolicyDenied(_NOT_BOUND)
            # Its token is not written down yet: nothing rests on it, and a stranger makes us keep as little as can be.
            return _newcomer(token)
        if known.revoked:
            raise AgentRevoked("This agent was revoked by its person.")
        if await self.persons.is_disabled(known.person_id):
            raise PolicyDenied(DISABLED)
        await self._accept(token)
        return Requester(
            token=token, known=known, person_id=known.person_id, name=known.name, principal=str(token.agent)
        )

    async def identify(
        self,
        verified: VerifiedRequest,
        *,
        draft: Draft,
        upstream_token: str | None,
        subagent_token: str | None = None,
        newcomers: bool = False,
    ) -> Requester:
        """The requester with the chain and the sub-agent its body names, judged by the rules of ``draft``."""
        if upstream_token is None:
            requester = await (self.met if newcomers else self.bound)(verified)
        elif draft.person_tokens:
            requester = await self._intermediary(_signing_token(verified), upstream_token)
        else:
            requester = await self._registered_resource(await self.bound(verified), upstream_token, draft)
        if subagent_token is None:
            return requester
        subagent = await self.subagent_tokens.judge(subagent_token, parent=requester.token)
        await self._accept(requester.token, subagent=subagent)
        return _replaced(requester, subagent=subagent)

    async def still_standing(self, requester: Requester) -> None:
        """Others took their time to answer; whoever was revoked meanwhile gets nothing any more."""
        if requester.known is not None:
            known = await self._known(requester.token)
            if known is None or known.revoked:
                raise AgentRevoked("This agent was revoked by its person.")
        if requester.upstream is not None:
            await self.upstream_tokens.check_standing(requester.upstream)

    async def of_pending(self, verified: VerifiedRequest, request: PendingRequest) -> Requester:
        """Who made a request that waits; the request is known to be the caller's. Checks them anew."""
        token = _signing_token(verified)
        if request.upstream is None or request.principal == request.agent:
            requester = _replaced(await self.met(verified), upstream=request.upstream, subagent=request.subagent)
            _check_its_person(requester, request)
        else:
            requester = _chained(token, request.upstream, request.subagent)
        if request.upstream is not None:
            await self.upstream_tokens.check_standing(request.upstream)
        await self._accept(token)
        return _replaced(requester, person_id=request.person_id)

    async def _known(self, token: AgentToken) -> KnownAgent | None:
        """The agent as its person let it in, if its provider is still believed and is the one that names it now."""
        known = await self.directory.agent(str(token.agent))
        if known is None or (known.provider or self.directory.issuer) != token.issuer:
            return None
        return known if self.directory.believes(token.issuer) else None

    def _may_be_let_in(self, verified: VerifiedRequest, token: AgentToken) -> bool:
        # Our own provider's agents are enrolled. Whoever names no person server, or asks in draft 01, means another.
        named = token.ps == self.settings.issuer and verified.draft is DRAFT_11
        return named and self.directory.introduces(token.issuer, str(token.agent))

    async def _intermediary(self, token: AgentToken, upstream_token: str) -> Requester:
        # §13.14: such a request neither uses nor establishes a binding, and its `ps` claim routes nothing.
        upstream = await self.upstream_tokens.judge_presented(upstream_token, intermediary=token)
        await self._accept(token)
        return _chained(token, upstream, None)

    async def _registered_resource(self, requester: Requester, upstream_token: str, draft: Draft) -> Requester:
        assert requester.known is not None  # noqa: S101  `bound` says so
        upstream = await self.upstream_tokens.judge(upstream_token, agent=requester.known, draft=draft)
        return _replaced(requester, upstream=upstream, person_id=upstream.person_id)

    async def _accept(self, token: AgentToken, *, subagent: Subagent | None = None) -> None:
        await self.decisions.accept_agent_token(
            AcceptedAgentToken(
                issuer=token.issuer,
                jti=subagent.jti if subagent else token.jti,
                agent=subagent.agent if subagent else str(token.agent),
                parent_agent=str(token.agent) if subagent else None,
                expires_at=subagent.expires_at if subagent else token.expires_at,
            )
        )


def _signing_token(verified: VerifiedRequest) -> AgentToken:
    token = verified.agent_token
    if token is None:
        raise PolicyDenied("Present your agent token here.")
    # §10.2.2: a sub-agent asks for nothing, neither for itself nor for another.
    if token.parent_agent is not None:
        raise PolicyDenied("A sub-agent does not ask here; its parent does, with subagent_token.")
    return token


def _newcomer(token: AgentToken) -> Requester:
    agent = str(token.agent)
    return Requester(token=token, known=None, person_id=NOBODY, name=agent, principal=agent, newcomer=True)


def _check_its_person(requester: Requester, request: PendingRequest) -> None:
    """What somebody allowed is for an agent of theirs: nothing is fetched for a person it is not bound to."""
    if request.upstream is None and request.state is State.APPROVED and requester.person_id != request.person_id:
        raise PolicyDenied("This request is not one of the agent's person.")


def _chained(token: AgentToken, upstream: Upstream, subagent: Subagent | None) -> Requester:
    return Requester(
        token=token,
        known=None,
        person_id=upstream.person_id,
        name=token.issuer,
        principal=token.issuer,
        upstream=upstream,
        subagent=subagent,
    )


def _replaced(
    requester: Requester,
    *,
    person_id: str | None = None,
    upstream: Upstream | None = None,
    subagent: Subagent | None = None,
) -> Requester:
    return Requester(
        token=requester.token,
        known=requester.known,
        person_id=person_id or requester.person_id,
        name=requester.name,
        principal=requester.principal,
        upstream=upstream or requester.upstream,
        subagent=subagent or requester.subagent,
        newcomer=requester.newcomer,
    )
