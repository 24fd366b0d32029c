"""The tables of notification, as the code of today sees them. Migration 0011 makes them; nothing here does."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Double, ForeignKey, Index, Integer, Table, Text

from aauthkit.person_server.storage.schema import metadata

# Where a person wants to be told that something waits: by `email` (the target '' is the address the identity provider
# gave) or by `webhook`. A `confirmation` is an address that still has to answer. From `nonce` and the server's secret
# come the webhook's secret and the token of a confirmation, so that neither is stored. `lease` is who sends right now,
# until `leased_until`; nothing is sent before `next_at`, which keeps a burst one message and a failure from hammering.
channels = Table(
    "ps_channels",
    metadata,
    Column("person_id", Text, ForeignKey("ps_persons.id"), primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("target", Text, nullable=False),
    Column("nonce", Text, nullable=False),
    Column("enrolments", Boolean, nullable=False),
    Column("made_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("next_at", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("lease", Text),
    Column("leased_until", Double, nullable=False),
    Column("outcome", Text),
    Column("outcome_at", Double),
)

# The outbox: one thing that waits, to be told over one channel, written in the transaction that makes it wait. What is
# sent together shares a `batch`, which stays when it is tried again. A row goes when it was told, or with what it is
# about.
notices = Table(
    "ps_notices",
    metadata,
    Column("id", Text, primary_key=True),
    Column("person_id", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("about_id", Text, nullable=False),
    Column("due_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("batch", Text),
    Index("ix_ps_notices_channel", "person_id", "channel"),
    Index("ix_ps_notices_due_at", "due_at"),
)
