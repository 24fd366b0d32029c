"""A sign-in that is under way is kept by the browser alone."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Whoever is at the identity provider in this moment begins again.
    op.drop_table("ps_logins")
