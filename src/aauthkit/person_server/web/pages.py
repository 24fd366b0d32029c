"""The pages: what a person sees and presses. They show what the JSON says and call the same decisions.

Everything an agent or a resource wrote is escaped and visibly set apart. Forms need no script; a small module only
notices that something new waits.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from aauthkit.errors import NotFound
from aauthkit.person_server.agents.my_agents import shown_name
from aauthkit.person_server.policy import KINDS, RESOURCE, STEP_UP_KINDS, rule_value
from aauthkit.person_server.ports import AgentDirectory
from aauthkit.person_server.revocation.service import RevocationService
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.storage import DecisionStore, RuleStore
from aauthkit.person_server.web.person import stop_asking
from aauthkit.person_server.web.remembering import remembered
from aauthkit.person_server.web.sessions import Sessions, SignedIn
from aauthkit.person_server.web.showing import Showing, local_page, one_of, page, text_in
from aauthkit.serving import read_body

_PAGE = 50
# A place in a list, as pages write it: when, and the identifier of what was made then.
_PLACE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)-([0-9A-Za-z_-]{1,64})")


class Pages(Showing):
    """The pages and the forms on them."""

    def __init__(
        self,
        settings: PersonServerSettings,
        *,
        sessions: Sessions,
        decisions: DecisionStore,
        rules: RuleStore,
        directory: AgentDirectory,
        revocation: RevocationService,
    ) -> None:
        super().__init__(settings, sessions)
        self._decisions = decisions
        self._rules = rules
        self._directory = directory
        self._revocation = revocation

    def routes(self) -> list[Route | Mount]:
        return [
            Route("/", self.home, methods=["GET"]),
            Route("/ui", self.home, methods=["GET"]),
            Route("/ui/requests", self.requests, methods=["GET"]),
            Route("/ui/settings", self.settings, methods=["GET"]),
            Route("/ui/callback", self.callback, methods=["GET"]),
            Route("/ui/logout", self.logout, methods=["POST"]),
            Route("/ui/signed-out", self.signed_out, methods=["GET"]),
            Route("/ui/provider-logout", self.provider_logout, methods=["POST"]),
            Route("/ui/tokens/revoke", self.revoke_token, methods=["POST"]),
            Route("/ui/withdraw", self.withdraw, methods=["POST"]),
            Route("/ui/ask-again", self.ask_again, methods=["POST"]),
            Route("/ui/rules", self.change_rules, methods=["POST"]),
            Mount("/ui/static", StaticFiles(directory=Path(__file__).parent / "static")),
        ]

    # Looking

    async def home(self, _request: Request) -> Response:
        return RedirectResponse("/ui/", status_code=303)

    @page
    async def requests(self, request: Request) -> Response:
        signed_in = await self._sessions.required(request)
        person_id = signed_in.person.id
        agreed_before, past_before = _place_in(request, "agreed"), _place_in(request, "before")
        # One more than is shown tells whether there are any more.
        agreed = await self._decisions.consents_by_holder(person_id, most=_PAGE + 1, before=agreed_before)
        past = await self._decisions.past_requests_of(person_id, limit=_PAGE + 1, before=past_before)
        shown = [consent for group in agreed[:_PAGE] for consent in group]
        left_out = await self._decisions.left_out_of(person_id)
        return self.show(
            "requests.html",
            signed_in,
            waiting=await self._decisions.open_requests_of(person_id),
            past=past[:_PAGE],
            remembered=remembered(shown, left_out, await self._names(signed_in), others=agreed_before is None),
            older=_older("before", (past[_PAGE - 1].created_at, past[_PAGE - 1].id)) if len(past) > _PAGE else "",
            older_remembered=_older("agreed", (agreed[_PAGE - 1][0].granted_at, agreed[_PAGE - 1][0].id))
            if len(agreed) > _PAGE
            else "",
        )

    @page
    async def settings(self, request: Request) -> Response:
        signed_in = await self._sessions.required(request)
        rules = await self._rules.rules_for(signed_in.person.id)
        return self.show(
            "settings.html",
            signed_in,
            rules=[rule for rule in rules if rule.kind not in STEP_UP_KINDS],
            step_up_rules=[rule for rule in rules if rule.kind in STEP_UP_KINDS],
            step_up_minutes=int(self._settings.step_up_time.total_seconds() // 60),
            invites=signed_in.administrator and self._settings.openid is None,
        )

    async def _names(self, signed_in: SignedIn) -> dict[str, str]:
        """What the person's agents are called, by identifier."""
        return {agent.agent_id: shown_name(agent) for agent in await self._directory.agents_of(signed_in.person.id)}

    # Signing in and out

    @page
    async def callback(self, request: Request) -> Response:
        arrival = await self._sessions.finish(request, dict(request.query_params))
        onward = local_page(arrival.return_to) if arrival.second_trip is None else arrival.second_trip[1]
        response = RedirectResponse(onward, status_code=303)
        self._sessions.set_arrival(response, arrival)
        return response

    @page
    async def logout(self, request: Request) -> Response:
        signed_in, _ = await self.form(request)
        provider = await self._sessions.end(signed_in)
        response = self.show("signed_out.html", None, provider=provider)
        if provider is not None:
            # Not a redirect: a browser holds the answer to a form to our form-action, which names us alone.
            response.headers["Refresh"] = f"0;url={provider}"
        self._sessions.clear_session(response)
        return response

    @page
    async def signed_out(self, _request: Request) -> Response:
        """Where the identity provider sends the browser back to; it says nothing about whoever is signed in."""
        return self.show("signed_out.html", None, provider=None)

    async def provider_logout(self, request: Request) -> Response:
        """OpenID Connect Back-Channel Logout §2.5: the provider itself calls, and its token is the proof."""
        request._body = await read_body(request)
        form = await request.form(max_files=0, max_fields=5)
        await self._sessions.end_by_provider(text_in(form, "logout_token"))
        return Response(status_code=200)

    # Changing

    @page
    async def revoke_token(self, request: Request) -> Response:
        signed_in, form = await self.form(request)
        await self._revocation.revoke_token(text_in(form, "jti"), signed_in.person.id)
        return RedirectResponse("/ui/activity?kind=token", status_code=303)

    @page
    async def withdraw(self, request: Request) -> Response:
        signed_in, form = await self.form(request)
        consent_id, whole = text_in(form, "consent_id"), form.get("whole") == "true"
        if not await self._decisions.withdraw(consent_id, signed_in.person.id, whole=whole):
            raise NotFound("You have not agreed to that, or not any more.")
        return RedirectResponse("/ui/requests", status_code=303)

    @page
    async def ask_again(self, request: Request) -> Response:
        signed_in, form = await self.form(request)
        if not await self._decisions.ask_again(text_in(form, "left_out_id"), signed_in.person.id):
            raise NotFound("You have left out no such scope, or may be asked about it already.")
        return RedirectResponse("/ui/requests", status_code=303)

    @page
    async def change_rules(self, request: Request) -> Response:
        signed_in, form = await self.form(request)
        kind = one_of(form, "kind", {kind: kind for kind in (*KINDS, RESOURCE, *STEP_UP_KINDS)})
        value = rule_value(text_in(form, "value").strip())
        if one_of(form, "ask", {"yes": True, "no": False}):
            await self._rules.set_rule(signed_in.person.id, kind, value, required=True)
        elif kind in STEP_UP_KINDS:
            await self._ask_for_no_sign_in(signed_in, kind, value)
        else:
            await stop_asking(self._rules, signed_in.person.id, kind, value)
        return RedirectResponse("/ui/settings", status_code=303)

    async def _ask_for_no_sign_in(self, signed_in: SignedIn, kind: str, value: str) -> None:
        """Take back one's own rule: only for somebody fresh from signing in, or a thief would begin with that."""
        self._sessions.check_fresh(signed_in)
        if not await self._rules.remove_rule(signed_in.person.id, kind, value):
            raise NotFound("You made no such rule; what this server says holds for everybody.")


def _place_in(request: Request, name: str) -> tuple[float, str] | None:
    """Where a list goes on; what is no place is where it begins."""
    found = _PLACE.fullmatch(request.query_params.get(name, ""))
    return (float(found[1]), found[2]) if found else None


def _older(name: str, place: tuple[float, str]) -> str:
    return urlencode({name: f"{place[0]!r}-{place[1]}"})
