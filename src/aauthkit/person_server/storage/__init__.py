"""Where the person server keeps what people decided and what it issued."""

from pathlib import Path

from aauthkit.person_server.storage.decisions import DecisionStore
from aauthkit.person_server.storage.persons import AmbiguousPerson, PersonStore
from aauthkit.person_server.storage.records import (
    Consent,
    ConsentRule,
    IssuedToken,
    NewRequest,
    PendingRequest,
    Person,
    Upstream,
)
from aauthkit.person_server.storage.rules import SERVER, RuleStore

# What `database.migrate` needs to make or update these tables.
MIGRATIONS = (Path(__file__).parent / "migrations", "ps_schema_version")

__all__ = [
    "MIGRATIONS",
    "SERVER",
    "AmbiguousPerson",
    "Consent",
    "ConsentRule",
    "DecisionStore",
    "IssuedToken",
    "NewRequest",
    "PendingRequest",
    "Person",
    "PersonStore",
    "RuleStore",
    "Upstream",
]
