"""The interaction endpoint (AAuth-11 §7.6): an agent reaches its person through this server.

A relay names the page of a resource, or one of ours; a question is answered here. Nothing is fetched from the address
of a relay, but the person is sent there, so it is admitted like one that would be. It speaks no HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from aauthkit.codes import code_hash, normalise_code
from aauthkit.errors import (
    InteractionRequired,
    InteractionUnavailable,
    InvalidCode,
    InvalidRequest,
    NotFound,
    RateLimited,
)
from aauthkit.fetching import browser_address
from aauthkit.identifiers import origin_of
from aauthkit.person_server.asking.attempts import TooManyAttempts
from aauthkit.person_server.asking.inbox import Asker, Inbox, StillOpen, Wish
from aauthkit.person_server.storage.inbox import RELAYED, InboxItem, Kind
from aauthkit.serving import text_member

KINDS = RELAYED | {Kind.QUESTION}

LONGEST_TEXT = 4096
MOST_CAPABILITIES = 32
LONGEST_WAIT_ASKED = 86_400
# §11.6.3.1: at least eight symbols of Crockford's base32. What a server emits is upper case; a person's typing is not.
_RESOURCE_CODE = re.compile(r"(?=(?:-*[0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]){8})[0-9A-HJKMNP-TV-Za-hjkmnp-tv-z-]{8,64}")


@dataclass(frozen=True, kw_only=True)
class InteractionRequest:
    """The body of `POST /interaction`, judged in form."""

    kind: Kind
    description: str = ""
    url: str | None = None
    code: str | None = None
    question: str = ""
    max_wait: timedelta | None = None
    capabilities: frozenset[str] | None = None


def interaction_request(members: Mapping[str, Any]) -> InteractionRequest:
    """Read the body; raises `InvalidRequest`.

    §7.6.1 lists no `capabilities`, but §7.6.2 asks what the agent declared, so it may declare them here.
    """
    kind = _kind(members.get("type"))
    refuse_missions(members)
    relayed = kind in RELAYED
    return InteractionRequest(
        kind=kind,
        description=text_member(members, "description", longest=LONGEST_TEXT, lines=True) or "",
        # Without both there is nowhere to send the person, so they are required where they mean something.
        url=text_member(members, "url", longest=2048, required=True) if relayed else None,
        code=_resource_code(members) if relayed else None,
        question=text_member(members, "question", longest=LONGEST_TEXT, required=not relayed, lines=True) or "",
        max_wait=_max_wait(members.get("max_wait")) if relayed else None,
        capabilities=capabilities_in(members),
    )


@dataclass(frozen=True, kw_only=True)
class Interactions:
    """Puts interaction requests into the inbox."""

    inbox: Inbox

    async def request(self, asker: Asker, request: InteractionRequest, *, wait: timedelta) -> InboxItem | StillOpen:
        """The answer, or that the person has it before them.

        Raises `InteractionUnavailable` when the person is not signed in anywhere, and `InteractionRequired`
        (user_unreachable) when moreover the agent has said that it cannot send them here either.
        """
        wish = await self._wish(asker, request)
        await self._check_channel(asker, request)
        return await self.inbox.put(asker, wish, wait=wait)

    async def _check_channel(self, asker: Asker, request: InteractionRequest) -> None:
        if await self.inbox.reaches(asker.person_id):
            return
        directs = request.capabilities is None or "interaction" in request.capabilities
        if request.kind in RELAYED and directs:
            # Who relays holds a url and a code, so unless it says otherwise it can show them to the person itself.
            raise InteractionUnavailable("The person is not signed in here; send them to the address yourself.")
        if request.capabilities is None or not directs:
            raise InteractionRequired("The person is not signed in here, and the agent does not say it can send them.")

    async def _wish(self, asker: Asker, request: InteractionRequest) -> Wish:
        settings = self.inbox.settings
        if request.url is None:
            patience = settings.decision_time
            return Wish(kind=request.kind, patience=patience, subject=request.question, description=request.description)
        own = origin_of(request.url) == settings.issuer
        pending_id = await self._own_request(asker, request) if own else None
        if not own:
            browser_address(request.url, development=settings.development)
        # A page of ours lives as long as its request, which a chat may prolong; that request ends the relay (§7.6.2).
        longest = settings.decision_time * (settings.clarification_rounds + 2 if own else 1)
        return Wish(
            kind=request.kind,
            patience=longest if request.max_wait is None else min(request.max_wait, longest),
            description=request.description,
            url=request.url,
            code=request.code,
            pending_id=pending_id,
        )

    async def _own_request(self, asker: Asker, request: InteractionRequest) -> str:
        """The request of ours that a code names; only one of the agent's own person, and only so many guesses."""
        inbox = self.inbox
        if request.url != inbox.settings.consent_page:
            raise InvalidRequest("This server has no such interaction page.")
        code = normalise_code(request.code or "")
        try:
            async with inbox.attempts.attempt(f"agent:{asker.agent_issuer}:{asker.agent}"):
                found = await inbox.decisions.by_code(code_hash(code)) if code is not None else None
                if found is None or found.person_id != asker.person_id:
                    raise NotFound("")
        except NotFound:
            raise InvalidCode("There is no open request with this code.") from None
        except TooManyAttempts as error:
            raise RateLimited("Too many wrong codes; wait ten minutes.", retry_after=error.retry_after) from None
        return found.id


def refuse_missions(members: Mapping[str, Any]) -> None:
    if members.get("mission_s256") is not None:
        raise InvalidRequest("This server keeps no missions, so mission_s256 names none; ask without it.")


def capabilities_in(members: Mapping[str, Any]) -> frozenset[str] | None:
    """§11.7: unknown values are ignored; absent means that none were declared."""
    value = members.get("capabilities")
    if value is None:
        return None
    short = isinstance(value, list) and len(value) <= MOST_CAPABILITIES
    if not short or not all(isinstance(name, str) for name in value):
        raise InvalidRequest("The member capabilities is a short list of strings.")
    return frozenset(value)


def _kind(value: object) -> Kind:
    if not isinstance(value, str) or value not in KINDS:
        raise InvalidRequest("The member type is interaction, payment or question.")
    return Kind(value)


def _resource_code(members: Mapping[str, Any]) -> str:
    code = text_member(members, "code", longest=64, required=True) or ""
    if not _RESOURCE_CODE.fullmatch(code):
        raise InvalidRequest("The member code is not an interaction code.")
    return code


def _max_wait(value: object) -> timedelta | None:
    if value is None:
        return None
    if type(value) is not int or not 0 < value <= LONGEST_WAIT_ASKED:
        raise InvalidRequest("The member max_wait is a whole number of seconds, at most a day.")
    return timedelta(seconds=value)
