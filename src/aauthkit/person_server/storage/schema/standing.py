"""The tables about the identity provider's word on people, as the code of today sees them. Migrations make them."""

from __future__ import annotations

from sqlalchemy import Column, Double, ForeignKey, Table, Text

from aauthkit.person_server.storage.schema import metadata

# Whether a person still stands at the identity provider (person_server/sign_in/standing.py). There is a row once
# they signed in where the provider gives refresh tokens; the token is sealed, and gone with `lapsed_at`: then they sign
# in again.
# Whoever asks the provider says so in `asking_until`, so that one of two replicas asks.
standings = Table(
    "ps_standings",
    metadata,
    Column("person_id", Text, ForeignKey("ps_persons.id"), primary_key=True),
    Column("refresh_token", Text),
    Column("looked_at", Double, nullable=False),
    Column("asking_until", Double, nullable=False),
    Column("lapsed_at", Double),
)

# The provider's side of a session: `id_token` (sealed) names it when the person signs out there, `sid_hash` when the
# provider says that they did. `subject` is the person's at the provider.
provider_sessions = Table(
    "ps_provider_sessions",
    metadata,
    Column("token_hash", Text, primary_key=True),
    Column("subject", Text, nullable=False, index=True),
    Column("sid_hash", Text, index=True),
    Column("id_token", Text, nullable=False),
    Column("expires_at", Double, nullable=False),
)
