"""The endpoints for agents: `/person`, `/token` and `/pending/{handle}`. Requests are verified here, decided elsewhere.

Every answer is written in the draft of the request: the resource token's, before that is known the agent token's, and
for what names neither the native one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from aauthkit.clock import Clock
from aauthkit.describing import COUNT, TEXT, Caller, Schema, describes, list_of, members, or_null, text, words
from aauthkit.drafts import DRAFT_11
from aauthkit.errors import InvalidRequest
from aauthkit.headers import parse_prefer_wait, requirement
from aauthkit.person_server.asking.deferring import Deferred, Terms, draft_of
from aauthkit.person_server.asking.pending import PendingEndpoint
from aauthkit.person_server.asking.states import State
from aauthkit.person_server.codes import Secrets, mark
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.storage import AgentWords, PendingRequest
from aauthkit.person_server.storage.conversation import Clarification
from aauthkit.person_server.tokens.auth_token import TokenEndpoint, TokenRequest, draft_of_request
from aauthkit.person_server.tokens.issuing import Granted
from aauthkit.person_server.tokens.person_token import PersonTokenEndpoint, PersonTokenRequest
from aauthkit.serving import RequestVerifier, answer, draft_shown, json_object, text_member
from aauthkit.telling import tell
from aauthkit.verify import VerifiedRequest

_LONGEST_TOKEN = 16_384
_LONGEST_JUSTIFICATION = 8_192
_MOST_CAPABILITIES = 32
_LONGEST_HINT = 256
# AAuth-11 §7.2.1.
_LONGEST_DEVICE = 64
# AAuth-11 §15.10.
PLATFORMS = frozenset({"web", "mobile", "desktop", "workload", "self-hosted"})
# OpenID Connect Core §3.1.2.1, as AAuth-11 §7.2.1 lists them.
PROMPTS = frozenset({"none", "login", "consent", "select_account"})

_OPTIONAL_TOKEN = or_null(text(_LONGEST_TOKEN))
_HINT = or_null(text(_LONGEST_HINT))
_TERMS: Mapping[str, Schema] = {
    "justification": or_null(text(_LONGEST_JUSTIFICATION)),
    "capabilities": or_null({**list_of(TEXT), "maxItems": _MOST_CAPABILITIES}),
    "prompt": _HINT,
    "platform": or_null(words("", *sorted(PLATFORMS))),
    "device": or_null(text(_LONGEST_DEVICE)),
    "login_hint": _HINT,
    "tenant": _HINT,
    "domain_hint": _HINT,
    "upstream_token": _OPTIONAL_TOKEN,
    "subagent_token": _OPTIONAL_TOKEN,
}
_WANTS_PERSON = members({"resource": text(_LONGEST_HINT, required=True)}, _TERMS)
_WANTS_AUTH = members(
    {"resource_token": text(_LONGEST_TOKEN, required=True)}, {**_TERMS, "presented_token": _OPTIONAL_TOKEN}
)
_PERSON_TOKEN = members({"person_token": TEXT, "expires_in": COUNT})
_AUTH_TOKEN = members({"auth_token": TEXT, "expires_in": COUNT})
_DEFERRED = members(
    {
        "status": words("pending", "interacting"),
        "requirement": words("interaction"),
        "code": TEXT,
        "interaction_url": TEXT,
        "pending_url": TEXT,
        "expires_in": COUNT,
    }
)
_QUESTION = members({"status": words("pending"), "clarification": TEXT, "timeout": COUNT}, {"options": list_of(TEXT)})


class AgentEndpoints:
    """HTTP around the token endpoints and the pending endpoint."""

    def __init__(
        self,
        settings: PersonServerSettings,
        verifier: RequestVerifier,
        persons: PersonTokenEndpoint,
        tokens: TokenEndpoint,
        pending: PendingEndpoint,
        secrets: Secrets,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._verifier = verifier
        self._persons = persons
        self._tokens = tokens
        self._pending = pending
        self._secrets = secrets
        self._clock = clock

    @describes(
        "A person token for a resource (§7.1)",
        Caller.AGENT,
        {200: _PERSON_TOKEN, 202: _DEFERRED},
        takes=_WANTS_PERSON,
        refuses=(408, 429),
    )
    async def person(self, request: Request) -> Response:
        """AAuth-11 §7.1. Draft 01 has no person tokens, so its agent tokens ask for none."""
        verified = await self._verifier.verify(request)
        if verified.draft is not DRAFT_11:
            raise InvalidRequest(f"Sign with an agent token of draft {DRAFT_11.name} here.")
        wanted = _person_token_request(json_object(verified.message.body or b""))
        return self._answer(request, await self._persons.issue(verified, wanted))

    @describes(
        "An auth token for a resource token (§7.2)",
        Caller.AGENT,
        {200: _AUTH_TOKEN, 202: _DEFERRED},
        takes=_WANTS_AUTH,
        refuses=(408, 429),
    )
    async def token(self, request: Request) -> Response:
        """A deferred answer is given at once whatever `Prefer` says: the person needs its code before anything else."""
        verified = await self._verified(request)
        wanted = _token_request(json_object(verified.message.body or b""))
        draft = draft_of_request(wanted.resource_token, verified)
        request.state.draft = draft
        return self._answer(request, await self._tokens.exchange(verified, wanted, draft))

    @describes(
        "Wait for what the person decides",
        Caller.AGENT,
        {200: {"anyOf": [_PERSON_TOKEN, _AUTH_TOKEN]}, 202: {"anyOf": [_DEFERRED, _QUESTION]}},
        refuses=(404, 408, 410, 429, 500),
    )
    async def poll(self, request: Request) -> Response:
        verified = await self._verified(request)
        found = await self._pending.own(verified, request.path_params["handle"])
        request.state.draft = draft_of(found)
        wait = timedelta(seconds=parse_prefer_wait(verified.message.field("prefer")))
        outcome = await self._pending.poll(verified, found, wait=wait)
        return self._answer(request, outcome, waited=bool(wait))

    async def _verified(self, request: Request) -> VerifiedRequest:
        request.state.draft = draft_shown(request)
        verified = await self._verifier.verify(request)
        request.state.draft = verified.draft
        return verified

    def _answer(self, request: Request, outcome: Granted | Deferred, *, waited: bool = False) -> Response:
        if isinstance(outcome, Granted):
            tell(request.scope, decision="granted")
            return answer(200, {f"{outcome.kind}_token": outcome.token, "expires_in": outcome.expires_in})
        tell(request.scope, decision="deferred", pending=mark(outcome.request.id), scope=outcome.request.scope)
        if outcome.question is not None:
            return self._question(outcome.request, outcome.question)
        return self._deferred(outcome.request, waited=waited)

    def _deferred(self, request: PendingRequest, *, waited: bool) -> Response:
        code, url = self._secrets.code(request.id), self._settings.consent_page
        location = f"{self._settings.issuer}/pending/{self._secrets.handle(request.id)}"
        retry_after = 0 if waited else int(self._settings.poll_interval.total_seconds())
        return answer(
            202,
            {
                "status": "interacting" if request.state is State.INTERACTING else "pending",
                "requirement": "interaction",
                "code": code,
                "interaction_url": url,
                "pending_url": location,
                # Ours: how long the person has, so that whoever waits can tell them.
                "expires_in": max(0, int(request.expires_at - self._clock.now())),
            },
            {
                "Location": location,
                "Retry-After": str(retry_after),
                "AAuth-Requirement": requirement("interaction", url=url, code=code),
            },
        )

    def _question(self, request: PendingRequest, question: Clarification) -> Response:
        """AAuth-11 §7.5.1: the person asks the agent, and the request ends when it does not answer in time."""
        members: dict[str, Any] = {
            "status": "pending",
            "clarification": question.question,
            "timeout": max(0, int(request.expires_at - self._clock.now())),
        }
        if question.options:
            members["options"] = list(question.options)
        headers = {
            "Location": f"{self._settings.issuer}/pending/{self._secrets.handle(request.id)}",
            "Retry-After": "0",
            "AAuth-Requirement": requirement("clarification"),
        }
        return answer(202, members, headers)


def _person_token_request(members: Mapping[str, Any]) -> PersonTokenRequest:
    return PersonTokenRequest(
        resource=text_member(members, "resource", longest=_LONGEST_HINT, required=True) or "",
        upstream_token=_token(members, "upstream_token"),
        subagent_token=_token(members, "subagent_token"),
        terms=_terms(_without_mission(members)),
    )


def _token_request(members: Mapping[str, Any]) -> TokenRequest:
    return TokenRequest(
        resource_token=text_member(members, "resource_token", longest=_LONGEST_TOKEN, required=True) or "",
        presented_token=_token(members, "presented_token"),
        upstream_token=_token(members, "upstream_token"),
        subagent_token=_token(members, "subagent_token"),
        terms=_terms(members),
    )


def _without_mission(members: Mapping[str, Any]) -> Mapping[str, Any]:
    # §7.1: the mission exists and belongs to this agent, or the request is refused; there are none here.
    if members.get("mission_s256") is not None:
        raise InvalidRequest("There is no such mission.")
    return members


def _token(members: Mapping[str, Any], name: str) -> str | None:
    return text_member(members, name, longest=_LONGEST_TOKEN)


def _terms(members: Mapping[str, Any]) -> Terms:
    return Terms(
        justification=text_member(members, "justification", longest=_LONGEST_JUSTIFICATION, lines=True) or "",
        capabilities=_capabilities(members.get("capabilities")),
        prompt=_prompt(members),
        words=AgentWords(
            platform=_platform(members),
            device=text_member(members, "device", longest=_LONGEST_DEVICE) or "",
            **{
                name: text_member(members, name, longest=_LONGEST_HINT) or ""
                for name in ("login_hint", "tenant", "domain_hint")
            },
        ),
    )


def _platform(members: Mapping[str, Any]) -> str:
    platform = text_member(members, "platform", longest=_LONGEST_HINT) or ""
    if platform and platform not in PLATFORMS:
        raise InvalidRequest(f"The member platform is one of: {' '.join(sorted(PLATFORMS))}.")
    return platform


def _prompt(members: Mapping[str, Any]) -> frozenset[str]:
    values = frozenset((text_member(members, "prompt", longest=_LONGEST_HINT) or "").split())
    if not values <= PROMPTS:
        raise InvalidRequest(f"The member prompt holds values of: {' '.join(sorted(PROMPTS))}.")
    if "none" in values and len(values) > 1:
        raise InvalidRequest("The prompt none stands alone.")
    return values


def _capabilities(value: object) -> frozenset[str] | None:
    """AAuth-11 §11.7: unknown values are ignored; absent means that none were declared."""
    if value is None:
        return None
    if (
        not isinstance(value, list)
        or len(value) > _MOST_CAPABILITIES
        or not all(isinstance(name, str) for name in value)
    ):
        raise InvalidRequest("The member capabilities is a short list of strings.")
    return frozenset(value)
