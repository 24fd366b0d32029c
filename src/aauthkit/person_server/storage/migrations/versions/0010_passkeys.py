"""Passkeys, the people who have nothing else to sign in with, and the links by which they come."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ps_passkey_people",
        sa.Column("person_id", sa.Text, sa.ForeignKey("ps_persons.id"), primary_key=True),
        sa.Column("username", sa.Text, nullable=False, unique=True),
        sa.Column("administrator", sa.Boolean, nullable=False),
        sa.Column("joined_at", sa.Double, nullable=False),
    )
    op.create_table(
        "ps_passkeys",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("person_id", sa.Text, sa.ForeignKey("ps_persons.id"), nullable=False),
        sa.Column("credential_id", sa.Text, nullable=False, unique=True),
        sa.Column("public_key", sa.Text, nullable=False),
        sa.Column("sign_count", sa.BigInteger, nullable=False),
        sa.Column("transports", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("used_at", sa.Double),
    )
    op.create_index("ix_ps_passkeys_person_id", "ps_passkeys", ["person_id"])
    op.create_table(
        "ps_invitations",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("token_hash", sa.Text, nullable=False, unique=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("person_id", sa.Text, sa.ForeignKey("ps_persons.id")),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("used_at", sa.Double),
    )
    op.create_table(
        "ps_used_challenges",
        sa.Column("challenge_hash", sa.Text, primary_key=True),
        sa.Column("expires_at", sa.Double, nullable=False),
    )
