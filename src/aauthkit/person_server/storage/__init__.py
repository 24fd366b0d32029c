"""Where the person server keeps what people decided and what it issued."""

from pathlib import Path

from aauthkit.person_server.storage.decisions import DecisionStore, Rest
from aauthkit.person_server.storage.persons import AmbiguousPerson, PersonStore
from aauthkit.person_server.storage.records import (
    ACT_AS_PERSON,
    AUTH,
    NOBODY,
    PERSON,
    AcceptedAgentToken,
    AgentWords,
    Agreement,
    Consent,
    ConsentRule,
    Holder,
    IssuedPersonToken,
    IssuedToken,
    LeftOut,
    NewRequest,
    PendingRequest,
    Person,
    Presented,
    ResourceWords,
    Standing,
    Subagent,
    Upstream,
)
from aauthkit.person_server.storage.revocations import (
    Cascade,
    Delivery,
    Depends,
    Kind,
    RecipientOutcome,
    RevocationStore,
    refuse_revoked,
)
from aauthkit.person_server.storage.rules import SERVER, RuleStore
from aauthkit.person_server.storage.sessions import Method, Session, SessionStore

# What `database.migrate` needs to make or update these tables.
MIGRATIONS = (Path(__file__).parent / "migrations", "ps_schema_version")

__all__ = [
    "ACT_AS_PERSON",
    "AUTH",
    "MIGRATIONS",
    "NOBODY",
    "PERSON",
    "SERVER",
    "AcceptedAgentToken",
    "AgentWords",
    "Agreement",
    "AmbiguousPerson",
    "Cascade",
    "Consent",
    "ConsentRule",
    "DecisionStore",
    "Delivery",
    "Depends",
    "Holder",
    "IssuedPersonToken",
    "IssuedToken",
    "Kind",
    "LeftOut",
    "Method",
    "NewRequest",
    "PendingRequest",
    "Person",
    "PersonStore",
    "Presented",
    "RecipientOutcome",
    "ResourceWords",
    "Rest",
    "RevocationStore",
    "RuleStore",
    "Session",
    "SessionStore",
    "Standing",
    "Subagent",
    "Upstream",
    "refuse_revoked",
]
