"""The table of agent providers an administrator trusted, as the code of today sees it. Migrations make it."""

from __future__ import annotations

from sqlalchemy import Column, Double, Table, Text

from aauthkit.person_server.storage.schema import metadata

# Beside those of the configuration. `pinned`: thumbprints as a JSON list, the only keys it is believed under; NULL is
# whatever it publishes. `name` is what it called itself when `looked_by` last looked.
trusted_providers = Table(
    "ps_trusted_providers",
    metadata,
    Column("issuer", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("pinned", Text),
    Column("looked_at", Double, nullable=False),
    Column("looked_by", Text, nullable=False),
)
