"""Logos of resources, fetched by this server."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ps_logos",
        sa.Column("url_hash", sa.Text, primary_key=True),
        sa.Column("content_hash", sa.Text),
        sa.Column("media_type", sa.Text),
        sa.Column("content", sa.LargeBinary),
        sa.Column("fetched_at", sa.Double, nullable=False),
    )
    op.create_index("ix_ps_logos_content_hash", "ps_logos", ["content_hash"])
