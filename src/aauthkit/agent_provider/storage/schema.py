"""The tables of the agent provider, as the code of today sees them. Migrations make them; nothing here does."""

from __future__ import annotations

from sqlalchemy import Column, Double, ForeignKey, Index, MetaData, Table, Text

metadata = MetaData()

# One row an agent that was let in. `person_id` is the owner's opaque name: the provider knows no people. `stable_jkt`
# is the key it first came with; which keys are good stands in `ap_agent_keys`. `given_name` is its person's for it.
agents = Table(
    "ap_agents",
    metadata,
    Column("agent_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("stable_jkt", Text, nullable=False, unique=True),
    Column("person_id", Text, nullable=False, index=True),
    Column("created_at", Double, nullable=False),
    Column("revoked_at", Double),
    Column("given_name", Text),
)

# An agent's stable keys. A key belongs to one agent for good: a retired one is neither used nor let in again.
agent_keys = Table(
    "ap_agent_keys",
    metadata,
    Column("stable_jkt", Text, primary_key=True),
    Column("agent_id", Text, ForeignKey("ap_agents.agent_id"), nullable=False, index=True),
    Column("added_at", Double, nullable=False),
    Column("retired_at", Double),
)

# The resources an agent is known to be. Written from a ticket only: an agent cannot claim one for itself.
agent_resources = Table(
    "ap_agent_resources",
    metadata,
    Column("agent_id", Text, ForeignKey("ap_agents.agent_id"), primary_key=True),
    Column("resource", Text, primary_key=True),
)

# Where a browser may be sent back to after this agent's request was decided. Written from a ticket only.
agent_callbacks = Table(
    "ap_agent_callbacks",
    metadata,
    Column("agent_id", Text, ForeignKey("ap_agents.agent_id"), primary_key=True),
    Column("origin", Text, primary_key=True),
)

# Enrolments that wait for a person, or have been decided: pending | approved | denied | expired. `claimed_by` is who
# typed the code the agent shows; from then on it waits for them only.
registrations = Table(
    "ap_registrations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("handle_hash", Text, nullable=False, unique=True),
    Column("agent_name", Text, nullable=False),
    Column("stable_jkt", Text, nullable=False, index=True),
    Column("draft", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("decided_at", Double),
    Column("decided_by", Text),
    Column("code_hash", Text),
    Column("claimed_by", Text),
    Index("uq_ap_registrations_code_hash", "code_hash", unique=True),
)

# Agent tokens that were issued and live, so that they can be revoked; never the tokens themselves. `agent` is the `sub`
# of the token, a sub-agent's too; `agent_id` the enrolled agent behind it, `stable_jkt` the key that asked for it.
agent_tokens = Table(
    "ap_agent_tokens",
    metadata,
    Column("jti", Text, primary_key=True),
    Column("agent_id", Text, ForeignKey("ap_agents.agent_id"), nullable=False, index=True),
    Column("agent", Text, nullable=False),
    Column("person_server", Text, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("stable_jkt", Text),
)

# One-time permissions to enrol without asking. The ticket itself is never stored; `id` names it in lists. `made_by` is
# the person who made it in a page, and empty for one made at the command line.
tickets = Table(
    "ap_tickets",
    metadata,
    Column("ticket_hash", Text, primary_key=True),
    Column("person_id", Text, nullable=False),
    Column("resources", Text, nullable=False),
    Column("callbacks", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("used_at", Double),
    Column("used_by", Text),
    Column("id", Text),
    Column("made_by", Text),
    Column("revoked_at", Double),
    Index("uq_ap_tickets_id", "id", unique=True),
    Index("ix_ap_tickets_person_id", "person_id"),
)
