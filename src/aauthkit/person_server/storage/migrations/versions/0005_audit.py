"""The audit log and the end of its chain."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TEXT = ("kind", "outcome", "person_id", "person", "actor", "agent", "agent_name", "resource", "resource_name")
_MORE_TEXT = ("scope", "scope_words", "via", "account", "token", "jti", "consent")
_INDEXES = {"at": [], "person": ["person_id"], "agent": ["agent"], "resource": ["resource"], "kind": ["kind"]}


def upgrade() -> None:
    op.create_table(
        "ps_audit",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in (*_TEXT, *_MORE_TEXT)),
        sa.Column("until", sa.BigInteger),
        sa.Column("most_uses", sa.Integer),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("detail", "words", "hash", "seal")),
    )
    for name, columns in _INDEXES.items():
        op.create_index(f"ix_ps_audit_{name}", "ps_audit", [*columns, "at", "seq"])
    op.create_index("ix_ps_audit_consent", "ps_audit", ["consent", "kind"])
    head = op.create_table(
        "ps_audit_head",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )
    op.bulk_insert(head, [{"id": 1, "seq": 0, "hash": "0" * 64}])
