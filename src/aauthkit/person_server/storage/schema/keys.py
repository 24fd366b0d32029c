"""The tables of the server's own keys and secret, as the code of today sees them; a migration makes them."""

from __future__ import annotations

from sqlalchemy import Column, Double, Table, Text

from aauthkit.person_server.storage.schema import metadata

# Signing keys, sealed; every replica signs with the same. Times alone say what a key is for (person_server/signing.py):
# of a draft's keys the one whose `signs_from` came last signs, and none is published from `published_until` on.
signing_keys = Table(
    "ps_signing_keys",
    metadata,
    Column("kid", Text, primary_key=True),
    Column("draft", Text, nullable=False),
    Column("sealed", Text, nullable=False),
    Column("made_at", Double, nullable=False),
    Column("signs_from", Double, nullable=False),
    Column("published_until", Double),
)

# What else the server has to know again after a restart, sealed, by its name.
server_secrets = Table(
    "ps_server_secrets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("sealed", Text, nullable=False),
)
