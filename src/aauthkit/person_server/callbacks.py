"""Where a browser may be sent after a decision: an origin registered for an agent of the request, or nowhere."""

from __future__ import annotations

from urllib.parse import urlsplit

from aauthkit.identifiers import origin_of
from aauthkit.person_server.ports import AgentDirectory
from aauthkit.person_server.storage import PendingRequest

_LONGEST = 2048


async def accepted_callback(callback: object, request: PendingRequest, directory: AgentDirectory) -> str | None:
    """The callback when its origin is registered; None otherwise, and then nobody is redirected.

    In a chain the person was sent by the first agent, so the origins of every agent of the chain count.
    """
    if not isinstance(callback, str) or not _is_plain(callback):
        return None
    for agent_id in (request.agent, *(request.upstream.agents if request.upstream else ())):
        known = await directory.agent(agent_id)
        if known is not None and not known.revoked and origin_of(callback) in known.callback_origins:
            return callback
    return None


def _is_plain(url: str) -> bool:
    if not url.isascii() or not url.isprintable() or len(url) > _LONGEST or "\\" in url or " " in url:
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
