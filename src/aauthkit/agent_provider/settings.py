"""The agent provider's settings, checked when they are made. Each default is argued here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from aauthkit.drafts import SIGNATURE_ALGORITHMS
from aauthkit.errors import ConfigurationError, InvalidRequest
from aauthkit.identifiers import AgentIdentifier, server_identifier


@dataclass(frozen=True, kw_only=True)
class ProviderSettings:
    """Who the provider is and how long it waits."""

    issuer: str
    agent_domain: str
    """The domain of the agent identifiers it issues; declared in its metadata."""
    person_server: str
    """The `ps` of its agent tokens."""
    development: bool
    client_name: str = "aauthkit agent provider"
    sub_agent_lifetime: timedelta = timedelta(hours=1)
    """Workers are short-lived, and nobody keeps a list of them to revoke: the parent asks again."""
    registration_lifetime: timedelta = timedelta(minutes=30)
    """A person needs at least ten minutes; three times that, since nobody tells them on their telephone."""
    enrolment_page: str | None = None
    """Where a person types the code of an agent that waits, told to the agent so that it can tell them."""
    most_tickets: int = 100
    """Unused tickets a person: more than anybody sets up at once, few enough to look through."""
    enrolments_a_minute: int = 60
    """For one address: far above any honest start, and what keeps the waiting list readable."""
    renewals_a_minute: int = 60
    """Agent tokens of one agent, its sub-agents' included. One holds for hours; each is a row in the audit log."""

    def __post_init__(self) -> None:
        try:
            server_identifier(self.issuer, development=self.development)
            server_identifier(self.person_server, development=self.development)
            AgentIdentifier.parse(f"aauth:a@{self.agent_domain}")
        except InvalidRequest as error:
            raise ConfigurationError(f"The agent provider cannot start: {error.detail}") from error

    def metadata(self) -> dict[str, object]:
        """`/.well-known/aauth-agent.json` (AAuth-11 §11.2.1); how agents enrol is a provider's own."""
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/.well-known/jwks.json",
            "name": self.client_name,
            # Draft 01's word for it.
            "client_name": self.client_name,
            # Whose ticket names one, that is: a person server sends nobody to another.
            "localhost_callback_allowed": True,
            "accept_signature_algs": list(SIGNATURE_ALGORITHMS),
            "registration_endpoint": f"{self.issuer}/register",
            "refresh_endpoint": f"{self.issuer}/refresh",
            "sub_agent_endpoint": f"{self.issuer}/sub-agent",
            "agent_domain": self.agent_domain,
        }
