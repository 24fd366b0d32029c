"""What a person's pages list is found by an index, the newest first, and what waits by its state."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_INDEXES = (
    ("ix_ps_pending_person_created", "ps_pending", ("person_id", "created_at", "id")),
    ("ix_ps_pending_person_state", "ps_pending", ("person_id", "state")),
    ("ix_ps_pending_principal", "ps_pending", ("agent_issuer", "principal", "state")),
    ("ix_ps_consents_granted", "ps_consents", ("person_id", "granted_at", "id")),
    ("ix_ps_inbox_person_created", "ps_inbox", ("person_id", "created_at")),
    ("ix_ps_inbox_person_state", "ps_inbox", ("person_id", "state")),
)


def upgrade() -> None:
    for table in ("ps_pending", "ps_inbox"):
        op.drop_index(f"ix_{table}_person_id", table_name=table)
    for name, table, columns in _INDEXES:
        op.create_index(name, table, list(columns))
