"""The tables about being signed in, as the code of today sees them. Migrations make them; nothing here does."""

from __future__ import annotations

from sqlalchemy import Column, Double, ForeignKey, Table, Text

from aauthkit.person_server.storage.schema import metadata

# A browser in which somebody is signed in. `id` is its name for people and addresses, and opens nothing; the token is
# kept as a hash. `method` says how they signed in; `authenticated_at` when they last proved who they are, which is
# later than `created_at` once they confirmed something with a passkey. `expires_at` moves with `seen_at`, by the idle
# limit and never beyond `latest_at`.
sessions = Table(
    "ps_sessions",
    metadata,
    Column("token_hash", Text, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("person_id", Text, ForeignKey("ps_persons.id"), nullable=False, index=True),
    Column("method", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("authenticated_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("latest_at", Double, nullable=False),
)
