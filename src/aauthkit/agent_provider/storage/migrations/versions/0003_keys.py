"""An agent has several keys, a name of its person's, and an enrolment a code; tickets can be listed and withdrawn."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("ap_agents", sa.Column("given_name", sa.Text))
    op.create_table(
        "ap_agent_keys",
        sa.Column("stable_jkt", sa.Text, primary_key=True),
        sa.Column("agent_id", sa.Text, sa.ForeignKey("ap_agents.agent_id"), nullable=False),
        sa.Column("added_at", sa.Double, nullable=False),
        sa.Column("retired_at", sa.Double),
    )
    op.create_index("ix_ap_agent_keys_agent_id", "ap_agent_keys", ["agent_id"])
    op.execute(
        "INSERT INTO ap_agent_keys (stable_jkt, agent_id, added_at) "
        "SELECT stable_jkt, agent_id, created_at FROM ap_agents"
    )
    op.add_column("ap_registrations", sa.Column("code_hash", sa.Text))
    op.add_column("ap_registrations", sa.Column("claimed_by", sa.Text))
    op.create_index("uq_ap_registrations_code_hash", "ap_registrations", ["code_hash"], unique=True)
    op.add_column("ap_agent_tokens", sa.Column("stable_jkt", sa.Text))
    # Until now an agent had one key, so its tokens were issued to that.
    op.execute(
        "UPDATE ap_agent_tokens SET stable_jkt = "
        "(SELECT stable_jkt FROM ap_agents WHERE ap_agents.agent_id = ap_agent_tokens.agent_id)"
    )
    op.add_column("ap_tickets", sa.Column("id", sa.Text))
    op.add_column("ap_tickets", sa.Column("made_by", sa.Text))
    op.add_column("ap_tickets", sa.Column("revoked_at", sa.Double))
    # Part of the hash of 192 random bits names a ticket and helps nobody to one.
    op.execute("UPDATE ap_tickets SET id = substr(ticket_hash, 1, 32)")
    op.create_index("uq_ap_tickets_id", "ap_tickets", ["id"], unique=True)
    op.create_index("ix_ap_tickets_person_id", "ap_tickets", ["person_id"])
