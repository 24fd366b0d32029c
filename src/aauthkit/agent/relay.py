"""Reaching the person through the person server, before the application is asked to (AAuth-11 §7.6, §11.6.3.2).

Only for a page of a resource's: the resource's pending URL says when the person is done, and the person server says
no more than whether it could reach them.
"""

from __future__ import annotations

from typing import Any

from aauthkit.agent.interaction import Interaction
from aauthkit.agent.person_server import PersonServer
from aauthkit.agent.polling import WAIT_GRACE, is_deferred, pending_url
from aauthkit.agent.steps import Outgoing, Steps
from aauthkit.errors import AAuthError

_MEMBER = "interaction_endpoint"


class Relay:
    """One person server's channel to the person, for one wait at a time."""

    def __init__(self, server: PersonServer, *, max_wait: int, capabilities: tuple[str, ...]) -> None:
        self._server = server
        self._max_wait = max_wait
        self._capabilities = capabilities
        self._pending: str | None = None

    def start(self, interaction: Interaction) -> Steps[bool]:
        """Whether the person server takes it on. Where it does not, for any reason, the agent directs the person."""
        self._pending = None
        try:
            if not (yield from self._server.offers(_MEMBER)):
                return False
            endpoint = yield from self._server.endpoint(_MEMBER)
            response = yield from self._server.send_signed(self._request(endpoint, interaction), WAIT_GRACE)
            if is_deferred(response):
                self._pending = pending_url(response)
        except AAuthError:
            return False
        return response.status in (200, 202)

    def has_failed(self) -> Steps[bool]:
        """Whether the person server has meanwhile given up on reaching the person."""
        if self._pending is None:
            return False
        try:
            response = yield from self._server.send_signed(Outgoing(method="GET", url=self._pending), WAIT_GRACE)
        except AAuthError:
            return False
        if response.status in (202, 429, 503):
            return False
        self._pending = None
        return response.status != 200

    def _request(self, endpoint: str, interaction: Interaction) -> Outgoing:
        members: dict[str, Any] = {"type": "interaction", "url": interaction.url, "code": interaction.code}
        members["max_wait"] = self._max_wait
        if self._capabilities:
            members["capabilities"] = list(self._capabilities)
        return self._server.request(endpoint, members, wait=0)
