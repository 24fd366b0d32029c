"""The tables of the person server, as the code of today sees them. Migrations make them; nothing here does."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Double, ForeignKey, Index, MetaData, Table, Text, text

metadata = MetaData()

# A person is (issuer, subject) of the identity provider. A row without a subject is a placeholder made for somebody
# who never signed in; the first sign-in under that name at that issuer claims it, once.
persons = Table(
    "ps_persons",
    metadata,
    Column("id", Text, primary_key=True),
    Column("issuer", Text, nullable=False),
    Column("subject", Text),
    Column("username", Text, nullable=False),
    Column("email", Text),
    Column("created_at", Double, nullable=False),
    Column("claimed_at", Double),
    Index("uq_ps_persons_subject", "issuer", "subject", unique=True),
    Index(
        "uq_ps_persons_placeholder",
        "issuer",
        "username",
        unique=True,
        sqlite_where=text("subject IS NULL"),
        postgresql_where=text("subject IS NULL"),
    ),
)

sessions = Table(
    "ps_sessions",
    metadata,
    Column("token_hash", Text, primary_key=True),
    Column("person_id", Text, ForeignKey("ps_persons.id"), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
)

# A sign-in under way; the row is deleted by the one answer that uses it.
logins = Table(
    "ps_logins",
    metadata,
    Column("state_hash", Text, primary_key=True),
    Column("return_to", Text, nullable=False),
    Column("expires_at", Double, nullable=False),
)

# Requests that wait for a person. States and moves: person_server/states.py.
pending_requests = Table(
    "ps_pending",
    metadata,
    Column("id", Text, primary_key=True),
    Column("request_key", Text, nullable=False, unique=True),
    Column("handle_hash", Text, nullable=False, unique=True),
    Column("code_hash", Text, nullable=False, unique=True),
    Column("state", Text, nullable=False),
    Column("person_id", Text, ForeignKey("ps_persons.id"), nullable=False, index=True),
    Column("agent_issuer", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("agent_name", Text, nullable=False),
    Column("agent_jkt", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("resource_name", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("asked_scope", Text, nullable=False),
    Column("scope_descriptions", Text, nullable=False),
    Column("justification", Text, nullable=False),
    Column("via", Text, nullable=False),
    Column("upstream", Text),
    Column("draft", Text, nullable=False),
    Column("resource_token_expires_at", Double, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("arrived_at", Double),
    Column("outcome", Text),
    Column("decided_at", Double),
    Column("decided_by", Text),
    Column("answer_text", Text),
    Column("delivered_at", Double),
    Column("polled_at", Double),
)

# What a person agreed to, scope by scope, so that a fresh resource token does not ask again. `via` is the chain the
# agent acted for, empty when it acted for itself. `single_use` is spent by the next token.
consents = Table(
    "ps_consents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("person_id", Text, ForeignKey("ps_persons.id"), nullable=False),
    Column("agent_issuer", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("via", Text, nullable=False),
    Column("single_use", Boolean, nullable=False),
    Column("granted_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Index("uq_ps_consents", "person_id", "agent_issuer", "agent", "resource", "scope", "via", unique=True),
)

# The one opaque name a person has at a resource (DESIGN §4 rule 13).
directed_subjects = Table(
    "ps_directed_subjects",
    metadata,
    Column("person_id", Text, ForeignKey("ps_persons.id"), primary_key=True),
    Column("resource", Text, primary_key=True),
    Column("sub", Text, nullable=False, unique=True),
)

# What was issued, never the token itself.
issued_tokens = Table(
    "ps_issued_tokens",
    metadata,
    Column("jti", Text, primary_key=True),
    Column("agent_issuer", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("agent_jkt", Text, nullable=False),
    Column("person_id", Text, ForeignKey("ps_persons.id"), nullable=False, index=True),
    Column("resource", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("act", Text, nullable=False),
    Column("sub", Text),
    Column("upstream_jti", Text),
    Column("draft", Text, nullable=False),
    Column("issued_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
)

# Which scopes need asking. person_id '' is the server's own rule; a person's rule goes before it, for their agents.
# `origin` tells a rule of the configuration, replaced at every start, from one somebody made.
consent_rules = Table(
    "ps_consent_rules",
    metadata,
    Column("person_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("required", Boolean, nullable=False),
    Column("origin", Text, nullable=False),
)

# Wrong interaction codes, counted a person.
wrong_codes = Table(
    "ps_wrong_codes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("who", Text, nullable=False, index=True),
    Column("at", Double, nullable=False),
)
