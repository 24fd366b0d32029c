"""People whom an administrator disabled, when they last signed in, and agent providers that were trusted here."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("ps_persons", sa.Column("signed_in_at", sa.Double))
    op.add_column("ps_persons", sa.Column("disabled_at", sa.Double))
    op.add_column("ps_persons", sa.Column("disabled_by", sa.Text))
    # What is known of before: the sessions that are open.
    op.execute(
        "UPDATE ps_persons SET signed_in_at ="
        " (SELECT max(created_at) FROM ps_sessions WHERE ps_sessions.person_id = ps_persons.id)"
    )
    op.create_table(
        "ps_trusted_providers",
        sa.Column("issuer", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("pinned", sa.Text),
        sa.Column("looked_at", sa.Double, nullable=False),
        sa.Column("looked_by", sa.Text, nullable=False),
    )
