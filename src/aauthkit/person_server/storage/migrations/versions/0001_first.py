"""Persons, sessions, requests that wait, consents, issued tokens and consent rules."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ps_consent_rules",
        sa.Column("person_id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, primary_key=True),
        sa.Column("required", sa.Boolean, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
    )
    op.create_table(
        "ps_logins",
        sa.Column("state_hash", sa.Text, primary_key=True),
        sa.Column("return_to", sa.Text, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
    )
    op.create_table(
        "ps_persons",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("subject", sa.Text),
        sa.Column("username", sa.Text, nullable=False),
        sa.Column("email", sa.Text),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("claimed_at", sa.Double),
    )
    op.create_index(
        "uq_ps_persons_placeholder",
        "ps_persons",
        ["issuer", "username"],
        unique=True,
        sqlite_where=sa.text("subject IS NULL"),
        postgresql_where=sa.text("subject IS NULL"),
    )
    op.create_index("uq_ps_persons_subject", "ps_persons", ["issuer", "subject"], unique=True)
    op.create_table(
        "ps_wrong_codes",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
    )
    op.create_index("ix_ps_wrong_codes_who", "ps_wrong_codes", ["who"])
    op.create_table(
        "ps_consents",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("person_id", sa.Text, sa.ForeignKey("ps_persons.id"), nullable=False),
        sa.Column("agent_issuer", sa.Text, nullable=False),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("resource", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("via", sa.Text, nullable=False),
        sa.Column("single_use", sa.Boolean, nullable=False),
        sa.Column("granted_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
    )
    op.create_index(
        "uq_ps_consents", "ps_consents", ["person_id", "agent_issuer", "agent", "resource", "scope", "via"], unique=True
    )
    op.create_table(
        "ps_directed_subjects",
        sa.Column("person_id", sa.Text, sa.ForeignKey("ps_persons.id"), primary_key=True),
        sa.Column("resource", sa.Text, primary_key=True),
        sa.Column("sub", sa.Text, nullable=False, unique=True),
    )
    op.create_table(
        "ps_issued_tokens",
        sa.Column("jti", sa.Text, primary_key=True),
        sa.Column("agent_issuer", sa.Text, nullable=False),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("agent_jkt", sa.Text, nullable=False),
        sa.Column("person_id", sa.Text, sa.ForeignKey("ps_persons.id"), nullable=False),
        sa.Column("resource", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("act", sa.Text, nullable=False),
        sa.Column("sub", sa.Text),
        sa.Column("upstream_jti", sa.Text),
        sa.Column("draft", sa.Text, nullable=False),
        sa.Column("issued_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
    )
    op.create_index("ix_ps_issued_tokens_person_id", "ps_issued_tokens", ["person_id"])
    op.create_table(
        "ps_pending",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("request_key", sa.Text, nullable=False, unique=True),
        sa.Column("handle_hash", sa.Text, nullable=False, unique=True),
        sa.Column("code_hash", sa.Text, nullable=False, unique=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("person_id", sa.Text, sa.ForeignKey("ps_persons.id"), nullable=False),
        sa.Column("agent_issuer", sa.Text, nullable=False),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("agent_name", sa.Text, nullable=False),
        sa.Column("agent_jkt", sa.Text, nullable=False),
        sa.Column("resource", sa.Text, nullable=False),
        sa.Column("resource_name", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("asked_scope", sa.Text, nullable=False),
        sa.Column("scope_descriptions", sa.Text, nullable=False),
        sa.Column("justification", sa.Text, nullable=False),
        sa.Column("via", sa.Text, nullable=False),
        sa.Column("upstream", sa.Text),
        sa.Column("draft", sa.Text, nullable=False),
        sa.Column("resource_token_expires_at", sa.Double, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("arrived_at", sa.Double),
        sa.Column("outcome", sa.Text),
        sa.Column("decided_at", sa.Double),
        sa.Column("decided_by", sa.Text),
        sa.Column("answer_text", sa.Text),
        sa.Column("delivered_at", sa.Double),
        sa.Column("polled_at", sa.Double),
    )
    op.create_index("ix_ps_pending_person_id", "ps_pending", ["person_id"])
    op.create_table(
        "ps_sessions",
        sa.Column("token_hash", sa.Text, primary_key=True),
        sa.Column("person_id", sa.Text, sa.ForeignKey("ps_persons.id"), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
    )
