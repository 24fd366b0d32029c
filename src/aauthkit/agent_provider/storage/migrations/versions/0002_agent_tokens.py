"""Agent tokens that were issued, so that they can be revoked."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ap_agent_tokens",
        sa.Column("jti", sa.Text, primary_key=True),
        sa.Column("agent_id", sa.Text, sa.ForeignKey("ap_agents.agent_id"), nullable=False),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("person_server", sa.Text, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
    )
    op.create_index("ix_ap_agent_tokens_agent_id", "ap_agent_tokens", ["agent_id"])
