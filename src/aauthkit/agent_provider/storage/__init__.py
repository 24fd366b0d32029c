"""Where the agent provider keeps what it decided."""

from pathlib import Path

from aauthkit.agent_provider.storage.records import (
    Agent,
    AgentKey,
    IssuedAgentToken,
    Registration,
    RegistrationStatus,
    Ticket,
)
from aauthkit.agent_provider.storage.registrations import NoSuchAgent, RegistrationStore
from aauthkit.agent_provider.storage.store import AgentStore, StillStanding
from aauthkit.agent_provider.storage.tickets import TicketRefused, TicketStore, TooManyTickets

# What `database.migrate` needs to make or update these tables.
MIGRATIONS = (Path(__file__).parent / "migrations", "ap_schema_version")

__all__ = [
    "MIGRATIONS",
    "Agent",
    "AgentKey",
    "AgentStore",
    "IssuedAgentToken",
    "NoSuchAgent",
    "Registration",
    "RegistrationStatus",
    "RegistrationStore",
    "StillStanding",
    "Ticket",
    "TicketRefused",
    "TicketStore",
    "TooManyTickets",
]
