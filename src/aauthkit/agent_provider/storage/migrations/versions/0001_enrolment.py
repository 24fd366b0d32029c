"""Agents, their enrolment, and the tickets that let them in."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ap_agents",
        sa.Column("agent_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("stable_jkt", sa.Text, nullable=False, unique=True),
        sa.Column("person_id", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("revoked_at", sa.Double),
    )
    op.create_index("ix_ap_agents_person_id", "ap_agents", ["person_id"])
    op.create_table(
        "ap_agent_resources",
        sa.Column("agent_id", sa.Text, sa.ForeignKey("ap_agents.agent_id"), primary_key=True),
        sa.Column("resource", sa.Text, primary_key=True),
    )
    op.create_table(
        "ap_agent_callbacks",
        sa.Column("agent_id", sa.Text, sa.ForeignKey("ap_agents.agent_id"), primary_key=True),
        sa.Column("origin", sa.Text, primary_key=True),
    )
    op.create_table(
        "ap_registrations",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("handle_hash", sa.Text, nullable=False, unique=True),
        sa.Column("agent_name", sa.Text, nullable=False),
        sa.Column("stable_jkt", sa.Text, nullable=False),
        sa.Column("draft", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("decided_at", sa.Double),
        sa.Column("decided_by", sa.Text),
    )
    op.create_index("ix_ap_registrations_stable_jkt", "ap_registrations", ["stable_jkt"])
    op.create_table(
        "ap_tickets",
        sa.Column("ticket_hash", sa.Text, primary_key=True),
        sa.Column("person_id", sa.Text, nullable=False),
        sa.Column("resources", sa.Text, nullable=False),
        sa.Column("callbacks", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("used_at", sa.Double),
        sa.Column("used_by", sa.Text),
    )
