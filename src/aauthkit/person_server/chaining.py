"""Judging an upstream token: may this agent extend somebody else's authorization?

Draft 01, Upstream Token Verification.

An upstream token is shown to whoever it was issued for, so holding one proves little. It is accepted only from an
agent that is registered as the very resource the token was issued for, by somebody other than the agent, and only
while every agent of its chain still stands. What it authorized is read from our own record, not from the token.
"""

from __future__ import annotations

from collections.abc import Mapping

from aauthkit.clock import Clock
from aauthkit.drafts import Draft
from aauthkit.errors import AgentRevoked, InvalidUpstreamToken
from aauthkit.keys import PrivateKey
from aauthkit.person_server.ports import AgentDirectory, KnownAgent
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.storage import DecisionStore, IssuedToken, Upstream
from aauthkit.tokens.auth import DWK_PERSON_SERVER, MAX_CHAIN, AuthToken, chain_of, judge_auth_token
from aauthkit.tokens.claims import AS_UPSTREAM_TOKEN, Judge, parse, verify


class UpstreamTokens:
    """Judges upstream tokens that this server issued."""

    def __init__(
        self,
        settings: PersonServerSettings,
        decisions: DecisionStore,
        directory: AgentDirectory,
        keys: Mapping[str, PrivateKey],
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._decisions = decisions
        self._directory = directory
        self._keys = keys
        self._clock = clock

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
        await self.check_chain(chain_of(record.act))
        return _upstream(record)

    async def check_chain(self, agents: tuple[str, ...]) -> None:
        """Revoking an agent ends what others do in its name."""
        for agent_id in agents:
            known = await self._directory.agent(agent_id)
            if known is None or known.revoked:
                raise AgentRevoked("An agent that this call acts for was revoked.")

    def _verified(self, raw: str, draft: Draft) -> AuthToken:
        token = parse(raw, AS_UPSTREAM_TOKEN)
        judge = Judge(
            draft=draft,
            now=self._clock.now(),
            development=self._settings.development,
            errors=AS_UPSTREAM_TOKEN,
        )
        judged = judge_auth_token(token, judge, audience=None)
        key = self._keys.get(draft.name)
        # Step 2: we brokered it, or nobody we know did.
        if key is None or judged.issuer != self._settings.issuer or judged.dwk != DWK_PERSON_SERVER:
            raise InvalidUpstreamToken("The upstream token is not one this server issued.")
        verify(token, key.public, draft, AS_UPSTREAM_TOKEN)
        return judged


def _upstream(record: IssuedToken) -> Upstream:
    return Upstream(
        jti=record.jti,
        person_id=record.person_id,
        agents=chain_of(record.act),
        act=record.act,
        consented=record.sub is not None,
        expires_at=record.expires_at,
    )
