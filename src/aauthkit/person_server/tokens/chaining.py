"""Judging an upstream token: may this caller extend somebody else's authorization?

An upstream token is shown to whoever it was issued for, so holding one proves little. Draft 01 (Upstream Token
Verification) accepts it from an agent that is registered, by somebody other than the agent, as the very resource it was
issued for. Draft 11 (§9.4.5) accepts it from an intermediary that is its own agent provider, so that its key belongs to
the origin the token names. In both, every agent of the chain must still stand, and what the token authorized is read
from our own record, not from the token.
"""

from __future__ import annotations

from dataclasses import dataclass

from aauthkit.clock import Clock
from aauthkit.drafts import DRAFT_11, Draft
from aauthkit.errors import AgentRevoked, InvalidUpstreamToken, RevokedUpstreamToken
from aauthkit.jwt import JWT
from aauthkit.person_server.ports import AgentDirectory, KnownAgent
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.signing import SigningKeys
from aauthkit.person_server.storage import (
    DecisionStore,
    Depends,
    IssuedPersonToken,
    IssuedToken,
    RevocationStore,
    Upstream,
)
from aauthkit.person_server.tokens.carried import judged_apart_from_expiry
from aauthkit.tokens.agent import AgentToken
from aauthkit.tokens.auth import DWK_PERSON_SERVER, MAX_CHAIN, AuthToken, chain_of, judge_auth_token
from aauthkit.tokens.claims import AS_UPSTREAM_TOKEN, Judge, parse, verify
from aauthkit.tokens.presented import PresentedToken, judge_presented_token


@dataclass(frozen=True, kw_only=True)
class _Hop:
    """One token of a chain as we recorded it: who obtained it, with which tokens."""

    agent: str
    agent_issuer: str
    agent_token_jti: str | None
    person_id: str
    jti: str
    upstream_jti: str | None

    @classmethod
    def of(cls, record: IssuedPersonToken | IssuedToken) -> _Hop:
        return cls(**{name: getattr(record, name) for name in cls.__dataclass_fields__})

    @property
    def name(self) -> str:
        """The agent; an intermediary by its identifier, since it names its agents as it likes (§10.1.1.1)."""
        return self.agent if self.upstream_jti is None else self.agent_issuer


