"""When an agent was last used, and its sub-agents, are found by an index."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("ps_issued_tokens", "ps_person_tokens"):
        op.drop_index(f"ix_{table}_agent", table_name=table)
        op.create_index(f"ix_{table}_agent", table, ["agent_issuer", "agent", "issued_at"])
    op.create_index("ix_ps_agent_tokens_parent", "ps_agent_tokens", ["issuer", "parent_agent"])
