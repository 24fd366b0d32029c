"""The inbox: what agents put before their person outside of token requests, from the first 202 to the one answer.

Relayed interactions and payments, questions (AAuth-11 §7.6) and permissions (§7.7) have one life, that of
`states.py`; what is particular to each stands in `interaction.py` and `permission.py`. It speaks no HTTP.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from aauthkit.clock import Clock
from aauthkit.codes import code_hash, normalise_code
from aauthkit.errors import (
    AAuthError,
    Abandoned,
    Conflict,
    Denied,
    Expired,
    Gone,
    InternalError,
    InvalidCode,
    NotFound,
    RateLimited,
    Revoked,
    SlowDown,
)
from aauthkit.person_server.asking.attempts import CodeAttempts, TooManyAttempts
from aauthkit.person_server.asking.states import OPEN, State
from aauthkit.person_server.asking.waiting import Changes, TooManyWaiters
from aauthkit.person_server.codes import Secrets, hashed
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.storage import DecisionStore
from aauthkit.person_server.storage.inbox import RELAYED, InboxItem, InboxStore, Kind, NewItem, TooManyOpen

_HANDLE = re.compile(r"[0-9a-f]{64}")
# AAuth-11 §11.8.3: whoever is told to slow down adds five seconds.
_SLOW_DOWN_SECONDS = 5
# More than one agent has to say to a person at a time; without it one agent could bury the page.
_MOST_OPEN = 20

_REFUSALS: Mapping[State, tuple[type[AAuthError], str]] = {
    State.DENIED: (Denied, "The person declined."),
    State.EXPIRED: (Expired, "The person did not answer in time."),
    State.ABANDONED: (Abandoned, "The person opened this and did not finish."),
    State.FAILED: (InvalidCode, "Too many wrong codes were tried; this is over."),
    State.BROKEN: (InternalError, "The page of the resource failed."),
    State.REVOKED: (Revoked, "What this depends on was revoked."),
    State.WITHDRAWN: (Gone, "The agent that had asked for this withdrew it."),
}


@dataclass(frozen=True, kw_only=True)
class Asker:
    """The agent that asks, and the one person it is bound to."""

    agent_issuer: str
    agent: str
    name: str
    person_id: str

    def asked(self, item: InboxItem) -> bool:
        return (item.agent_issuer, item.agent) == (self.agent_issuer, self.agent)


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What an agent puts before its person, already judged."""

    kind: Kind
    patience: timedelta
    """How long it stays open."""
    subject: str = ""
    description: str = ""
    parameters: str = ""
    url: str | None = None
    code: str | None = None
    pending_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class StillOpen:
    """The agent polls on. ``reached`` is False when nobody is signed in who could see it here."""

    item: InboxItem
    interacting: bool
    reached: bool


