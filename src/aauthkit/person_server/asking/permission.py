"""The permission endpoint (AAuth-11 §7.7): may the agent do something that no resource governs?

A standing rule of the person answers at once; otherwise they are asked. Everything is written down. All that is said
here is the agent's word, so nothing but the person, or a rule they made for the action by its name, ever grants.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from aauthkit.errors import InteractionRequired, InvalidRequest
from aauthkit.person_server.asking.inbox import Asker, Inbox, StillOpen, Wish
from aauthkit.person_server.asking.interaction import LONGEST_TEXT, capabilities_in, refuse_missions
from aauthkit.person_server.storage.inbox import InboxItem, Kind
from aauthkit.serving import text_member

KINDS = frozenset({Kind.PERMISSION})
LONGEST_ACTION = 256
# What a person can look through; more belongs behind a resource.
_LONGEST_PARAMETERS = 8_192
_DEEPEST = 16


@dataclass(frozen=True, kw_only=True)
class PermissionRequest:
    """The body of `POST /permission`, judged in form."""

    action: str
    description: str = ""
    parameters: str = ""
    """JSON text, laid out for reading."""
    capabilities: frozenset[str] | None = None


@dataclass(frozen=True, kw_only=True)
class Ruled:
    """Answered by a rule of the person."""

    granted: bool


def permission_request(members: Mapping[str, Any]) -> PermissionRequest:
    """Read the body; raises `InvalidRequest`. As at the interaction endpoint it may name `capabilities`."""
    refuse_missions(members)
    return PermissionRequest(
        action=text_member(members, "action", longest=LONGEST_ACTION, required=True) or "",
        description=text_member(members, "description", longest=LONGEST_TEXT, lines=True) or "",
        parameters=_parameters(members.get("parameters")),
        capabilities=capabilities_in(members),
    )


@dataclass(frozen=True, kw_only=True)
class Permissions:
    """Decides by rule, or puts the request into the inbox."""

    inbox: Inbox

    async def request(
        self, asker: Asker, request: PermissionRequest, *, wait: timedelta
    ) -> Ruled | InboxItem | StillOpen:
        """The answer, or that the person has it before them; raises `InteractionRequired` (user_unreachable)."""
        wish = Wish(
            kind=Kind.PERMISSION,
            patience=self.inbox.settings.decision_time,
            subject=request.action,
            description=request.description,
            parameters=request.parameters,
        )
        store = self.inbox.store
        granted = await store.rule(asker.person_id, asker.agent_issuer, asker.agent, request.action)
        if granted is not None:
            await store.record_ruled(self.inbox.new_item(asker, wish), granted=granted)
            return Ruled(granted=granted)
        directs = request.capabilities is not None and "interaction" in request.capabilities
        if not directs and not await self.inbox.reaches(asker.person_id):
            raise InteractionRequired("The person is not signed in here, and the agent does not say it can send them.")
        return await self.inbox.put(asker, wish, wait=wait)


def _parameters(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, dict):
        raise InvalidRequest("The member parameters is a JSON object.")
    try:
        _check_depth(value, _DEEPEST)
        # ASCII only: nothing in it can turn the writing around or hide on the page.
        shown = json.dumps(value, indent=2, allow_nan=False)
        # Half characters are no text: an answer that lists them could not be written.
        json.dumps(value, ensure_ascii=False).encode()
    except ValueError:
        raise InvalidRequest("The member parameters cannot be shown to a person.") from None
    if len(shown) > _LONGEST_PARAMETERS:
        raise InvalidRequest(f"The member parameters has more than {_LONGEST_PARAMETERS} characters.")
    return shown


def _check_depth(value: object, left: int) -> None:
    if left == 0:
        raise ValueError
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        _check_depth(child, left - 1)
