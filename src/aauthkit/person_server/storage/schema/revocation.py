"""The tables of revocation, as the code of today sees them. Migration 0003 makes them; nothing here does."""

from __future__ import annotations

from sqlalchemy import Column, Double, ForeignKey, Index, Integer, Table, Text

from aauthkit.person_server.storage.schema import metadata

# Which tokens were withdrawn, by their verified issuer: agent tokens, resource tokens, and those of this server itself.
# Recorded whether or not the token was ever seen; may be forgotten once `expires_at` and the clock skew have passed.
revocations = Table(
    "ps_revocations",
    metadata,
    Column("issuer", Text, primary_key=True),
    Column("jti", Text, primary_key=True),
    Column("recorded_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Index("ix_ps_revocations_expires_at", "expires_at"),
)

# Agents whose binding their person ended. For good where another enrolment is another agent; an agent of another
# provider keeps its name, and only its person lets it in again.
revoked_agents = Table(
    "ps_revoked_agents",
    metadata,
    Column("agent_issuer", Text, primary_key=True),
    Column("agent", Text, primary_key=True),
    Column("revoked_at", Double, nullable=False),
)

# One revocation that was asked for, and what it set going. `subject` is what was revoked, under its issuer: an agent
# token or a token of ours by its jti, or an agent; `kind` says which. `handle_hash` names the pending URL of a server
# that waits, whose answer was given at `collected_at`.
cascades = Table(
    "ps_cascades",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("handle_hash", Text, nullable=False, unique=True),
    Column("person_id", Text),
    Column("started_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("collected_at", Double),
    Index("uq_ps_cascades", "kind", "issuer", "subject", unique=True),
)

# The outbox: one token of ours to be revoked at one recipient. States: waiting -> delivered | unsupported, and while it
# waits, until `expires_at`, it is tried at `next_at`. Whoever asked at `asked_at` has an outcome once `tried_at` is not
# earlier. `lease` is who delivers it right now, until `leased_until`: one delivery of a (recipient, jti) at a time.
deliveries = Table(
    "ps_deliveries",
    metadata,
    Column("recipient", Text, primary_key=True),
    Column("jti", Text, primary_key=True),
    Column("expires_at", Double, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("asked_at", Double, nullable=False),
    Column("tried_at", Double),
    Column("next_at", Double, nullable=False),
    Column("lease", Text),
    Column("leased_until", Double, nullable=False),
    Index("ix_ps_deliveries_due", "state", "next_at"),
)

cascade_deliveries = Table(
    "ps_cascade_deliveries",
    metadata,
    Column("cascade_id", Text, ForeignKey("ps_cascades.id"), primary_key=True),
    Column("recipient", Text, primary_key=True),
    Column("jti", Text, primary_key=True),
)
