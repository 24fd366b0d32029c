"""A sub-agent (AAuth-11 §10.2): an identity of its own under its parent, which asks the person server for it.

The sub-agent signs what it sends to resources with its own key and never calls the person server.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

from aauthkit.agent.credentials import Credentials, Identity
from aauthkit.agent.steps import Steps
from aauthkit.agent.store import MARGIN
from aauthkit.clock import Clock
from aauthkit.drafts import Draft
from aauthkit.errors import ConfigurationError, InvalidRequest, InvalidResponse, SignatureError
from aauthkit.identifiers import AgentIdentifier
from aauthkit.jwt import parse
from aauthkit.keys import PrivateKey, PublicKey
from aauthkit.sigkey import ConfirmationJWT
from aauthkit.tokens.agent import AgentToken, judge_agent_token
from aauthkit.tokens.claims import Judge


class Parent(Identity, Protocol):
    """An identity that can have agent tokens issued for its sub-agents."""

    def sub_agent_token(self, discriminator: str, key: PublicKey, draft: Draft) -> Steps[str]:
        """An agent token of the parent's provider for the sub-agent of this name, bound to ``key``."""
        ...


class SubAgentIdentity:
    """Identity of the sub-agent ``discriminator`` of ``parent``; a new key with each agent token."""

    def __init__(self, parent: Parent, discriminator: str, *, draft: Draft, clock: Clock, development: bool) -> None:
        if not draft.person_tokens:
            raise ConfigurationError("Sub-agents are draft 11's; start their parent in that draft.")
        self._parent = parent
        self._discriminator = discriminator
        self._draft = draft
        self._clock = clock
        self._development = development
        self._current: Credentials | None = None

    @property
    def current(self) -> Credentials | None:
        return self._current

    def credentials(self, draft: Draft, lasting: timedelta = MARGIN) -> Steps[Credentials]:
        """Current credentials, fetched through the parent when they are missing or end within ``lasting``."""
        if draft is not self._draft:
            raise ConfigurationError(f"A sub-agent speaks draft {self._draft.name} only.")
        if self._current is not None and self._current.last(lasting, now=self._clock.now()):
            return self._current
        return (yield from self._fetched())

    def renewed(self, refused: Credentials) -> Steps[Credentials]:
        """Fresh credentials, unless somebody else just got them."""
        if self._current is not None and self._current is not refused:
            return self._current
        return (yield from self._fetched())

    def _fetched(self) -> Steps[Credentials]:
        above = yield from self._parent.credentials(self._draft)
        key = PrivateKey.generate()
        raw = yield from self._parent.sub_agent_token(self._discriminator, key.public, self._draft)
        token = self._judged(raw, key.public, above)
        self._current = Credentials(
            agent=str(token.agent),
            key=key,
            signature_key=str(ConfirmationJWT(jwt=raw)),
            draft=self._draft,
            ps=above.ps,
            issued_at=token.issued_at,
            expires_at=token.expires_at,
            token=raw,
        )
        return self._current

    def _judged(self, raw: str, key: PublicKey, above: Credentials) -> AgentToken:
        judge = Judge(draft=self._draft, now=self._clock.now(), development=self._development)
        try:
            token = judge_agent_token(parse(raw), judge)
            issuer = judge_agent_token(parse(above.token), judge).issuer
        except (SignatureError, InvalidRequest) as error:
            raise InvalidResponse(f"The sub-agent's token is not valid: {error.detail}") from error
        if token.issuer != issuer or token.key != key or token.parent_agent != AgentIdentifier.parse(above.agent):
            raise InvalidResponse("The sub-agent's token is of another issuer or parent, or for another key.")
        return token
