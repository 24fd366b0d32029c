"""The tables of the audit log, as the code of today sees them. A migration makes them; nothing here does."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from aauthkit.person_server.storage.schema import metadata

# One row an event (person_server/audit.py). Written once and never changed; `hash` covers every other column except
# `seal`, and the hash of the row before. `id` is random, so that whoever sees the hash before their row, which is
# another person's, cannot find out that row by trying. Times are whole Unix seconds: an integer has one spelling.
# No foreign key: what happened stays written down when its person is removed.
#
# The indexes serve what a page is opened by: everything, a person's, an agent's, a resource's, one kind; always in
# the order of (at, seq), which pages go by.
audit = Table(
    "ps_audit",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("person_id", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("agent_name", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("resource_name", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("scope_words", Text, nullable=False),
    Column("via", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("jti", Text, nullable=False),
    Column("consent", Text, nullable=False),
    Column("until", BigInteger),
    Column("most_uses", Integer),
    Column("detail", Text, nullable=False),
    Column("words", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("seal", Text, nullable=False),
    Index("ix_ps_audit_at", "at", "seq"),
    Index("ix_ps_audit_person", "person_id", "at", "seq"),
    Index("ix_ps_audit_agent", "agent", "at", "seq"),
    Index("ix_ps_audit_resource", "resource", "at", "seq"),
    Index("ix_ps_audit_kind", "kind", "at", "seq"),
    Index("ix_ps_audit_consent", "consent", "kind"),
)

# The one row of where the chain ends. Whoever appends holds it until the commit, so there is one chain and no gap.
audit_head = Table(
    "ps_audit_head",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
)
