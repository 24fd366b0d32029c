"""A request as JSON, for those who decide without the page: the same as the page shows (CONTRACT §6)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aauthkit.describing import TEXT, TIME, TRUTH, list_of, map_of, members, or_null, words
from aauthkit.keys import fingerprint
from aauthkit.person_server.asking.durations import Remember
from aauthkit.person_server.asking.introducing import Introduction
from aauthkit.person_server.asking.presenting import Presentation, ShownAgent
from aauthkit.person_server.asking.states import OPEN, State
from aauthkit.person_server.storage import AUTH, PERSON, PendingRequest

# A request in a list.
REQUEST = members(
    {
        "pending_id": TEXT,
        "type": words(AUTH, PERSON),
        "agent_name": TEXT,
        "agent_id": TEXT,
        "on_behalf_of": list_of(TEXT),
        "resource_name": TEXT,
        "resource_iss": TEXT,
        "account": or_null(TEXT),
        "scopes": map_of(TEXT),
        "asked_scopes": list_of(TEXT),
        "granted_scopes": or_null(list_of(TEXT)),
        "justification": TEXT,
        "status": TEXT,
        "created_at": TIME,
        "expires_at": TIME,
    }
)
_AGENT = members(
    {
        "agent_id": TEXT,
        "agent_name": TEXT,
        "given_name": or_null(TEXT),
        "provider": or_null(TEXT),
        "known_since": or_null(TIME),
    }
)
# What is asked before the request: whether an agent of another provider acts for the person at all.
_INTRODUCTION = members(
    {
        "agent_id": TEXT,
        "provider": TEXT,
        "provider_name": TEXT,
        "provider_pinned": TRUTH,
        "provider_trusted": TRUTH,
        "jkt": TEXT,
        "fingerprint": TEXT,
    }
)
# A request to decide about.
PRESENTATION = members(
    {
        **REQUEST["properties"],
        "code": TEXT,
        "seen": TEXT,
        "agent": _AGENT,
        "acting_for": list_of(_AGENT),
        "resource_description": TEXT,
        "resource_logo": or_null(TEXT),
        "resource_verified": members({"metadata": TRUTH, "signature": TRUTH, "encrypted": TRUTH}),
        "discloses": map_of(TEXT),
        "asked_every_time": list_of(TEXT),
        "introduction": or_null(_INTRODUCTION),
        "durations": list_of(words(*Remember)),
        "default_duration": words(*Remember),
    }
)


def request_json(found: PendingRequest) -> dict[str, Any]:
    return {
        "pending_id": found.id,
        "type": found.kind,
        "agent_name": found.agent_name,
        "agent_id": found.agent,
        "on_behalf_of": list(found.upstream.agents) if found.upstream else [],
        "resource_name": found.resource_name,
        "resource_iss": found.resource,
        "account": found.account,
        "scopes": dict(found.scope_descriptions),
        "asked_scopes": found.asked_scope.split(),
        "granted_scopes": None if found.granted_scope is None else found.granted_scope.split(),
        "justification": found.justification,
        "status": "pending" if found.state in OPEN else str(found.outcome or State.EXPIRED),
        "created_at": when(found.created_at),
        "expires_at": when(found.expires_at),
    }


def presentation_json(shown: Presentation, *, logo: str | None = None) -> dict[str, Any]:
    """A request to decide about; ``seen`` goes back with the decision."""
    request = shown.request
    return request_json(request) | {
        "code": shown.code,
        "seen": shown.version,
        "agent": _agent(shown.agent),
        "acting_for": [_agent(agent) for agent in shown.acting_for],
        "resource_description": request.resource_words.description,
        "resource_logo": logo,
        "resource_verified": {
            "metadata": shown.verified.metadata,
            "signature": shown.verified.signature,
            "encrypted": shown.verified.encrypted,
        },
        "discloses": {scope.scope: scope.discloses for scope in shown.scopes if scope.discloses},
        "asked_every_time": [scope.scope for scope in shown.scopes if scope.every_time],
        "introduction": None if shown.introduction is None else _introduction(shown.introduction),
        "durations": [str(choice) for choice in shown.durations],
        "default_duration": str(shown.preselected),
    }


def _introduction(shown: Introduction) -> dict[str, Any]:
    return {
        "agent_id": shown.agent_id,
        "provider": shown.provider,
        "provider_name": shown.provider_name,
        "provider_pinned": shown.pinned,
        "provider_trusted": shown.trusted,
        "jkt": shown.jkt,
        "fingerprint": fingerprint(shown.jkt),
    }


def _agent(agent: ShownAgent) -> dict[str, Any]:
    return {
        "agent_id": agent.agent_id,
        "agent_name": agent.name,
        "given_name": agent.given_name,
        "provider": agent.provider,
        "known_since": None if agent.known_since is None else when(agent.known_since),
    }


def when(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec="seconds")
