"""JSON for people and their scripts: consent, agents, enrolments, issued tokens, consent rules (CONTRACT §6).

Every change needs the person: a session with its CSRF token, or a bearer token of the person. A request signed by an
agent means nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from aauthkit.describing import (
    ANY_OBJECT,
    TEXT,
    TIME,
    TRUTH,
    Caller,
    Schema,
    describes,
    list_of,
    members,
    or_null,
    status,
    text,
    words,
)
from aauthkit.errors import InvalidRequest, NotFound, PolicyDenied
from aauthkit.identifiers import is_loopback
from aauthkit.person_server.asking.callbacks import accepted_callback, callback_error, with_error
from aauthkit.person_server.asking.consent import Consents, Decider, Decision
from aauthkit.person_server.asking.durations import Remember, remember_in
from aauthkit.person_server.asking.logos import Logos
from aauthkit.person_server.asking.presenting import Presenting
from aauthkit.person_server.codes import mark
from aauthkit.person_server.policy import KINDS, RESOURCE, STEP_UP_KINDS, STEP_UP_PREFIX, rule_value
from aauthkit.person_server.ports import AgentDirectory
from aauthkit.person_server.revocation.service import RevocationService
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.sign_in.openid import NotSignedIn
from aauthkit.person_server.storage import (
    SERVER,
    Consent,
    DecisionStore,
    IssuedToken,
    LeftOut,
    RecipientOutcome,
    RuleStore,
)
from aauthkit.person_server.web.presentation import (
    PRESENTATION,
    REQUEST,
    presentation_json,
    request_json,
    when,
)
from aauthkit.person_server.web.sessions import CSRF_HEADER, Sessions, json_members
from aauthkit.serving import answer, text_member
from aauthkit.telling import tell

_LONGEST_ANSWER, _LONGEST_NAME = 4096, 256

# What is sent and answered, in the words of `describing`. The functions under "Shapes" below make the answers.
_DECISION = members(
    {"approved": TRUTH},
    {
        "scopes": or_null(list_of(text(_LONGEST_NAME, required=True))),
        "remember": or_null(words(*Remember)),
        "reason": or_null(text(_LONGEST_ANSWER)),
        "answer_text": or_null(text(_LONGEST_ANSWER)),
        "seen": or_null(text(_LONGEST_NAME)),
        "callback": or_null(TEXT),
    },
)
_LETTING_IN = members(
    {"approved": TRUTH}, {"reason": or_null(text(_LONGEST_ANSWER)), "answer_text": or_null(text(_LONGEST_ANSWER))}
)
RECIPIENT = members({"resource_iss": TEXT, "status": TEXT})
REVOKED = members({"status": words("revoked"), "recipients": list_of(RECIPIENT)})
_CONSENT = members(
    {
        "id": TEXT,
        "agent_id": TEXT,
        "on_behalf_of": list_of(TEXT),
        "resource_iss": TEXT,
        "scope": TEXT,
        "granted_at": TIME,
        "expires_at": or_null(TIME),
        "once": TRUTH,
        "account": or_null(TEXT),
        "used_at": or_null(TIME),
    }
)
_LEFT_OUT = members(
    {
        "id": TEXT,
        "agent_id": TEXT,
        "on_behalf_of": list_of(TEXT),
        "resource_iss": TEXT,
        "scope": TEXT,
        "account": or_null(TEXT),
        "left_out_at": TIME,
        "expires_at": TIME,
    }
)
_ISSUED = members(
    {
        "jti": TEXT,
        "agent_id": TEXT,
        "resource_iss": TEXT,
        "scope": TEXT,
        "act": ANY_OBJECT,
        "sub": or_null(TEXT),
        "upstream_jti": or_null(TEXT),
        "issued_at": TIME,
        "expires_at": TIME,
    }
)
_RULES = members(
    {"scopes": list_of(TEXT), "prefixes": list_of(TEXT), "never_asked": list_of(TEXT), "step_up": list_of(TEXT)}
)
_RULE: Schema = {"anyOf": [members({"scope": TEXT}), members({"prefix": TEXT})]}


class PersonEndpoints:
    """HTTP around what people look at and decide."""

    def __init__(
        self,
        settings: PersonServerSettings,
        *,
        sessions: Sessions,
        consents: Consents,
        presenting: Presenting,
        logos: Logos,
        decisions: DecisionStore,
        rules: RuleStore,
        directory: AgentDirectory,
        revocation: RevocationService,
    ) -> None:
        self._settings = settings
        self._sessions = sessions
        self._consents = consents
        self._presenting = presenting
        self._logos = logos
        self._decisions = decisions
        self._rules = rules
        self._directory = directory
        self._revocation = revocation

    def routes(self) -> list[Route]:
        return [
            Route("/consent", self.consent, methods=["GET"]),
            Route("/consent/{pending_id}/decision", self.decide, methods=["POST"]),
            Route("/consent/{pending_id}/agent", self.let_in, methods=["POST"]),
            Route("/person/me", self.me, methods=["GET"]),
            Route("/person/requests", self.requests, methods=["GET"]),
            Route("/person/tokens/{jti}/revoke", self.revoke_token, methods=["POST"]),
            Route("/person/consents", self.remembered, methods=["GET"]),
            Route("/person/consents/{id}", self.withdraw, methods=["DELETE"]),
            Route("/person/left-out", self.left_out, methods=["GET"]),
            Route("/person/left-out/{id}", self.ask_again, methods=["DELETE"]),
            Route("/admin/issued-tokens", self.issued_tokens, methods=["GET"]),
            Route("/admin/consent-scopes", self.consent_scopes, methods=["GET"]),
            Route("/admin/consent-scopes", self.add_consent_scope, methods=["POST"]),
            Route("/admin/consent-scopes/{scope:path}", self.remove_consent_scope, methods=["DELETE"]),
        ]

    # Deciding

    @describes(
        "The request of an interaction code, which is used up",
        Caller.PERSON,
        {200: PRESENTATION},
        query={"code": TEXT},
        refuses=(403, 404, 408, 410, 429),
    )
    async def consent(self, request: Request) -> Response:
        decider = await self._decider(request)
        found = await self._consents.arrive(decider, request.query_params.get("code", ""))
        tell(request.scope, pending=mark(found.id), person="arrived")
        return answer(
            200,
            presentation_json(
                await self._presenting.of(found), logo=await self._logos.address(found.resource_words.logo_uri)
            ),
        )

    @describes(
        "Decide a request",
        Caller.PERSON,
        {200: members({}, {"redirect_url": TEXT})},
        takes=_DECISION,
        refuses=(404, 409),
    )
    async def decide(self, request: Request) -> Response:
        members = await json_members(request)
        decider = await self._decider(request, changing=True)
        approved = members.get("approved")
        if not isinstance(approved, bool):
            raise InvalidRequest("The member approved is true or false.")
        decision = Decision(
            approved=approved,
            scopes=_scopes_in(members),
            remember=remember_in(members.get("remember")),
            answer_text=_reason_in(members),
            seen=text_member(members, "seen", longest=_LONGEST_NAME),
        )
        decided = await self._consents.decide(decider, request.path_params["pending_id"], decision)
        tell(request.scope, pending=mark(decided.id), person=str(decided.outcome or decided.state))
        callback = await accepted_callback(members.get("callback"), decided, self._directory)
        error = callback_error(decided.outcome)
        return answer(200, {} if callback is None else {"redirect_url": with_error(callback, error)})

    @describes(
        "Let the agent of another provider in that a request came with, or turn it away",
        Caller.PERSON,
        {200: status("approved", "denied")},
        takes=_LETTING_IN,
        refuses=(404, 409),
    )
    async def let_in(self, request: Request) -> Response:
        """`{"approved", "reason"?}`: asked before the request itself when that shows an `introduction`."""
        members = await json_members(request)
        decider, pending_id = await self._decider(request, changing=True), request.path_params["pending_id"]
        approved = members.get("approved")
        if not isinstance(approved, bool):
            raise InvalidRequest("The member approved is true or false.")
        if approved:
            await self._consents.let_in(decider, pending_id)
            return answer(200, {"status": "approved"})
        await self._consents.turn_away(decider, pending_id, answer_text=_reason_in(members))
        return answer(200, {"status": "denied"})

    # Looking

    @describes(
        "Who is signed in",
        Caller.PERSON,
        {
            200: members(
                {"username": TEXT, "email": or_null(TEXT), "roles": list_of(TEXT), "administrator": TRUTH},
                {"csrf_token": TEXT},
            )
        },
    )
    async def me(self, request: Request) -> Response:
        signed_in = await self._sessions.required(request)
        members: dict[str, object] = {
            "username": signed_in.person.username,
            "email": signed_in.person.email,
            "roles": sorted(signed_in.person.roles),
            "administrator": signed_in.administrator,
        }
        if signed_in.session is not None:
            members["csrf_token"] = self._sessions.csrf_token(signed_in)
        return answer(200, members)

    @describes("The requests of the person's agents, newest first", Caller.PERSON, {200: list_of(REQUEST)})
    async def requests(self, request: Request) -> Response:
        person_id = (await self._sessions.required(request)).person.id
        return answer(200, [request_json(found) for found in await self._decisions.requests_of(person_id)])

    @describes("What the person agreed to and is remembered", Caller.PERSON, {200: list_of(_CONSENT)})
    async def remembered(self, request: Request) -> Response:
        person_id = (await self._sessions.required(request)).person.id
        return answer(200, [consent_json(consent) for consent in await self._decisions.consents_of(person_id)])

    @describes(
        "Scopes left out a moment ago, not asked about",
        Caller.PERSON,
        {200: list_of(_LEFT_OUT)},
    )
    async def left_out(self, request: Request) -> Response:
        person_id = (await self._sessions.required(request)).person.id
        return answer(200, [left_out_json(found) for found in await self._decisions.left_out_of(person_id)])

    @describes("Tokens issued to the person's agents", Caller.PERSON, {200: list_of(_ISSUED)})
    async def issued_tokens(self, request: Request) -> Response:
        person_id = (await self._sessions.required(request)).person.id
        return answer(200, [issued_json(issued) for issued in await self._decisions.issued_for(person_id)])

    @describes("Which scopes the person is asked about", Caller.PERSON, {200: _RULES})
    async def consent_scopes(self, request: Request) -> Response:
        person_id = (await self._sessions.required(request)).person.id
        return answer(200, await rules_json(self._rules, person_id))

    # Changing

    @describes("Revoke one token and what was issued from it", Caller.PERSON, {200: REVOKED}, refuses=(404,))
    async def revoke_token(self, request: Request) -> Response:
        person_id = (await self._sessions.changing(request)).person.id
        recipients = await self._revocation.revoke_token(request.path_params["jti"], person_id)
        return answer(200, {"status": "revoked", "recipients": recipients_json(recipients)})

    @describes(
        "Forget something agreed to",
        Caller.PERSON,
        {200: members({})},
        query={"whole": words("true", "false")},
        refuses=(404,),
    )
    async def withdraw(self, request: Request) -> Response:
        """One scope, or with `?whole=true` all that was agreed to for the same agent at the same resource."""
        person_id, whole = (
            (await self._sessions.changing(request)).person.id,
            request.query_params.get("whole") == "true",
        )
        if not await self._decisions.withdraw(request.path_params["id"], person_id, whole=whole):
            raise NotFound("You have not agreed to that, or not any more.")
        return answer(200, {})

    @describes("Be asked again about a scope that was left out", Caller.PERSON, {200: members({})}, refuses=(404,))
    async def ask_again(self, request: Request) -> Response:
        person_id = (await self._sessions.changing(request)).person.id
        if not await self._decisions.ask_again(request.path_params["id"], person_id):
            raise NotFound("You have left out no such scope, or may be asked about it already.")
        return answer(200, {})

    @describes("Be asked about a scope, or a prefix of scopes", Caller.PERSON, {200: _RULES}, takes=_RULE)
    async def add_consent_scope(self, request: Request) -> Response:
        members = await json_members(request)
        person_id = (await self._sessions.changing(request)).person.id
        kind, value = _rule_in(members)
        await self._rules.set_rule(person_id, kind, value, required=True)
        return answer(200, await rules_json(self._rules, person_id))

    @describes(
        "No longer be asked about a scope",
        Caller.PERSON,
        {200: _RULES},
        query={"kind": words(*KINDS, RESOURCE)},
        refuses=(400, 404),
    )
    async def remove_consent_scope(self, request: Request) -> Response:
        person_id = (await self._sessions.changing(request)).person.id
        kind = request.query_params.get("kind", "exact")
        await stop_asking(self._rules, person_id, kind, rule_value(request.path_params["scope"]))
        return answer(200, await rules_json(self._rules, person_id))

    # Who

    async def _decider(self, request: Request, *, changing: bool = False) -> Decider:
        signed_in = await self._sessions.who(request)
        if signed_in is not None:
            if changing:
                self._sessions.check_csrf(request, signed_in, request.headers.get(CSRF_HEADER))
            return Decider(person_id=signed_in.person.id, signed_in_at=signed_in.since)
        if self._settings.open_consent and _on_this_machine(request):
            return Decider(person_id=None)
        raise NotSignedIn("Sign in first.")


def _on_this_machine(request: Request) -> bool:
    """`--open-consent` is for harnesses on loopback: by address and by name, as a name can point here."""
    name = request.headers.get("host", "").rpartition(":")[0] or request.headers.get("host", "")
    from_here = request.client is not None and is_loopback(request.client.host) and is_loopback(name)
    if request.headers.get("origin") is not None and from_here:
        raise PolicyDenied("Sign in to decide from a page.")
    return from_here


# Shapes


def recipients_json(found: Sequence[RecipientOutcome]) -> list[dict[str, Any]]:
    return [{"resource_iss": outcome.recipient, "status": outcome.status} for outcome in found]


def consent_json(consent: Consent) -> dict[str, Any]:
    return {
        "id": consent.id,
        "agent_id": consent.agent,
        "on_behalf_of": consent.via.split(),
        "resource_iss": consent.resource,
        "scope": consent.scope,
        "granted_at": when(consent.granted_at),
        "expires_at": None if consent.expires_at is None else when(consent.expires_at),
        "once": consent.single_use,
        "account": consent.account or None,
        "used_at": None if consent.used_at is None else when(consent.used_at),
    }


def left_out_json(found: LeftOut) -> dict[str, Any]:
    return {
        "id": found.id,
        "agent_id": found.agent,
        "on_behalf_of": found.via.split(),
        "resource_iss": found.resource,
        "scope": found.scope,
        "account": found.account or None,
        "left_out_at": when(found.left_out_at),
        "expires_at": when(found.expires_at),
    }


def issued_json(issued: IssuedToken) -> dict[str, Any]:
    return {
        "jti": issued.jti,
        "agent_id": issued.agent,
        "resource_iss": issued.resource,
        "scope": issued.scope,
        "act": dict(issued.act),
        "sub": issued.sub,
        "upstream_jti": issued.upstream_jti,
        "issued_at": when(issued.issued_at),
        "expires_at": when(issued.expires_at),
    }


async def rules_json(rules: RuleStore, person_id: str) -> dict[str, Any]:
    found = await rules.rules_for(person_id)
    return {
        "scopes": [rule.value for rule in found if rule.kind == "exact" and rule.required],
        "prefixes": [rule.value for rule in found if rule.kind == "prefix" and rule.required],
        "never_asked": [rule.value for rule in found if rule.kind in KINDS and not rule.required],
        "step_up": [
            rule.value + ("*" if rule.kind == STEP_UP_PREFIX else "") for rule in found if rule.kind in STEP_UP_KINDS
        ],
    }


def _scopes_in(members: Mapping[str, Any]) -> frozenset[str] | None:
    scopes = members.get("scopes")
    if scopes is None:
        return None
    if not isinstance(scopes, list) or not all(isinstance(scope, str) and scope for scope in scopes):
        raise InvalidRequest("The member scopes is a list of scopes.")
    return frozenset(scopes)


def _reason_in(members: Mapping[str, Any]) -> str | None:
    """What the person says to the agent; `reason` and the older `answer_text` are one."""
    given = [text_member(members, name, longest=_LONGEST_ANSWER, lines=True) for name in ("reason", "answer_text")]
    if all(given):
        raise InvalidRequest("Send reason or answer_text, not both.")
    return given[0] or given[1]


def _rule_in(members: Mapping[str, Any]) -> tuple[str, str]:
    if "prefix" in members:
        return "prefix", rule_value(members["prefix"])
    if "scope" in members:
        return "exact", rule_value(members["scope"])
    raise InvalidRequest("Name a scope or a prefix.")


# Changes that pages make too


async def stop_asking(rules: RuleStore, person_id: str, kind: str, value: str) -> None:
    """Take back the person's own rule; where the server has one, the person's says otherwise for their agents."""
    if kind == RESOURCE:
        # Without any rule a resource is asked about, so not asking takes one.
        await rules.set_rule(person_id, kind, value, required=False)
        return
    if kind not in KINDS:
        raise InvalidRequest("The kind of a rule is exact, prefix or resource.")
    await rules.remove_rule(person_id, kind, value)
    server: Sequence[Any] = await rules.rules_for(SERVER)
    if any((rule.kind, rule.value, rule.required) == (kind, value, True) for rule in server):
        await rules.set_rule(person_id, kind, value, required=False)
