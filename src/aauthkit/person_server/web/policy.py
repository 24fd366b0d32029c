"""The server's own rules, for administrators: what everybody is asked about unless they made a rule of their own.

What the configuration says is shown and changed there; what was made here is changed here.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from aauthkit.describing import TEXT, TRUTH, Caller, describes, list_of, members, text, words
from aauthkit.errors import Conflict, InvalidRequest, NotFound
from aauthkit.identifiers import server_identifier
from aauthkit.person_server.policy import ANY, KINDS, RESOURCE, STEP_UP_KINDS, rule_value
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.storage import RuleStore
from aauthkit.person_server.storage.rules import ServerRule
from aauthkit.person_server.web.administering import Administering
from aauthkit.person_server.web.sessions import Sessions, SignedIn
from aauthkit.person_server.web.showing import one_of, page, text_in
from aauthkit.serving import answer, text_member
from aauthkit.trust import Trust

_EVERY_KIND = (*KINDS, RESOURCE, *STEP_UP_KINDS)
_LONGEST = 256

_RULE = members({"kind": words(*_EVERY_KIND), "value": TEXT, "asks": TRUTH, "made_by": words("configuration", "here")})
_TRUST = members({"any": TRUTH, "issuers": list_of(TEXT)})
_POLICY = members({"rules": list_of(_RULE), "trusted_resources": _TRUST, "trusted_intermediaries": _TRUST})
_NAMED = {"kind": words(*_EVERY_KIND), "value": text(_LONGEST, required=True)}
_SET = members({**_NAMED, "asks": TRUTH})


class PolicyPages(Administering):
    """The rules and whom the configuration trusts."""

    def __init__(self, settings: PersonServerSettings, *, sessions: Sessions, rules: RuleStore) -> None:
        super().__init__(settings, sessions)
        self._rules = rules

    def routes(self) -> list[Route]:
        return [
            Route("/ui/administration/policy", self.look, methods=["GET"]),
            Route("/ui/administration/policy", self.set_rule, methods=["POST"]),
            Route("/ui/administration/policy/remove", self.remove_rule, methods=["POST"]),
            Route("/admin/policy", self.listed, methods=["GET"]),
            Route("/admin/policy", self.set_json, methods=["POST"]),
            Route("/admin/policy/remove", self.remove_json, methods=["POST"]),
        ]

    @page
    async def look(self, request: Request) -> Response:
        signed_in = await self.administrator(request)
        rules = await self._rules.for_everybody()
        return self.show_administrator(
            "administration_policy.html",
            signed_in,
            rules=rules,
            resources=self._settings.resources,
            intermediaries=self._settings.intermediaries,
        )

    @page
    async def set_rule(self, request: Request) -> Response:
        signed_in, form = await self.administrators_form(request)
        asks = one_of(form, "ask", {"yes": True, "no": False})
        await self._set(signed_in, text_in(form, "kind"), text_in(form, "value").strip(), asks)
        return _back()

    @page
    async def remove_rule(self, request: Request) -> Response:
        signed_in, form = await self.administrators_form(request)
        await self._remove(signed_in, text_in(form, "kind"), text_in(form, "value"))
        return _back()

    @describes("The server's rules, and whom its configuration trusts", Caller.PERSON, {200: _POLICY}, refuses=(403,))
    async def listed(self, request: Request) -> Response:
        await self.administrator(request)
        return await self._told()

    @describes("Make a rule for everybody", Caller.PERSON, {200: _POLICY}, takes=_SET, refuses=(409,))
    async def set_json(self, request: Request) -> Response:
        signed_in, wanted = await self.administrators_members(request)
        asks = wanted.get("asks")
        if not isinstance(asks, bool):
            raise InvalidRequest("The member asks is true or false.")
        await self._set(signed_in, *_named(wanted), asks)
        return await self._told()

    @describes("Take back a rule made here", Caller.PERSON, {200: _POLICY}, takes=members(_NAMED), refuses=(404,))
    async def remove_json(self, request: Request) -> Response:
        signed_in, wanted = await self.administrators_members(request)
        await self._remove(signed_in, *_named(wanted))
        return await self._told()

    async def _told(self) -> Response:
        return answer(
            200,
            {
                "rules": [_rule_json(rule) for rule in await self._rules.for_everybody()],
                "trusted_resources": _trust_json(self._settings.resources),
                "trusted_intermediaries": _trust_json(self._settings.intermediaries),
            },
        )

    async def _set(self, signed_in: SignedIn, kind: str, value: str, asks: bool) -> None:
        if kind not in _EVERY_KIND:
            raise InvalidRequest(f"A rule is one of: {', '.join(_EVERY_KIND)}.")
        if kind in STEP_UP_KINDS and not asks:
            raise InvalidRequest("What needs a fresh sign-in is always asked about; take the rule back instead.")
        if kind == RESOURCE and value != ANY:
            value = server_identifier(value, development=self._settings.development)
        if not await self._rules.make_for_everybody(kind, rule_value(value), required=asks, by=signed_in.person):
            raise Conflict("The configuration has a rule about this; change it there.")

    async def _remove(self, signed_in: SignedIn, kind: str, value: str) -> None:
        if not await self._rules.remove_for_everybody(kind, rule_value(value), by=signed_in.person):
            raise NotFound("No such rule was made here; what the configuration says is changed there.")


def _back() -> Response:
    return RedirectResponse("/ui/administration/policy", status_code=303)


def _named(wanted: dict[str, Any]) -> tuple[str, str]:
    kind, value = (text_member(wanted, name, longest=_LONGEST, required=True) or "" for name in ("kind", "value"))
    return kind, value


def _rule_json(rule: ServerRule) -> dict[str, Any]:
    made_by = "here" if rule.made else "configuration"
    return {"kind": rule.kind, "value": rule.value, "asks": rule.required, "made_by": made_by}


def _trust_json(trust: Trust) -> dict[str, Any]:
    return {"any": trust.everybody, "issuers": sorted(entry.issuer for entry in trust.issuers)}
