"""The tables of what agents and people say to each other: the inbox, permission rules, clarifications, used codes.

As the code of today sees them; migration 0004 makes them.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Double, ForeignKey, Index, Integer, Table, Text

from aauthkit.person_server.storage.schema import metadata

# What agents put before a person outside of token requests (AAuth-11 §7.6, §7.7); states as in `ps_pending`. `open_key`
# names the same wish posted twice and is emptied when the item is over. `relayed_code` is the resource's code, which
# the person has to see; it is emptied too. `pending_id` is the request of ours that a relay leads to.
inbox_items = Table(
    "ps_inbox",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("open_key", Text, unique=True),
    Column("handle_hash", Text, nullable=False, unique=True),
    Column("code_hash", Text, nullable=False, unique=True),
    Column("state", Text, nullable=False),
    Column("person_id", Text, ForeignKey("ps_persons.id"), nullable=False),
    Column("agent_issuer", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("agent_name", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("parameters", Text, nullable=False),
    Column("url", Text),
    Column("relayed_code", Text),
    Column("pending_id", Text),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("engaged_at", Double),
    Column("told_at", Double),
    Column("outcome", Text),
    Column("decided_at", Double),
    Column("decided_by", Text),
    Column("answer_text", Text),
    Column("delivered_at", Double),
    Column("polled_at", Double),
    Index("ix_ps_inbox_agent", "agent_issuer", "agent"),
    Index("ix_ps_inbox_person_created", "person_id", "created_at"),
    Index("ix_ps_inbox_person_state", "person_id", "state"),
)

# A person's standing answer to one action of one agent (AAuth-11 §7.7).
permission_rules = Table(
    "ps_permission_rules",
    metadata,
    Column("person_id", Text, ForeignKey("ps_persons.id"), primary_key=True),
    Column("agent_issuer", Text, primary_key=True),
    Column("agent", Text, primary_key=True),
    Column("action", Text, primary_key=True),
    Column("granted", Boolean, nullable=False),
    Column("made_at", Double, nullable=False),
)

# The clarification chat (AAuth-11 §7.5), one row a round. The primary key is what keeps two askers from asking at once.
clarifications = Table(
    "ps_clarifications",
    metadata,
    Column("pending_id", Text, ForeignKey("ps_pending.id"), primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("question", Text, nullable=False),
    Column("options", Text, nullable=False),
    Column("asked_at", Double, nullable=False),
    Column("answer_by", Double, nullable=False),
    Column("answer", Text),
    Column("answered_at", Double),
    Column("replaced_scope", Text),
)

# Interaction codes that were used (AAuth-11 §11.6.3.1: single use), as their hashes.
used_codes = Table(
    "ps_used_codes",
    metadata,
    Column("code_hash", Text, primary_key=True),
    Column("used_at", Double, nullable=False),
)
