"""An agent that is its own agent provider (AAuth-11 §4.3): a resource that calls on (§10.1.1.1), or one self-hosted.

It issues agent tokens to itself in its own name, and publishes the keys they verify with. Nothing is fetched here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aauthkit.agent.credentials import Credentials
from aauthkit.agent.steps import Steps
from aauthkit.agent.store import MARGIN
from aauthkit.clock import Clock
from aauthkit.drafts import Draft
from aauthkit.errors import CannotSign, ConfigurationError
from aauthkit.identifiers import AgentIdentifier, host_of, server_identifier
from aauthkit.keys import PrivateKey, PublicKey, jwks
from aauthkit.sigkey import ConfirmationJWT
from aauthkit.tokens.agent import build_agent_token

METADATA_PATH = "/.well-known/aauth-agent.json"
# Beside the JWKS of the resource on the same origin, which holds other keys.
JWKS_PATH = "/.well-known/aauth-agent-jwks.json"


class OwnProvider:
    """Identity of an agent that is its own provider.

    ``issuer`` is the server identifier, that of its resource where it is one; ``name`` is the local part of the agent
    identifier, whose domain is the issuer's host (§5.2); ``keys`` sign agent tokens, by the name of the draft they are
    for. ``person_server`` is the agent's own, which an intermediary need not have.
    """

    def __init__(
        self,
        *,
        issuer: str,
        keys: Mapping[str, PrivateKey],
        drafts: tuple[Draft, ...],
        clock: Clock,
        name: str = "agent",
        person_server: str | None = None,
        development: bool = False,
    ) -> None:
        self.issuer = server_identifier(issuer, development=development)
        if "+" in name:
            # §5.2: the plus is kept for sub-agents.
            raise ConfigurationError("The name of an agent has no plus; that marks a sub-agent.")
        self.agent = AgentIdentifier.parse(f"aauth:{name}@{host_of(self.issuer)}")
        missing = [draft.name for draft in drafts if draft.name not in keys]
        if missing:
            raise ConfigurationError(f"There is no key to issue agent tokens of draft {missing[0]} with.")
        self._keys = keys
        self._drafts = drafts
        self._clock = clock
        self._ps = server_identifier(person_server, development=development) if person_server is not None else None
        self._held: dict[str, Credentials] = {}

    @property
    def current(self) -> Credentials:
        return self._credentials(self._drafts[0])

    def credentials(self, draft: Draft, lasting: Any = MARGIN) -> Steps[Credentials]:
        """Always at hand; issued anew, with a new key, when they end within ``lasting``."""
        yield from ()
        held = self._credentials(draft)
        if not held.last(lasting, now=self._clock.now()):
            held = self._issued(draft)
        return held

    def renewed(self, refused: Credentials) -> Steps[Credentials]:
        """Fresh credentials, unless somebody else just got them."""
        yield from ()
        held = self._held.get(refused.draft.name)
        return held if held is not None and held is not refused else self._issued(refused.draft)

    def sub_agent_token(self, discriminator: str, key: PublicKey, draft: Draft) -> Steps[str]:
        """An agent token for a sub-agent of this agent (§10.2.1)."""
        yield from ()
        sub_agent = sub_agent_identifier(self.agent, discriminator)
        return self._token(sub_agent, key, draft, parent=self.agent)

    def documents(self, client_name: str | None = None) -> dict[str, dict[str, Any]]:
        """What has to be published, by path on the issuer's origin (§11.2.1)."""
        metadata: dict[str, Any] = {"issuer": self.issuer, "jwks_uri": self.issuer + JWKS_PATH}
        if client_name is not None:
            metadata |= {draft.metadata_name: client_name for draft in self._drafts}
        keys = jwks((self._keys[draft.name], draft) for draft in self._drafts)
        return {METADATA_PATH: metadata, JWKS_PATH: dict(keys)}

    def _credentials(self, draft: Draft) -> Credentials:
        held = self._held.get(draft.name)
        return held if held is not None else self._issued(draft)

    def _issued(self, draft: Draft) -> Credentials:
        if draft.name not in self._keys:
            raise CannotSign(f"This agent issues itself no agent tokens of draft {draft.name}.")
        key, now = PrivateKey.generate(), self._clock.now()
        token = self._token(self.agent, key.public, draft)
        credentials = self._held[draft.name] = Credentials(
            agent=str(self.agent),
            key=key,
            signature_key=str(ConfirmationJWT(jwt=token)),
            draft=draft,
            ps=self._ps,
            issued_at=int(now),
            expires_at=int(now + draft.agent_token_lifetime.total_seconds()),
            token=token,
        )
        return credentials

    def _token(
        self, agent: AgentIdentifier, key: PublicKey, draft: Draft, parent: AgentIdentifier | None = None
    ) -> str:
        return build_agent_token(
            self._keys[draft.name],
            draft,
            issuer=self.issuer,
            agent=agent,
            confirm=key,
            ps=self._ps,
            now=self._clock.now(),
            parent_agent=parent,
        )


def sub_agent_identifier(parent: AgentIdentifier, discriminator: str) -> AgentIdentifier:
    """§5.2: the parent's local part, a plus, and something of its own; one level only (§10.2.2)."""
    if "+" in parent.local or "+" in discriminator or not discriminator:
        raise ConfigurationError("A sub-agent belongs to a top-level agent and has a name of its own, without a plus.")
    return AgentIdentifier.parse(f"aauth:{parent.local}+{discriminator}@{parent.domain}")


def provider_keys_in(state: Path, drafts: tuple[Draft, ...]) -> dict[str, PrivateKey]:
    """One key a draft, since an algorithm's name is part of a key; made on first use (0600)."""
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise CannotSign(f"The agent's state directory cannot be used: {error.strerror}.") from error
    return {draft.name: PrivateKey.load_or_create(state / f"provider-key-{draft.name}.pem") for draft in drafts}
