"""Agents of other providers that people let act for them, and nobody, for whom requests wait until somebody comes."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ps_bound_agents",
        sa.Column("agent_issuer", sa.Text, primary_key=True),
        sa.Column("agent", sa.Text, primary_key=True),
        sa.Column("person_id", sa.Text, sa.ForeignKey("ps_persons.id"), nullable=False),
        sa.Column("given_name", sa.Text),
        sa.Column("agent_jkt", sa.Text, nullable=False),
        sa.Column("bound_at", sa.Double, nullable=False),
    )
    op.create_index("uq_ps_bound_agents_agent", "ps_bound_agents", ["agent"], unique=True)
    op.create_index("ix_ps_bound_agents_person", "ps_bound_agents", ["person_id"])
    # Requests and inbox items name a person; what waits for whoever brings its code names this row.
    op.execute("INSERT INTO ps_persons (id, issuer, username, created_at) VALUES ('', '', '', 0)")
