"""What a revocation does at a person server: who may ask, what goes with it, and when its answer is final (§11.12).

Everything is committed before anybody is told. It speaks no HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

from aauthkit.clock import Clock
from aauthkit.drafts import DRAFT_11
from aauthkit.errors import Gone, NotFound
from aauthkit.person_server.codes import Secrets, hashed
from aauthkit.person_server.ports import AgentDirectory, KnownAgent
from aauthkit.person_server.revocation.outbox import Outbox
from aauthkit.person_server.storage import (
    Cascade,
    Depends,
    Kind,
    RecipientOutcome,
    RevocationStore,
)
from aauthkit.revocation import IssuerRate, Revocation
from aauthkit.sigkey.jwks_uri import PublishedKey
from aauthkit.tokens import agent as agent_tokens
from aauthkit.verify import VerifiedRequest

# A person looks at the page that comes next; whoever answers at once is in it.
_PERSON_WAITS = timedelta(seconds=3)


class RevocationService:
    """Receives revocations of servers and of people; every dependency is handed in."""

    def __init__(
        self,
        *,
        store: RevocationStore,
        outbox: Outbox,
        directory: AgentDirectory,
        secrets: Secrets,
        announce: Callable[[str], None],
        clock: Clock,
    ) -> None:
        """``announce`` wakes those who wait for a pending request."""
        self._store = store
        self._outbox = outbox
        self._directory = directory
        self._secrets = secrets
        self._announce = announce
        self._rate = IssuerRate(clock)
        self._clock = clock

    # Of servers

    async def receive(self, caller: PublishedKey, revocation: Revocation) -> Cascade | None:
        """Record and start; the cascade to wait for, or None when there is nothing downstream (§11.12.3).

        Raises ``InvalidRequest`` for an `exp` no such token has, and ``RateLimited``.
        """
        self._rate.admit(caller.id)
        if caller.dwk != agent_tokens.DWK:
            revocation.check_bound(self._clock.now(), DRAFT_11.resource_token_lifetime)
            ended = await self._store.revoke_resource_token(caller.id, revocation.jti, revocation.expires_at)
            self._tell(ended)
            return None
        revocation.check_bound(self._clock.now(), DRAFT_11.agent_token_lifetime)
        handle = self.handle(Kind.AGENT_TOKEN, caller.id, revocation.jti)
        cascade = await self._store.revoke_agent_token(
            caller.id, revocation.jti, revocation.expires_at, handle_hash=hashed(handle)
        )
        if cascade is not None:
            self._tell(cascade.announced)
        return cascade

    async def finished(self, cascade: Cascade, *, longest: timedelta) -> bool:
        return await self._outbox.wait_until_finished(cascade.id, longest=longest)

    def handle(self, kind: Kind, issuer: str, subject: str) -> str:
        """The unguessable part of a pending URL."""
        return self._secrets.token("revocation", f"{kind}\0{issuer}\0{subject}")

    async def polled(self, caller: PublishedKey, handle: str) -> Cascade:
        """§11.12.3: the identity that revoked, or 404; 410 once it had its answer."""
        self._rate.admit(caller.id)
        cascade = await self._store.by_handle(hashed(handle))
        if cascade is None or (cascade.kind, cascade.issuer, caller.dwk) != (
            Kind.AGENT_TOKEN,
            caller.id,
            agent_tokens.DWK,
        ):
            raise NotFound("There is no such revocation of this server.")
        if cascade.collected:
            raise Gone("This revocation had its answer; revoke again to learn of it anew.")
        return cascade

    async def collect(self, cascade: Cascade) -> None:
        if not await self._store.collect(cascade.id):
            raise Gone("This revocation had its answer; revoke again to learn of it anew.")

    # Of people

    async def revoke_agent(self, agent_id: str, person_id: str, *, actor: str = "") -> list[RecipientOutcome]:
        """From the commit on the agent gets nothing, nothing agreed to is remembered, and what it holds is revoked.

        ``actor`` is who does it, when it is not the person.
        """
        agent = await self._directory.agent(agent_id)
        if agent is None or agent.person_id != person_id:
            raise NotFound("You have no such agent.")
        issuer = agent.provider or self._directory.issuer
        handle = self.handle(Kind.AGENT, issuer, agent_id)
        cascade = await self._store.revoke_agent(
            issuer, agent_id, person_id=person_id, handle_hash=hashed(handle), name=agent.name, actor=actor
        )
        # The provider's own record; whoever was interrupted before it presses the button again.
        await self._directory.revoke(agent_id, person_id)
        return await self._told(cascade)

    async def end_tokens_of_retired_keys(self) -> None:
        """What ended with a key is recorded as withdrawn, and its resources told. Anybody may repeat it, at any time:
        whoever was interrupted between retiring a key and this is made good by the next who comes by."""
        issuer = self._directory.issuer
        for token in await self._directory.tokens_of_retired_keys():
            if await self._store.is_revoked(issuer, token.jti):
                continue
            handle = self.handle(Kind.AGENT_TOKEN, issuer, token.jti)
            cascade = await self._store.revoke_agent_token(
                issuer, token.jti, token.expires_at, handle_hash=hashed(handle)
            )
            if cascade is not None:
                self._tell(cascade.announced)

    async def revoke_token(self, jti: str, person_id: str) -> list[RecipientOutcome]:
        """Take one access back: the token and what was issued from it, and the agreement that would issue another."""
        cascade = await self._store.revoke_own(
            jti, person_id=person_id, handle_hash=hashed(self.handle(Kind.OWN_TOKEN, "", jti))
        )
        if cascade is None:
            raise NotFound("No token of yours with this identifier is still good.")
        return await self._told(cascade)

    async def outcomes_of_agent(self, agent: KnownAgent) -> list[RecipientOutcome]:
        return await self._store.outcomes(Kind.AGENT, agent.provider or self._directory.issuer, agent.agent_id)

    async def standing(self, tokens: Mapping[str, int]) -> dict[str, str]:
        """`good`, `revoked` or `over` for each token, given with its end: what a person may still take back."""
        revoked = await self._store.revoked_tokens_of(list(tokens))
        now = self._clock.now()
        over = {jti: "good" if ends_at > now else "over" for jti, ends_at in tokens.items()}
        return over | dict.fromkeys(revoked, "revoked")

    async def _told(self, cascade: Cascade) -> list[RecipientOutcome]:
        self._tell(cascade.announced)
        await self.finished(cascade, longest=_PERSON_WAITS)
        return await self._store.outcomes(cascade.kind, cascade.issuer, cascade.subject)

    def _tell(self, ended: tuple[str, ...]) -> None:
        self._outbox.wake()
        for pending_id in ended:
            self._announce(pending_id)


async def refuse_revoked_agent_token(store: RevocationStore, verified: VerifiedRequest) -> None:
    """§11.12.5: a revoked agent token in Signature-Key is 401 ``revoked_jwt``, at every endpoint for agents."""
    token = verified.agent_token
    if token is not None:
        await store.refuse_revoked([Depends.on_agent_token(token.issuer, token.jti)])
