"""Where a browser may be sent after a decision: an origin registered for an agent of the request, or nowhere.

What could not be completed is told there, too (AAuth-11 §7.3.1).
"""

from __future__ import annotations

from types import MappingProxyType
from urllib.parse import urlsplit

from aauthkit.identifiers import origin_of
from aauthkit.person_server.asking.states import State
from aauthkit.person_server.ports import AgentDirectory
from aauthkit.person_server.storage import PendingRequest

_LONGEST = 2048
# Registered without a port, these stand for any: a program beside the browser is given its port when it starts. No
# other name of this machine is among them (AAuth-11 §11.1.2).
_ON_THIS_MACHINE = frozenset({"http://localhost", "http://127.0.0.1"})
# How a request ended, in the words of AAuth-11 Table 6. What ended for a reason of its own (withdrawn by the agent,
# failed by wrong codes, revoked) has none there: to whoever waits in the browser the interaction ended before its time.
_ERRORS = MappingProxyType(
    {State.DENIED: "access_denied", State.ABANDONED: "user_abandoned", State.BROKEN: "server_error"}
)
# What the page of a resource tells of itself (§7.2.3), and what becomes of the request by that.
_OUTCOMES = MappingProxyType(
    {
        "access_denied": State.DENIED,
        "user_abandoned": State.ABANDONED,
        "interaction_expired": State.EXPIRED,
        "server_error": State.BROKEN,
        "temporarily_unavailable": State.BROKEN,
    }
)


async def accepted_callback(callback: object, request: PendingRequest, directory: AgentDirectory) -> str | None:
    """The callback when its origin is registered; None otherwise, and then nobody is redirected.

    In a chain the person was sent by the first agent, so the origins of every agent of the chain count.
    """
    if not isinstance(callback, str) or not _is_plain(callback):
        return None
    for agent_id in (request.agent, *(request.upstream.agents if request.upstream else ())):
        known = await directory.agent(agent_id)
        if known is not None and not known.revoked and _is_registered(callback, known.callback_origins):
            return callback
    return None


def callback_error(outcome: State | None) -> str | None:
    """The `error` that tells how a request ended; None when it was approved."""
    if outcome is State.APPROVED:
        return None
    return _ERRORS.get(outcome, "interaction_expired") if outcome is not None else "interaction_expired"


def outcome_of_error(error: str) -> State:
    """What an `error` in our own callback ends a request with; a word nobody agreed on is the sender's failure."""
    return _OUTCOMES.get(error, State.BROKEN)


def with_error(callback: str, error: str | None) -> str:
    """The callback as the browser is sent there: its query kept, the error added."""
    if error is None:
        return callback
    parts = urlsplit(callback)
    query = f"{parts.query}&error={error}" if parts.query else f"error={error}"
    return parts._replace(query=query).geturl()


def _is_registered(callback: str, origins: frozenset[str]) -> bool:
    parts = urlsplit(callback)
    return origin_of(callback) in origins or f"{parts.scheme}://{parts.hostname}" in origins & _ON_THIS_MACHINE


def _is_plain(url: str) -> bool:
    if not url.isascii() or not url.isprintable() or len(url) > _LONGEST or "\\" in url or " " in url:
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
