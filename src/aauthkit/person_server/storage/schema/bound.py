"""The table of agents of other providers that people let act for them, as the code of today sees it."""

from __future__ import annotations

from sqlalchemy import Column, Double, ForeignKey, Index, Table, Text

from aauthkit.person_server.storage.schema import metadata

# One agent, one person (AAuth-11 §13.14). `agent_jkt` is the key it had when it was let in: its provider vouches for
# keys, so another may follow. An identifier is taken once, whichever provider names it. A row stays when the agent is
# revoked (`ps_revoked_agents`): nobody else gets it.
bound_agents = Table(
    "ps_bound_agents",
    metadata,
    Column("agent_issuer", Text, primary_key=True),
    Column("agent", Text, primary_key=True),
    Column("person_id", Text, ForeignKey("ps_persons.id"), nullable=False),
    Column("given_name", Text),
    Column("agent_jkt", Text, nullable=False),
    Column("bound_at", Double, nullable=False),
    Index("uq_ps_bound_agents_agent", "agent", unique=True),
    Index("ix_ps_bound_agents_person", "person_id"),
)