@dataclass(frozen=True, kw_only=True)
class Inbox:
    """Keeps what waits and answers polls; every dependency is handed in."""

    settings: PersonServerSettings
    store: InboxStore
    decisions: DecisionStore
    attempts: CodeAttempts
    changes: Changes
    secrets_of_server: Secrets
    clock: Clock

    # The agent's side

    async def put(self, asker: Asker, wish: Wish, *, wait: timedelta) -> InboxItem | StillOpen:
        """Put it before the person; the answer when it comes within `wait`. The same wish twice is one."""
        try:
            item = await self.store.add(self.new_item(asker, wish), most_open=_MOST_OPEN)
        except TooManyOpen:
            raise RateLimited(
                "Too much of this agent waits for its person; wait for answers.", retry_after=60
            ) from None
        self.changes.announce(item.person_id)
        return await self._outcome(item, wait)

    def new_item(self, asker: Asker, wish: Wish) -> NewItem:
        item_id = secrets.token_hex(16)
        return NewItem(
            id=item_id,
            kind=wish.kind,
            open_key=_open_key(asker, wish),
            handle_hash=hashed(self.secrets_of_server.handle(item_id)),
            code_hash=code_hash(self.secrets_of_server.code(item_id)),
            person_id=asker.person_id,
            agent_issuer=asker.agent_issuer,
            agent=asker.agent,
            agent_name=asker.name,
            expires_at=self.clock.now() + wish.patience.total_seconds(),
            subject=wish.subject,
            description=wish.description,
            parameters=wish.parameters,
            url=wish.url,
            relayed_code=wish.code,
            pending_id=wish.pending_id,
        )

    async def poll(
        self, asker: Asker, handle: str, *, kinds: frozenset[Kind], wait: timedelta
    ) -> InboxItem | StillOpen:
        """The item once it is answered, the one time it is; raises what the refusals above say, 410 after that."""
        item = await self.store.by_handle(hashed(handle)) if _HANDLE.fullmatch(handle) else None
        # §13.2: the agent's identity on every poll; another agent's URL looks like none.
        if item is None or item.kind not in kinds or not asker.asked(item):
            raise NotFound("There is no such request for this agent.")
        if item.is_open and not wait:
            # Half the advertised interval: clocks and networks are forgiven, a busy loop is not.
            not_since = self.clock.now() - self.settings.poll_interval.total_seconds() / 2
            if not await self.store.polled(item.id, not_since=not_since):
                raise SlowDown("Polling too fast; wait longer, or send Prefer: wait.", retry_after=_SLOW_DOWN_SECONDS)
        return await self._outcome(item, wait)

    async def reaches(self, person_id: str) -> bool:
        """Whether there is a channel to the person: somebody signed in sees what is new."""
        return await self.store.has_session(person_id)

    async def _outcome(self, item: InboxItem, wait: timedelta) -> InboxItem | StillOpen:
        item = await self._now(item, min(wait, self.settings.longest_wait))
        if item.is_open:
            if _sent_on(item):
                await self.store.tell(item.id)
            reached = await self.reaches(item.person_id)
            return StillOpen(item=item, interacting=item.state is State.INTERACTING, reached=reached)
        if not await self.store.deliver(item.id, answered=item.state):
            raise Gone("This has had its answer; ask anew.")
        if item.state is State.APPROVED or (item.state is State.DENIED and item.kind is Kind.PERMISSION):
            return item
        refusal, sentence = _REFUSALS[item.state]
        raise refusal(sentence)

    async def _now(self, item: InboxItem, wait: timedelta) -> InboxItem:
        """The item as it is, or as it becomes within `wait`."""
        if item.pending_id is not None:
            return await self._followed(item, item.pending_id, wait)
        if _sent_on(item) and item.told_at is not None:
            # §7.6.2: the agent heard that the person is at it, and this server can do no more for the resource.
            return await self._concluded(item, State.APPROVED)
        if not wait or not item.is_open:
            return item
        with _one_wait_at_a_time():
            return await self.changes.wait(item, self.store.by_id, longest=wait)

    async def _followed(self, item: InboxItem, pending_id: str, wait: timedelta) -> InboxItem:
        """§7.6.2: where the page is ours, the relay tells what becomes of the request the page is about."""
        request = await self.decisions.by_id(pending_id)
        if request is not None and wait and item.is_open:
            with _one_wait_at_a_time():
                request = await self.changes.wait(request, self.decisions.by_id, longest=wait)
        if request is not None and request.arrived_at is not None and item.state is State.WAITING:
            await self.store.engage(item.id)
        if request is None or request.state not in OPEN:
            outcome = request.outcome or request.state if request is not None else State.EXPIRED
            return await self._concluded(item, outcome)
        return await self.store.by_id(item.id) or item

    async def _concluded(self, item: InboxItem, outcome: State) -> InboxItem:
        await self.store.conclude(item.id, outcome)
        return await self.store.by_id(item.id) or item

    # The person's side

    async def arrive(self, person_id: str, typed_code: str) -> InboxItem:
        """The item of a code, which is used up by this. Raises `NotFound`, `InvalidCode`, `Expired`, `RateLimited`."""
        code = normalise_code(typed_code)
        try:
            async with self.attempts.attempt(person_id):
                item = await self.store.by_code(code_hash(code)) if code is not None else None
                if item is None or item.person_id != person_id:
                    raise NotFound("There is nothing with this code.")
        except TooManyAttempts as error:
            raise RateLimited("Too many wrong codes; wait ten minutes.", retry_after=error.retry_after) from None
        if item.outcome is State.EXPIRED:
            raise Expired("This is over: nobody answered in time.")
        if not item.is_open or not await self.attempts.use(item.code_hash):
            raise InvalidCode("This code was used already.")
        return item

    async def own(self, person_id: str, item_id: str) -> InboxItem:
        item = await self.store.by_id(item_id)
        if item is None or item.person_id != person_id:
            raise NotFound("There is no such thing in your inbox.")
        return item

    async def engage(self, person_id: str, item_id: str) -> InboxItem:
        """The person goes where the relay leads; again, if they like, while it is open."""
        item = await self._open_one(person_id, item_id)
        if item.kind not in RELAYED:
            raise Conflict("There is nowhere to go for this.")
        if item.state is State.WAITING and await self.store.engage(item.id):
            self.changes.announce(item.id, person_id)
        return item

    async def decide(
        self, person_id: str, item_id: str, *, granted: bool, answer_text: str | None, always: bool = False
    ) -> InboxItem:
        """Answer, grant or refuse, once; raises `Conflict` when that is no longer possible."""
        item = await self._open_one(person_id, item_id)
        decided = await self.store.decide(
            item.id, granted=granted, decided_by=person_id, answer_text=answer_text, always=always
        )
        if not decided:
            raise Conflict("This was answered a moment ago; an answer is final.")
        self.changes.announce(item.id, person_id)
        return item

    async def _open_one(self, person_id: str, item_id: str) -> InboxItem:
        item = await self.own(person_id, item_id)
        if not item.is_open:
            raise Conflict("This is over, or was answered already; an answer is final.")
        return item


def _sent_on(item: InboxItem) -> bool:
    """The person went to the resource; what happens there is the resource's to tell."""
    return item.kind in RELAYED and item.pending_id is None and item.state is State.INTERACTING


@contextmanager
def _one_wait_at_a_time() -> Iterator[None]:
    try:
        yield
    except TooManyWaiters:
        raise SlowDown("This is already waited for.", retry_after=_SLOW_DOWN_SECONDS) from None


def _open_key(asker: Asker, wish: Wish) -> str:
    parts: list[Any] = [asker.agent_issuer, asker.agent, wish.kind, wish.subject, wish.description, wish.parameters]
    parts += [wish.url, wish.code]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
