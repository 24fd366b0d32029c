"""Sessions have a name, a device and a time last seen, so that their person can look at them and end them."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    # Whoever is signed in stays so: the rows are few and live for hours.
    kept = connection.execute(sa.text("SELECT token_hash, person_id, created_at, expires_at FROM ps_sessions")).all()
    op.drop_table("ps_sessions")
    sessions = op.create_table(
        "ps_sessions",
        sa.Column("token_hash", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("person_id", sa.Text, sa.ForeignKey("ps_persons.id"), nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("device", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("authenticated_at", sa.Double, nullable=False),
        sa.Column("seen_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("latest_at", sa.Double, nullable=False),
    )
    op.create_index("ix_ps_sessions_person_id", "ps_sessions", ["person_id"])
    rows = [
        {
            "token_hash": row.token_hash,
            "id": secrets.token_hex(16),
            "person_id": row.person_id,
            "method": "identity provider",
            "device": "an unknown browser",
            "created_at": row.created_at,
            "authenticated_at": row.created_at,
            "seen_at": row.created_at,
            "expires_at": row.expires_at,
            "latest_at": row.expires_at,
        }
        for row in kept
    ]
    if rows:
        op.bulk_insert(sessions, rows)