class UpstreamTokens:
    """Judges upstream tokens that this server issued."""

    def __init__(
        self,
        settings: PersonServerSettings,
        decisions: DecisionStore,
        directory: AgentDirectory,
        keys: SigningKeys,
        revocations: RevocationStore,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._decisions = decisions
        self._directory = directory
        self._keys = keys
        self._revocations = revocations
        self._clock = clock

    # Draft 11

    async def judge_presented(self, raw: str, *, intermediary: AgentToken) -> Upstream:
        """The authorization to extend, by the steps of §9.4.5.

        Raises ``InvalidUpstreamToken``, ``ExpiredUpstreamToken`` or ``RevokedUpstreamToken``.
        """
        token = parse(raw, AS_UPSTREAM_TOKEN)
        # Steps 1 and 3: the typ first; `aud` is the intermediary, which its own agent token names as its issuer.
        presented, expired = judged_apart_from_expiry(
            token,
            self._judge(DRAFT_11),
            lambda token, judge: judge_presented_token(token, judge, audience=intermediary.issuer),
        )
        self._check_issuer(token, presented)  # step 2
        if await self._revocations.is_revoked(presented.issuer, presented.jti):
            raise RevokedUpstreamToken("The upstream token was revoked; its holder has to begin again.")
        if expired is not None:
            raise expired
        hops = await self._hops(presented.jti)  # step 4
        # §7.1 "Which person": from our own record for that resource and `sub`.
        person_id = await self._decisions.person_named(presented.audience, presented.sub)
        if person_id is None or person_id != hops[0].person_id:
            raise InvalidUpstreamToken("This server knows nobody by the upstream token's sub at its audience.")
        await self._check_hops(hops)
        return Upstream(
            jti=presented.jti,
            issuer=presented.issuer,
            person_id=person_id,
            agents=tuple(hop.name for hop in hops),
            act={},
            consented=False,
            expires_at=presented.expires_at,
        )

    def _check_issuer(self, token: JWT, presented: PresentedToken) -> None:
        """Step 2; we present person tokens to no access server, so an auth token of one extends nothing of ours."""
        if (presented.issuer, presented.ps) != (self._settings.issuer, self._settings.issuer):
            raise InvalidUpstreamToken("The upstream token is not one this server issued.")
        key = self._keys.verifying(DRAFT_11.name, token.kid)
        if key is None:
            raise InvalidUpstreamToken("The upstream token is not signed by a key of this server.")
        verify(token, key, DRAFT_11, AS_UPSTREAM_TOKEN)

    async def _hops(self, jti: str) -> list[_Hop]:
        """The chain from our records, the calling agent first; raises when a link is missing."""
        hops: list[_Hop] = []
        link: str | None = jti
        while link is not None:
            if len(hops) >= MAX_CHAIN:
                raise InvalidUpstreamToken("The chain of calls is too long.")
            record = await self._decisions.issued_person_token(link) or await self._decisions.issued(link)
            if record is None:
                raise InvalidUpstreamToken("The upstream token is not one this server issued.")
            hops.append(_Hop.of(record))
            link = hops[-1].upstream_jti
        return hops

    async def _check_hops(self, hops: list[_Hop]) -> None:
        """Step 4: nobody of the chain was revoked: not the agent, not the token it signed with, not what we gave it."""
        depends: list[Depends] = []
        for hop in hops:
            depends.append(Depends.on_upstream_token(self._settings.issuer, hop.jti))
            depends.append(Depends.on_upstream_token(hop.agent_issuer, hop.agent_token_jti))
            # Whoever stands at the beginning of a chain is bound to its person; the others to nobody.
            if hop.upstream_jti is None and not await self._stands(hop.agent):
                raise RevokedUpstreamToken("An agent that this call acts for was revoked; the call cannot go on.")
        await self._revocations.refuse_revoked(depends)

    async def _stands(self, agent: str) -> bool:
        known = await self._directory.agent(agent)
        if known is None or known.revoked:
            return False
        return self._directory.believes(known.provider or self._directory.issuer)

    # Draft 01

    async def judge(self, raw: str, *, agent: KnownAgent, draft: Draft) -> Upstream:
        """The authorization to extend; raises `InvalidUpstreamToken`, `ExpiredUpstreamToken` or `AgentRevoked`."""
        token = self._verified(raw, draft)
        record = await self._decisions.issued(token.jti)
        if record is None or record.resource != token.audience or record.agent != token.agent:
            raise InvalidUpstreamToken("The upstream token is not one this server issued.")
        # Step 3: "the upstream token was issued for the intermediary resource".
        if token.audience not in agent.resources:
            raise InvalidUpstreamToken("The upstream token was issued for a resource this agent is not registered as.")
        if len(chain_of(token.act)) >= MAX_CHAIN:
            raise InvalidUpstreamToken("The chain of calls is too long.")
        await self._check_agents(chain_of(record.act))
        return _upstream(record, self._settings.issuer)

    async def check_standing(self, upstream: Upstream) -> None:
        """Revoking an agent, or a token of the chain, ends what others do in its name."""
        if upstream.act:
            await self._check_agents(upstream.agents)
        else:
            await self._check_hops(await self._hops(upstream.jti))

    async def _check_agents(self, agents: tuple[str, ...]) -> None:
        for agent_id in agents:
            if not await self._stands(agent_id):
                raise AgentRevoked("An agent that this call acts for was revoked.")

    def _judge(self, draft: Draft) -> Judge:
        return Judge(
            draft=draft,
            now=self._clock.now(),
            development=self._settings.development,
            errors=AS_UPSTREAM_TOKEN,
        )

    def _verified(self, raw: str, draft: Draft) -> AuthToken:
        token = parse(raw, AS_UPSTREAM_TOKEN)
        judged = judge_auth_token(token, self._judge(draft), audience=None)
        key = self._keys.verifying(draft.name, token.kid)
        # Step 2: we brokered it, or nobody we know did.
        if key is None or judged.issuer != self._settings.issuer or judged.dwk != DWK_PERSON_SERVER:
            raise InvalidUpstreamToken("The upstream token is not one this server issued.")
        verify(token, key, draft, AS_UPSTREAM_TOKEN)
        return judged


def _upstream(record: IssuedToken, issuer: str) -> Upstream:
    return Upstream(
        jti=record.jti,
        issuer=issuer,
        person_id=record.person_id,
        agents=chain_of(record.act),
        act=record.act,
        consented=record.sub is not None,
        expires_at=record.expires_at,
    )
