"""Asking a person: what both token endpoints have in common when they cannot answer at once.

It stores the request that waits; it shows and decides nothing.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from aauthkit.clock import Clock
from aauthkit.codes import code_hash
from aauthkit.drafts import DRAFTS, Draft
from aauthkit.errors import Denied, Expired, InteractionRequired, RateLimited
from aauthkit.person_server.asking.states import OPEN, State
from aauthkit.person_server.codes import Secrets, hashed
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.storage import PERSON, AgentWords, DecisionStore, NewRequest, PendingRequest
from aauthkit.person_server.storage.conversation import Clarification
from aauthkit.person_server.storage.requests import TooManyRequests
from aauthkit.person_server.tokens.callers import Requester
from aauthkit.person_server.tokens.resources import ResourceDescription

# Far more than one agent asks its people in ten minutes; without it one agent could bury a person's page and our disk.
_MOST_OPEN_REQUESTS = 200


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The parameters both endpoints take (AAuth-11 §7.2.1), already parsed."""

    justification: str = ""
    capabilities: frozenset[str] | None = None
    prompt: frozenset[str] = frozenset()
    words: AgentWords = field(default_factory=AgentWords)

    @property
    def insists(self) -> bool:
        """Whether the person is asked although they agreed before.

        `select_account` chooses among people, and an agent here has exactly one: they are asked whether it is them.
        """
        return bool(self.prompt & {"login", "consent", "select_account"})

    def signing_in_anew(self) -> Terms:
        """The same of a person who has to sign in again before an agent acts for them, whatever they agreed to."""
        return replace(self, prompt=self.prompt | {"login"})


@dataclass(frozen=True, kw_only=True)
class Deferred:
    """The person is asked; the agent polls, or first answers what the person asks it (AAuth-11 §7.5)."""

    request: PendingRequest
    question: Clarification | None = None


@dataclass(frozen=True, kw_only=True)
class Asking:
    """Stores requests that wait for a person; every dependency is handed in."""

    settings: PersonServerSettings
    decisions: DecisionStore
    secrets: Secrets
    clock: Clock

    def check_reachable(self, terms: Terms, draft: Draft) -> None:
        """Raises ``InteractionRequired`` (`user_unreachable`) where the person cannot be asked.

        §7.1: an agent of draft 11 that declares no `interaction` cannot bring the person here, and we have no other
        way to them; with `prompt=none` it asked us not to try. Draft 01 has none declared mean that it can.
        """
        if "none" in terms.prompt:
            raise InteractionRequired("A person must agree to this, and prompt=none says not to ask them.")
        silent = frozenset() if draft.person_tokens else frozenset({"interaction"})
        if "interaction" not in (silent if terms.capabilities is None else terms.capabilities):
            raise InteractionRequired("A person must agree to this, and the agent says it cannot reach one.")

    async def defer(
        self,
        requester: Requester,
        terms: Terms,
        description: ResourceDescription,
        *,
        resource: str,
        draft: Draft,
        key: tuple[str, ...],
        until: float,
        **members: Any,
    ) -> Deferred:
        """Let the request wait; the same one posted again joins it. ``until`` bounds the wait from without."""
        pending_id, now = secrets.token_hex(16), self.clock.now()
        decision_time = self.settings.decision_time.total_seconds()
        upstream = requester.upstream
        request = NewRequest(
            id=pending_id,
            request_key=_request_key(requester, key),
            handle_hash=hashed(self.secrets.handle(pending_id)),
            code_hash=code_hash(self.secrets.code(pending_id)),
            person_id=requester.person_id,
            agent_issuer=requester.token.issuer,
            agent=requester.agent,
            agent_name=requester.name,
            agent_jkt=requester.jkt,
            agent_token_jti=requester.token.jti,
            principal=requester.principal,
            subagent=requester.subagent,
            resource=resource,
            resource_name=description.name,
            resource_words=description.words,
            justification=terms.justification,
            capabilities=tuple(sorted(terms.capabilities or ())),
            prompt=" ".join(sorted(terms.prompt)),
            agent_words=terms.words,
            via=requester.via,
            upstream=upstream,
            upstream_issuer=upstream.issuer if upstream else None,
            upstream_jti=upstream.jti if upstream else None,
            draft=draft.name,
            expires_at=min(now + decision_time, until),
            **members,
        )
        # Whoever said no to a person token is not asked the same again for as long as they had to decide.
        again_after = now - decision_time if request.kind == PERSON else None
        try:
            stored = await self.decisions.open_request(request, again_after=again_after, most_open=_MOST_OPEN_REQUESTS)
        except TooManyRequests:
            raise RateLimited(
                "Too many requests of this agent wait for a person; wait for answers.", retry_after=60
            ) from None
        return _repeated(stored)


def draft_of(request: PendingRequest) -> Draft:
    return DRAFTS[request.draft]


def declined(request: PendingRequest) -> Denied:
    """`denied` (§11.9.4), with what the person said about it: the detail explains this one occurrence (§11.9.2)."""
    said = f" They say: {request.answer_text}" if request.answer_text else ""
    return Denied(f"The person declined this request.{said}")


def _repeated(stored: PendingRequest) -> Deferred:
    """The same request posted again joins the one that waits; one that was decided is not asked again."""
    if stored.state in OPEN or stored.state is State.APPROVED:
        return Deferred(request=stored)
    if stored.outcome is State.DENIED:
        raise declined(stored)
    raise Expired("This request is over; fetch a fresh resource token and ask again.")


def _request_key(requester: Requester, key: tuple[str, ...]) -> str:
    parts = [
        requester.token.issuer,
        requester.agent,
        requester.jkt,
        *key,
        requester.upstream.jti if requester.upstream else "",
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def shown_scopes(scopes: tuple[str, ...], described: Mapping[str, str]) -> dict[str, str]:
    """Each scope in the resource's words, or by its name."""
    return {scope: described.get(scope, scope) for scope in scopes}
