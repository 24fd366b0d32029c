"""The tables about being signed in, as the code of today sees them. Migrations make them; nothing here does."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, ForeignKey, Table, Text

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

# People who sign in with passkeys alone, at a server without an identity provider: their names are unique there.
passkey_people = Table(
    "ps_passkey_people",
    metadata,
    Column("person_id", Text, ForeignKey("ps_persons.id"), primary_key=True),
    Column("username", Text, nullable=False, unique=True),
    Column("administrator", Boolean, nullable=False),
    Column("joined_at", Double, nullable=False),
)

# Public keys, and what their person calls them. `credential_id` and `public_key` (COSE) are base64url.
passkeys = Table(
    "ps_passkeys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("person_id", Text, ForeignKey("ps_persons.id"), nullable=False, index=True),
    Column("credential_id", Text, nullable=False, unique=True),
    Column("public_key", Text, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    Column("transports", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("used_at", Double),
)

# One-time links to a first passkey. `kind` is `setup` (for the first person of all) or `invitation`, which names its
# person: a placeholder until it is used.
invitations = Table(
    "ps_invitations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("token_hash", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("person_id", Text, ForeignKey("ps_persons.id")),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("used_at", Double),
)

# Challenges that were answered, sign-ins at the provider that were finished, logout tokens that were heard: each once.
used_challenges = Table(
    "ps_used_challenges",
    metadata,
    Column("challenge_hash", Text, primary_key=True),
    Column("expires_at", Double, nullable=False),
)
