"""Judging a sub-agent's token that its parent brings (AAuth-11 §10.2): one provider, named parent, a key of its own."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aauthkit.clock import Clock
from aauthkit.discovery import Discovery
from aauthkit.drafts import DRAFT_11
from aauthkit.errors import InvalidSubagentToken, RevokedSubagentToken, Unavailable
from aauthkit.flow import AsyncFetcher, arun
from aauthkit.keys import PublicKey
from aauthkit.person_server.agents.providers import TrustedProviders
from aauthkit.person_server.settings import DISCOVERY_SECONDS, PersonServerSettings
from aauthkit.person_server.storage import RevocationStore, Subagent
from aauthkit.person_server.tokens.carried import judged_apart_from_expiry
from aauthkit.tokens.agent import DWK, AgentToken, judge_agent_token
from aauthkit.tokens.claims import AS_SUBAGENT_TOKEN, Judge, parse, verify


@dataclass(frozen=True, kw_only=True)
class SubagentTokens:
    """Judges `subagent_token`; every dependency is handed in."""

    settings: PersonServerSettings
    discovery: Discovery
    fetcher: AsyncFetcher
    revocations: RevocationStore
    providers: TrustedProviders
    clock: Clock

    async def judge(self, raw: str, *, parent: AgentToken) -> Subagent:
        """The sub-agent, when it is one of ``parent``'s own; its provider is fetched from only after form and claims.

        The signer's provider vouched for the signer already, so its name needs no second decision about trust.
        """
        token = parse(raw, AS_SUBAGENT_TOKEN)
        judge = Judge(
            draft=DRAFT_11,
            now=self.clock.now(),
            development=self.settings.development,
            errors=AS_SUBAGENT_TOKEN,
        )
        judged, expired = judged_apart_from_expiry(token, judge, judge_agent_token)
        _check_parent(judged, parent)
        if judged.ps not in (None, self.settings.issuer):
            raise InvalidSubagentToken("The sub-agent's token names another person server.")
        key = await self._key(parent.issuer, token.kid)
        if not self.providers.may_sign_with(parent.issuer, key):
            raise InvalidSubagentToken("The sub-agent's provider is trusted here under other keys only.")
        verify(token, key, DRAFT_11, AS_SUBAGENT_TOKEN)
        if await self.revocations.is_revoked(judged.issuer, judged.jti):
            raise RevokedSubagentToken("The sub-agent's token was revoked by its provider.")
        if expired is not None:
            raise expired
        return Subagent(
            agent=str(judged.agent), jti=judged.jti, expires_at=judged.expires_at, jwk=judged.key.as_jwk(DRAFT_11)
        )

    async def _key(self, issuer: str, kid: str | None) -> PublicKey:
        flow = self.discovery.key(issuer, DWK, kid, DRAFT_11)
        try:
            with AS_SUBAGENT_TOKEN.translated():
                async with asyncio.timeout(DISCOVERY_SECONDS):
                    return await arun(flow, self.fetcher)
        except TimeoutError as error:
            raise Unavailable("The agent provider does not answer; try again.", debug=repr(error)) from error


def _check_parent(subagent: AgentToken, parent: AgentToken) -> None:
    # §10.2.1: one provider for both, and so one domain (§5.2).
    if subagent.issuer != parent.issuer or subagent.agent.domain != parent.agent.domain:
        raise InvalidSubagentToken("The sub-agent's token is not of the signing agent's provider.")
    if subagent.parent_agent != parent.agent:
        raise InvalidSubagentToken("The sub-agent's token does not name the signing agent as its parent.")
    # "Its own identifier and signing key": the parent in its own disguise is no sub-agent.
    if subagent.agent == parent.agent or subagent.key.thumbprint == parent.key.thumbprint:
        raise InvalidSubagentToken("A sub-agent has an identifier and a key of its own.")
