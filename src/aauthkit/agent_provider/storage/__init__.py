"""Where the agent provider keeps what it decided."""

from pathlib import Path

from aauthkit.agent_provider.storage.records import Agent, IssuedAgentToken, Registration, RegistrationStatus
from aauthkit.agent_provider.storage.store import AgentStore, TicketRefused

# What `database.migrate` needs to make or update these tables.
MIGRATIONS = (Path(__file__).parent / "migrations", "ap_schema_version")

__all__ = [
    "MIGRATIONS",
    "Agent",
    "AgentStore",
    "IssuedAgentToken",
    "Registration",
    "RegistrationStatus",
    "TicketRefused",
]
