"""The provider withdraws agent tokens it issued (AAuth-11 §11.12.2): at the person server each of them names.

It ends what an agent holds, not the agent: whether it gets another token is decided by its enrolment (§11.12.4). A
resource that is shown an agent token hears nothing, which is why those live a day at most.
"""

from __future__ import annotations

from datetime import timedelta

from aauthkit.agent_provider.storage import AgentStore
from aauthkit.revocation import Outcome, Revocation
from aauthkit.revoking import Revoker
from aauthkit.tokens.person import DWK as PERSON_DWK

# A person server holds about twenty seconds while it tells its resources (§11.12.3).
_WAIT = timedelta(seconds=25)


class AgentTokenRevocation:
    """Revokes by agent; ``revoker`` signs as the provider, with `aauth-agent.json`."""

    def __init__(self, store: AgentStore, revoker: Revoker) -> None:
        self._store = store
        self._revoker = revoker

    async def revoke_tokens_of(self, agent_id: str) -> dict[str, Outcome]:
        """Revoke every live token of the agent and its sub-agents; how each ended, by `jti`. It may be repeated."""
        return {
            token.jti: await self._revoker.revoke(
                token.person_server, PERSON_DWK, Revocation(jti=token.jti, expires_at=token.expires_at), wait=_WAIT
            )
            for token in await self._store.live_tokens(agent_id)
        }
