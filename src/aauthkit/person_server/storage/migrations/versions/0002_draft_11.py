"""Person tokens, presented tokens, sub-agents: what draft 11 adds to requests and records."""

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""
