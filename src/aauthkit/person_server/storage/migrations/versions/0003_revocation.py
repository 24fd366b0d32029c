"""Revocations received, and those still to be delivered."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ps_revocations",
        sa.Column("issuer", sa.Text, primary_key=True),
        sa.Column("jti", sa.Text, primary_key=True),
        sa.Column("recorded_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
    )
    op.create_index("ix_ps_revocations_expires_at", "ps_revocations", ["expires_at"])
    op.create_table(
        "ps_revoked_agents",
        sa.Column("agent_issuer", sa.Text, primary_key=True),
        sa.Column("agent", sa.Text, primary_key=True),
        sa.Column("revoked_at", sa.Double, nullable=False),
    )
    op.create_table(
        "ps_cascades",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("handle_hash", sa.Text, nullable=False, unique=True),
        sa.Column("person_id", sa.Text),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("collected_at", sa.Double),
    )
    op.create_index("uq_ps_cascades", "ps_cascades", ["kind", "issuer", "subject"], unique=True)
    op.create_table(
        "ps_deliveries",
        sa.Column("recipient", sa.Text, primary_key=True),
        sa.Column("jti", sa.Text, primary_key=True),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("asked_at", sa.Double, nullable=False),
        sa.Column("tried_at", sa.Double),
        sa.Column("next_at", sa.Double, nullable=False),
        sa.Column("lease", sa.Text),
        sa.Column("leased_until", sa.Double, nullable=False),
    )
    op.create_index("ix_ps_deliveries_due", "ps_deliveries", ["state", "next_at"])
    op.create_table(
        "ps_cascade_deliveries",
        sa.Column("cascade_id", sa.Text, sa.ForeignKey("ps_cascades.id"), primary_key=True),
        sa.Column("recipient", sa.Text, primary_key=True),
        sa.Column("jti", sa.Text, primary_key=True),
    )
