"""Which request a consent comes from."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("ps_consents", sa.Column("request_id", sa.Text))
