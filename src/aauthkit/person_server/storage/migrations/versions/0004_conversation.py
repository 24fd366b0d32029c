"""Clarification chats, relayed interactions, questions and permissions."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ps_inbox",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("open_key", sa.Text, unique=True),
        sa.Column("handle_hash", sa.Text, nullable=False, unique=True),
        sa.Column("code_hash", sa.Text, nullable=False, unique=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("person_id", sa.Text, sa.ForeignKey("ps_persons.id"), nullable=False),
        sa.Column("agent_issuer", sa.Text, nullable=False),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("agent_name", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("parameters", sa.Text, nullable=False),
        sa.Column("url", sa.Text),
        sa.Column("relayed_code", sa.Text),
        sa.Column("pending_id", sa.Text),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("engaged_at", sa.Double),
        sa.Column("told_at", sa.Double),
        sa.Column("outcome", sa.Text),
        sa.Column("decided_at", sa.Double),
        sa.Column("decided_by", sa.Text),
        sa.Column("answer_text", sa.Text),
        sa.Column("delivered_at", sa.Double),
        sa.Column("polled_at", sa.Double),
    )
    op.create_index("ix_ps_inbox_person_id", "ps_inbox", ["person_id"])
    op.create_index("ix_ps_inbox_agent", "ps_inbox", ["agent_issuer", "agent"])
    op.create_table(
        "ps_permission_rules",
        sa.Column("person_id", sa.Text, sa.ForeignKey("ps_persons.id"), primary_key=True),
        sa.Column("agent_issuer", sa.Text, primary_key=True),
        sa.Column("agent", sa.Text, primary_key=True),
        sa.Column("action", sa.Text, primary_key=True),
        sa.Column("granted", sa.Boolean, nullable=False),
        sa.Column("made_at", sa.Double, nullable=False),
    )
    op.create_table(
        "ps_clarifications",
        sa.Column("pending_id", sa.Text, sa.ForeignKey("ps_pending.id"), primary_key=True),
        sa.Column("round", sa.Integer, primary_key=True),
        sa.Column("question", sa.Text, nullable=False),
        sa.Column("options", sa.Text, nullable=False),
        sa.Column("asked_at", sa.Double, nullable=False),
        sa.Column("answer_by", sa.Double, nullable=False),
        sa.Column("answer", sa.Text),
        sa.Column("answered_at", sa.Double),
        sa.Column("replaced_scope", sa.Text),
    )
    op.create_table(
        "ps_used_codes",
        sa.Column("code_hash", sa.Text, primary_key=True),
        sa.Column("used_at", sa.Double, nullable=False),
    )
