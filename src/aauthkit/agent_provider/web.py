"""The agent provider's endpoints: metadata, `/register` and its poll, `/refresh`, `/sub-agent`.

Decisions are made in `enrolment`. An answer is written in the draft the agent asks for, or else in its key's.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from aauthkit.addresses import counted_as
from aauthkit.agent_provider.enrolment import (
    AgentProvider,
    Enrolled,
    EnrolmentRequest,
    SubAgentRequest,
    Waiting,
    delegation_of,
    stable_key_of,
    sub_agent_key_of,
)
from aauthkit.agent_provider.limits import MinuteLimit
from aauthkit.clock import Clock
from aauthkit.describing import ANY_OBJECT, METADATA, TEXT, TIME, URL, Caller, describes, members, or_null, text, words
from aauthkit.drafts import DRAFT_11, DRAFTS, Draft
from aauthkit.errors import InvalidRequest
from aauthkit.serving import RequestVerifier, answer, draft_shown, json_object, text_member
from aauthkit.verify import VerifiedRequest

# A person takes longer than this to look up; more often only costs.
_POLL_SECONDS = 2
_LONGEST_NAME = 256
_LONGEST_TICKET = 256
# With our own identifiers, which are UUIDs, far below the longest local part.
_LONGEST_DISCRIMINATOR = 64

_DRAFT = or_null(words(*DRAFTS))
# Seconds; more than the usual lifetime is the usual one.
_EXPIRES_IN = or_null({"type": "integer", "minimum": 1})
_LONGEST_LIFETIME = max(draft.agent_token_lifetime for draft in DRAFTS.values())
_ENROLMENT = members(
    {"stable_pub": ANY_OBJECT, "agent_name": text(_LONGEST_NAME, required=True)},
    {"ticket": or_null(text(_LONGEST_TICKET)), "draft": _DRAFT, "expires_in": _EXPIRES_IN},
)
_REFRESH = members({}, {"draft": _DRAFT, "expires_in": _EXPIRES_IN})
_SUB_AGENT = members(
    {"sub_agent": text(_LONGEST_DISCRIMINATOR, required=True), "sub_agent_pub": ANY_OBJECT},
    {"draft": or_null(words(DRAFT_11.name))},
)
_AGENT_TOKEN = members({"agent_token": TEXT})
_WAITING = members({"status": words("pending"), "expires_at": TIME}, {"code": TEXT, "enrolment_url": URL})


def routes(provider: AgentProvider, verifier: RequestVerifier, clock: Clock) -> list[Route]:
    """The endpoints. `verifier` admits the scheme `jkt-jwt` and nothing else."""
    settings = provider.settings
    endpoints = _Endpoints(
        provider,
        verifier,
        enrolments=MinuteLimit(
            settings.enrolments_a_minute, clock, "Too many enrolments from this address; wait a little."
        ),
        renewals=MinuteLimit(
            settings.renewals_a_minute, clock, "Too many agent tokens for this agent; one holds for hours."
        ),
    )
    return [
        Route("/.well-known/aauth-agent.json", endpoints.metadata, methods=["GET"]),
        Route("/register", endpoints.register, methods=["POST"]),
        Route("/register/pending/{handle}", endpoints.poll, methods=["GET"]),
        Route("/refresh", endpoints.refresh, methods=["POST"]),
        Route("/sub-agent", endpoints.sub_agent, methods=["POST"]),
    ]


class _Endpoints:
    def __init__(
        self, provider: AgentProvider, verifier: RequestVerifier, *, enrolments: MinuteLimit, renewals: MinuteLimit
    ) -> None:
        self._provider = provider
        self._verifier = verifier
        self._enrolments = enrolments
        self._renewals = renewals

    @describes("The agent provider's metadata", Caller.ANYBODY, {200: METADATA})
    async def metadata(self, _request: Request) -> Response:
        return answer(200, self._provider.settings.metadata(), {"Cache-Control": "max-age=60"})

    @describes("Enrol an agent", Caller.ENROLLING, {200: _AGENT_TOKEN, 202: _WAITING}, takes=_ENROLMENT, refuses=(429,))
    async def register(self, request: Request) -> Response:
        self._enrolments.admit(counted_as(request.client.host if request.client else ""))
        verified = await self._verified(request)
        members = json_object(verified.message.body or b"")
        request.state.draft = _draft_of(members) or request.state.draft
        return self._answer(await self._provider.enrol(verified, _enrolment_request(members)))

    @describes("Wait to be let in", Caller.ENROLLING, {200: _AGENT_TOKEN, 202: _WAITING}, refuses=(404, 410))
    async def poll(self, request: Request) -> Response:
        verified = await self._verified(request)
        handle = request.path_params["handle"]
        return self._answer(await self._provider.poll(verified, handle), handle=handle)

    @describes(
        "A fresh agent token, for a fresh key", Caller.ENROLLING, {200: _AGENT_TOKEN}, takes=_REFRESH, refuses=(429,)
    )
    async def refresh(self, request: Request) -> Response:
        verified = await self._verified(request)
        self._renewals.admit(delegation_of(verified).stable_key.thumbprint)
        members = json_object(verified.message.body or b"", empty_is={})
        request.state.draft = _draft_of(members) or request.state.draft
        outcome = await self._provider.refresh(verified, _draft_of(members), lifetime=_lifetime_of(members))
        return self._answer(outcome)

    @describes(
        "An agent token for a sub-agent (§10.2)",
        Caller.ENROLLING,
        {200: _AGENT_TOKEN},
        takes=_SUB_AGENT,
        refuses=(429,),
    )
    async def sub_agent(self, request: Request) -> Response:
        """The parent signs as for `/refresh` and names the sub-agent and its key; a repeat renews the token."""
        verified = await self._verifier.verify(request)
        # Draft 01 asks for less of the signature: whose key it is would go uncovered (§11.3.3.1).
        if not verified.draft.body_covered:
            raise InvalidRequest(f"Sign under draft {DRAFT_11.name} here.")
        members = json_object(verified.message.body or b"")
        if _draft_of(members) not in (None, DRAFT_11):
            raise InvalidRequest("Sub-agents are draft 11's.")
        self._renewals.admit(delegation_of(verified).stable_key.thumbprint)
        wanted = SubAgentRequest(
            discriminator=text_member(members, "sub_agent", longest=_LONGEST_DISCRIMINATOR, required=True) or "",
            key=sub_agent_key_of(members.get("sub_agent_pub")),
        )
        return self._answer(await self._provider.sub_agent(verified, wanted))

    async def _verified(self, request: Request) -> VerifiedRequest:
        request.state.draft = draft_shown(request)
        verified = await self._verifier.verify(request)
        request.state.draft = delegation_of(verified).draft
        return verified

    def _answer(self, outcome: Enrolled | Waiting, *, handle: str | None = None) -> Response:
        if isinstance(outcome, Enrolled):
            return answer(200, {"agent_token": outcome.agent_token})
        expires_at = datetime.fromtimestamp(outcome.registration.expires_at, UTC).isoformat()
        location = f"{self._provider.issuer}/register/pending/{outcome.handle or handle}"
        return answer(
            202,
            {"status": "pending", "expires_at": expires_at} | self._for_the_person(outcome),
            {"Location": location, "Retry-After": str(_POLL_SECONDS)},
        )

    def _for_the_person(self, waiting: Waiting) -> dict[str, str]:
        """What the agent shows to whoever started it; told once, as the code is kept as a hash."""
        page = self._provider.settings.enrolment_page
        if waiting.code is None or page is None:
            return {}
        return {"code": waiting.code, "enrolment_url": f"{page}?code={waiting.code}"}


def _enrolment_request(members: Mapping[str, Any]) -> EnrolmentRequest:
    name = text_member(members, "agent_name", longest=_LONGEST_NAME, required=True)
    return EnrolmentRequest(
        stable_key=stable_key_of(members.get("stable_pub")),
        name=name or "",
        ticket=text_member(members, "ticket", longest=_LONGEST_TICKET),
        draft=_draft_of(members),
        lifetime=_lifetime_of(members),
    )


def _draft_of(members: Mapping[str, Any]) -> Draft | None:
    named = members.get("draft")
    if named is None:
        return None
    draft = DRAFTS.get(named) if isinstance(named, str) else None
    if draft is None:
        raise InvalidRequest(f"The member draft is one of: {', '.join(DRAFTS)}.")
    return draft


def _lifetime_of(members: Mapping[str, Any]) -> timedelta | None:
    """How long the token is wanted for: an agent that needs it for a moment need not hold it for a day."""
    wanted = members.get("expires_in")
    if wanted is None:
        return None
    if type(wanted) is not int or wanted < 1:
        raise InvalidRequest("The member expires_in is a whole number of seconds, at least 1.")
    # Compared as numbers: JSON can say more seconds than a duration can be.
    return timedelta(seconds=min(wanted, int(_LONGEST_LIFETIME.total_seconds())))
