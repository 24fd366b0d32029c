"""What a person would see if they looked now, as far as it can change under an open page; and what differs from before.

A view names things by kind and identifier and says nothing of what is in them. It speaks no HTTP.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from aauthkit.person_server.asking.states import State
from aauthkit.person_server.ports import AgentDirectory
from aauthkit.person_server.storage.views import ViewStore

_AGENTS_TURN = "agent"


class Kind(StrEnum):
    """What changed. `view` is said of everything at once, to whoever looked too long ago to be told more."""

    REQUEST = "request"
    INBOX = "inbox"
    ENROLMENT = "enrolment"
    VIEW = "view"


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing that came, went, or is another than it was."""

    kind: Kind
    id: str


@dataclass(frozen=True)
class View:
    """What waits, each with a word that is another when the page about it has to be."""

    parts: Mapping[Change, str]

    @cached_property
    def version(self) -> str:
        """Equal for equal views, on every replica."""
        listed = sorted([part.kind, part.id, turn] for part, turn in self.parts.items())
        return hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:32]

    def waiting(self, kind: Kind) -> int:
        """How many of the kind wait for the person; what the agent was asked about waits for the agent."""
        return sum(part.kind is kind and turn != _AGENTS_TURN for part, turn in self.parts.items())

    @property
    def all_waiting(self) -> int:
        return sum(self.waiting(kind) for kind in Kind)

    def changes_since(self, earlier: View) -> list[Change]:
        either = {**self.parts, **earlier.parts}
        return sorted(
            (part for part in either if self.parts.get(part) != earlier.parts.get(part)),
            key=lambda part: (part.kind, part.id),
        )


class Views:
    """Looks."""

    def __init__(self, store: ViewStore, directory: AgentDirectory) -> None:
        self._store = store
        self._directory = directory

    async def look(self, person_id: str) -> View:
        parts: dict[Change, str] = {}
        for request_id, state, asks_for in await self._store.open_requests(person_id):
            # That the person opened it is not news to them, and would make the page that opened it look old.
            turn = _AGENTS_TURN if state == State.CLARIFYING else f"person {asks_for}"
            parts[Change(kind=Kind.REQUEST, id=request_id)] = turn
        for item_id, state in await self._store.open_items(person_id):
            parts[Change(kind=Kind.INBOX, id=item_id)] = state
        for enrolment in await self._directory.waiting_enrolments(person_id):
            parts[Change(kind=Kind.ENROLMENT, id=enrolment.id)] = "person"
        return View(parts)
