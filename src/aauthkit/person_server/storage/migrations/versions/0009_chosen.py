"""People choose scopes and for how long: what was granted, what was left out, and agreements without an end."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("ps_pending", sa.Column("granted_scope", sa.Text))
    with op.batch_alter_table("ps_consents") as batch:
        batch.alter_column("expires_at", existing_type=sa.Double, nullable=True)
        batch.add_column(sa.Column("used_at", sa.Double))
    op.create_table(
        "ps_left_out",
        sa.Column("person_id", sa.Text, sa.ForeignKey("ps_persons.id"), primary_key=True),
        sa.Column("agent_issuer", sa.Text, primary_key=True),
        sa.Column("agent", sa.Text, primary_key=True),
        sa.Column("resource", sa.Text, primary_key=True),
        sa.Column("scope", sa.Text, primary_key=True),
        sa.Column("via", sa.Text, primary_key=True),
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("left_out_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
    )
