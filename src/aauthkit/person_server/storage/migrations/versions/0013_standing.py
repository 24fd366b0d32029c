"""Roles of people, whether they still stand at the identity provider, and its side of their sessions."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("ps_persons", sa.Column("roles", sa.Text, nullable=False, server_default="[]"))
    op.create_table(
        "ps_standings",
        sa.Column("person_id", sa.Text, sa.ForeignKey("ps_persons.id"), primary_key=True),
        sa.Column("refresh_token", sa.Text),
        sa.Column("looked_at", sa.Double, nullable=False),
        sa.Column("asking_until", sa.Double, nullable=False),
        sa.Column("lapsed_at", sa.Double),
    )
    op.create_table(
        "ps_provider_sessions",
        sa.Column("token_hash", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("sid_hash", sa.Text),
        sa.Column("id_token", sa.Text, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
    )
    for column in ("subject", "sid_hash"):
        op.create_index(f"ix_ps_provider_sessions_{column}", "ps_provider_sessions", [column])
