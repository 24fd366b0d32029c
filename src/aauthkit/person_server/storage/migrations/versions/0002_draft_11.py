"""Person tokens, presented tokens, sub-agents: what draft 11 adds to requests and records."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in (
        sa.Column("kind", sa.Text, nullable=False, server_default="auth"),
        sa.Column("principal", sa.Text, nullable=False, server_default=""),
        sa.Column("resource_token_jti", sa.Text),
        sa.Column("agent_token_jti", sa.Text),
        sa.Column("upstream_issuer", sa.Text),
        sa.Column("upstream_jti", sa.Text),
        sa.Column("presented", sa.Text),
        sa.Column("subagent", sa.Text),
        sa.Column("account", sa.Text),
        sa.Column("prompt", sa.Text, nullable=False, server_default=""),
        sa.Column("capabilities", sa.Text, nullable=False, server_default="[]"),
        sa.Column("resource_words", sa.Text, nullable=False, server_default="{}"),
        sa.Column("agent_words", sa.Text, nullable=False, server_default="{}"),
        sa.Column("resource_interaction", sa.Text),
        sa.Column("ended_by", sa.Text),
    ):
        op.add_column("ps_pending", column)
    # Requests that wait while the server is brought up to date are their agents' own, as all of them were.
    op.execute("UPDATE ps_pending SET principal = agent")
    for column in (
        sa.Column("agent_token_jti", sa.Text),
        sa.Column("subagent", sa.Text),
        sa.Column("presented_jti", sa.Text),
        sa.Column("upstream_issuer", sa.Text),
        sa.Column("account", sa.Text),
    ):
        op.add_column("ps_issued_tokens", column)
    op.create_index("ix_ps_issued_tokens_agent", "ps_issued_tokens", ["agent_issuer", "agent"])
    op.create_index("ix_ps_issued_tokens_presented", "ps_issued_tokens", ["presented_jti"])
    op.add_column("ps_consents", sa.Column("account", sa.Text, nullable=False, server_default=""))
    op.drop_index("uq_ps_consents", "ps_consents")
    op.create_index(
        "uq_ps_consents",
        "ps_consents",
        ["person_id", "agent_issuer", "agent", "resource", "scope", "via", "account"],
        unique=True,
    )
    op.create_table(
        "ps_agent_tokens",
        sa.Column("issuer", sa.Text, primary_key=True),
        sa.Column("jti", sa.Text, primary_key=True),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("parent_agent", sa.Text),
        sa.Column("accepted_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
    )
    op.create_index("ix_ps_agent_tokens_agent", "ps_agent_tokens", ["issuer", "agent"])
    op.create_table(
        "ps_person_tokens",
        sa.Column("jti", sa.Text, primary_key=True),
        sa.Column("agent_issuer", sa.Text, nullable=False),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("agent_token_jti", sa.Text, nullable=False),
        sa.Column("subagent", sa.Text),
        sa.Column("agent_jkt", sa.Text, nullable=False),
        sa.Column("person_id", sa.Text, sa.ForeignKey("ps_persons.id"), nullable=False),
        sa.Column("resource", sa.Text, nullable=False),
        sa.Column("sub", sa.Text, nullable=False),
        sa.Column("upstream_issuer", sa.Text),
        sa.Column("upstream_jti", sa.Text),
        sa.Column("issued_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
    )
    op.create_index("ix_ps_person_tokens_person_id", "ps_person_tokens", ["person_id"])
    op.create_index("ix_ps_person_tokens_agent", "ps_person_tokens", ["agent_issuer", "agent"])
    op.create_index("ix_ps_person_tokens_upstream", "ps_person_tokens", ["upstream_issuer", "upstream_jti"])
    op.create_table(
        "ps_asked_resources",
        sa.Column("agent_issuer", sa.Text, primary_key=True),
        sa.Column("agent", sa.Text, primary_key=True),
        sa.Column("resource", sa.Text, primary_key=True),
        sa.Column("asked_at", sa.Double, nullable=False),
    )
