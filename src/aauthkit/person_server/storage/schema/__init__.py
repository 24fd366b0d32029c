"""The tables of the person server, as the code of today sees them. Migrations make them; nothing here does."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Double, ForeignKey, Index, LargeBinary, MetaData, Table, Text, text

metadata = MetaData()

# A person is (issuer, subject) of the identity provider. A row without a subject is a placeholder made for somebody
# who never signed in; the first sign-in under that name at that issuer claims it, once. With `disabled_at` an
# administrator of this server ended all that is done for them, until somebody enables them again. The row with the
# empty `id` is nobody: requests of agents that nobody let in yet are theirs until somebody comes with the code.
persons = Table(
    "ps_persons",
    metadata,
    Column("id", Text, primary_key=True),
    Column("issuer", Text, nullable=False),
    Column("subject", Text),
    Column("username", Text, nullable=False),
    Column("email", Text),
    Column("created_at", Double, nullable=False),
    Column("claimed_at", Double),
    Column("roles", Text, nullable=False, server_default="[]"),
    Column("signed_in_at", Double),
    Column("disabled_at", Double),
    Column("disabled_by", Text),
    Index("uq_ps_persons_subject", "issuer", "subject", unique=True),
    Index(
        "uq_ps_persons_placeholder",
        "issuer",
        "username",
        unique=True,
        sqlite_where=text("subject IS NULL"),
        postgresql_where=text("subject IS NULL"),
    ),
)

# Requests that wait for a person. States and moves: person_server/asking/states.py.
#
# `kind` says what is asked for: `auth` (an auth token) or `person` (a person token). `principal` is whom the person
# agrees to let act: the agent, or in a chain of draft 11 the intermediary's identifier. The tokens a request depends on
# stand in columns of their own, so that the revocation of one finds it: the resource token (resource,
# resource_token_jti), the agent token (agent_issuer, agent_token_jti), the upstream token (upstream_issuer,
# upstream_jti); `ended_by` says which of them was revoked. JSON: presented (the presented token), subagent,
# resource_words (what the resource says of itself), agent_words (platform, device and hints, the agent's own),
# resource_interaction (AAuth-11 §7.2.3). `granted_scope` is what of `scope` the person allowed, which the token carries
# (§11.10); NULL until then, and in requests that were approved before a person could choose.
pending_requests = Table(
    "ps_pending",
    metadata,
    Column("id", Text, primary_key=True),
    Column("request_key", Text, nullable=False, unique=True),
    Column("handle_hash", Text, nullable=False, unique=True),
    Column("code_hash", Text, nullable=False, unique=True),
    Column("state", Text, nullable=False),
    Column("person_id", Text, ForeignKey("ps_persons.id"), nullable=False),
    Column("agent_issuer", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("agent_name", Text, nullable=False),
    Column("agent_jkt", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("resource_name", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("asked_scope", Text, nullable=False),
    Column("scope_descriptions", Text, nullable=False),
    Column("justification", Text, nullable=False),
    Column("via", Text, nullable=False),
    Column("upstream", Text),
    Column("draft", Text, nullable=False),
    Column("resource_token_expires_at", Double, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("arrived_at", Double),
    Column("outcome", Text),
    Column("decided_at", Double),
    Column("decided_by", Text),
    Column("answer_text", Text),
    Column("delivered_at", Double),
    Column("polled_at", Double),
    Column("kind", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("resource_token_jti", Text),
    Column("agent_token_jti", Text),
    Column("upstream_issuer", Text),
    Column("upstream_jti", Text),
    Column("presented", Text),
    Column("subagent", Text),
    Column("account", Text),
    Column("prompt", Text, nullable=False),
    Column("capabilities", Text, nullable=False),
    Column("resource_words", Text, nullable=False),
    Column("agent_words", Text, nullable=False),
    Column("resource_interaction", Text),
    Column("ended_by", Text),
    Column("granted_scope", Text),
    Index("ix_ps_pending_person_created", "person_id", "created_at", "id"),
    Index("ix_ps_pending_person_state", "person_id", "state"),
    Index("ix_ps_pending_principal", "agent_issuer", "principal", "state"),
)

# What a person agreed to, scope by scope, so that a fresh resource token does not ask again. `via` is the chain the
# agent acted for, empty when it acted for itself. `single_use` is spent by the next token; without `expires_at` it
# holds until it is taken back; `used_at` is when a token last rested on it. The scope '' stands for acting at the
# resource as the person at all, which a person token lets an agent do; `agent` is a request's principal. What was
# agreed to for one account at the resource (AAuth-11 §11.11) is not agreed to for another; '' is none named.
# `request_id` is the request whose approval it comes from, by which the audit log counts its uses.
consents = Table(
    "ps_consents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("person_id", Text, ForeignKey("ps_persons.id"), nullable=False),
    Column("agent_issuer", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("via", Text, nullable=False),
    Column("single_use", Boolean, nullable=False),
    Column("granted_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("account", Text, nullable=False),
    Column("request_id", Text),
    Column("used_at", Double),
    Index("uq_ps_consents", "person_id", "agent_issuer", "agent", "resource", "scope", "via", "account", unique=True),
    Index("ix_ps_consents_granted", "person_id", "granted_at", "id"),
)

# Scopes a person left out of what they allowed, for as long as they are not asked about them again. Whom and what the
# columns name is said at `ps_consents`.
left_out = Table(
    "ps_left_out",
    metadata,
    Column("person_id", Text, ForeignKey("ps_persons.id"), primary_key=True),
    Column("agent_issuer", Text, primary_key=True),
    Column("agent", Text, primary_key=True),
    Column("resource", Text, primary_key=True),
    Column("scope", Text, primary_key=True),
    Column("via", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("left_out_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
)

# Logos of resources, by the hash of their address; without content it could not be fetched, or was no image.
logos = Table(
    "ps_logos",
    metadata,
    Column("url_hash", Text, primary_key=True),
    Column("content_hash", Text, index=True),
    Column("media_type", Text),
    Column("content", LargeBinary),
    Column("fetched_at", Double, nullable=False),
)

# The one opaque name a person has at a resource (DESIGN §4 rule 13).
directed_subjects = Table(
    "ps_directed_subjects",
    metadata,
    Column("person_id", Text, ForeignKey("ps_persons.id"), primary_key=True),
    Column("resource", Text, primary_key=True),
    Column("sub", Text, nullable=False, unique=True),
)

# What the server accepted and issued, never a token itself (AAuth-11 §11.12.4 "Records"). A cascade walks them:
#
#   ps_agent_tokens.(issuer, jti) ─► .agent ─► ps_person_tokens.agent and ps_issued_tokens.agent
#   ps_person_tokens.jti ─► ps_issued_tokens.presented_jti
#   ps_person_tokens.jti or ps_issued_tokens.jti, with us as issuer ─► ps_person_tokens.(upstream_issuer, upstream_jti)
#
# Each row may be forgotten once `expires_at` and the clock skew have passed.

# Agent tokens, a sub-agent's too, whose request was accepted at a token endpoint.
agent_tokens = Table(
    "ps_agent_tokens",
    metadata,
    Column("issuer", Text, primary_key=True),
    Column("jti", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("parent_agent", Text),
    Column("accepted_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Index("ix_ps_agent_tokens_agent", "issuer", "agent"),
    Index("ix_ps_agent_tokens_parent", "issuer", "parent_agent"),
)

# Person tokens. `agent` asked; `subagent` holds the key when it asked for one of its own. `resource` is the `aud`.
person_tokens = Table(
    "ps_person_tokens",
    metadata,
    Column("jti", Text, primary_key=True),
    Column("agent_issuer", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("agent_token_jti", Text, nullable=False),
    Column("subagent", Text),
    Column("agent_jkt", Text, nullable=False),
    Column("person_id", Text, ForeignKey("ps_persons.id"), nullable=False, index=True),
    Column("resource", Text, nullable=False),
    Column("sub", Text, nullable=False),
    Column("upstream_issuer", Text),
    Column("upstream_jti", Text),
    Column("issued_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Index("ix_ps_person_tokens_agent", "agent_issuer", "agent", "issued_at"),
    Index("ix_ps_person_tokens_upstream", "upstream_issuer", "upstream_jti"),
)

# Auth tokens. Draft 11 fills `presented_jti`: the person token or earlier auth token of ours it was obtained with.
issued_tokens = Table(
    "ps_issued_tokens",
    metadata,
    Column("jti", Text, primary_key=True),
    Column("agent_issuer", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("agent_jkt", Text, nullable=False),
    Column("person_id", Text, ForeignKey("ps_persons.id"), nullable=False, index=True),
    Column("resource", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("act", Text, nullable=False),
    Column("sub", Text),
    Column("upstream_jti", Text),
    Column("draft", Text, nullable=False),
    Column("issued_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("agent_token_jti", Text),
    Column("subagent", Text),
    Column("presented_jti", Text),
    Column("upstream_issuer", Text),
    Column("account", Text),
    Index("ix_ps_issued_tokens_agent", "agent_issuer", "agent", "issued_at"),
    Index("ix_ps_issued_tokens_presented", "presented_jti"),
)

# Which resources an agent asked person tokens for, to bound how many (AAuth-11 §7.1 "Retention"). For an intermediary,
# which names its agents as it likes, `agent` is ''.
asked_resources = Table(
    "ps_asked_resources",
    metadata,
    Column("agent_issuer", Text, primary_key=True),
    Column("agent", Text, primary_key=True),
    Column("resource", Text, primary_key=True),
    Column("asked_at", Double, nullable=False),
)

# Which scopes need asking; with the kind `resource`, at which resources (or `any`) acting as the person needs it.
# person_id '' is the server's own rule; a person's rule goes before it, for their agents.
# `origin` tells a rule of the configuration, replaced at every start, from one somebody made.
consent_rules = Table(
    "ps_consent_rules",
    metadata,
    Column("person_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("required", Boolean, nullable=False),
    Column("origin", Text, nullable=False),
)

# Wrong interaction codes, counted a person.
wrong_codes = Table(
    "ps_wrong_codes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("who", Text, nullable=False, index=True),
    Column("at", Double, nullable=False),
)
