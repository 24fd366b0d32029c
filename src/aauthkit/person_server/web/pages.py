"""The pages: what a person sees and presses. They show what the JSON says and call the same decisions.

Everything an agent or a resource wrote is escaped and visibly set apart. Forms need no script; a small module only
notices that something new waits.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from aauthkit.drafts import NATIVE
from aauthkit.errors import AAuthError, Conflict, InvalidRequest, MisuseError, NotFound
from aauthkit.person_server.callbacks import accepted_callback
from aauthkit.person_server.codes import Secrets
from aauthkit.person_server.consent import Consents, Decider
from aauthkit.person_server.markdown import safe_html
from aauthkit.person_server.openid import NotSignedIn
from aauthkit.person_server.policy import rule_value
from aauthkit.person_server.ports import AgentDirectory
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.states import OPEN
from aauthkit.person_server.storage import DecisionStore, PendingRequest, RuleStore
from aauthkit.person_server.web.person import revoke_agent, stop_asking
from aauthkit.person_server.web.sessions import Sessions, SignedIn
from aauthkit.serving import read_body

_Handler = Callable[["Pages", Request], Awaitable[Response]]


def _in_words(unix_seconds: float) -> str:
    """A time as people write it; whose clock it is must be said, as the page does not know theirs."""
    moment = datetime.fromtimestamp(unix_seconds, UTC)
    return f"{moment.day} {moment:%b %Y, %H:%M} UTC"


_templates = Environment(
    loader=PackageLoader("aauthkit.person_server.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_templates.filters["when"] = _in_words


def page(handler: _Handler) -> _Handler:
    """An error on a page is a page; somebody not signed in is sent to sign in and comes back here."""

    @functools.wraps(handler)
    async def wrapped(self: Pages, request: Request) -> Response:
        try:
            return await handler(self, request)
        except NotSignedIn as error:
            if request.method == "GET" and request.scope["path"] != "/ui/callback":
                return self.to_login(request)
            return self.error(error, None)
        except AAuthError as error:
            return self.error(error, await self.visitor(request))

    return wrapped


class Pages:
    """The pages and the forms on them."""

    def __init__(
        self,
        settings: PersonServerSettings,
        *,
        sessions: Sessions,
        consents: Consents,
        decisions: DecisionStore,
        rules: RuleStore,
        directory: AgentDirectory,
        secrets: Secrets,
    ) -> None:
        self._settings = settings
        self._sessions = sessions
        self._consents = consents
        self._decisions = decisions
        self._rules = rules
        self._directory = directory
        self._secrets = secrets

    def routes(self) -> list[Route | Mount]:
        return [
            Route("/", self.home, methods=["GET"]),
            Route("/ui", self.home, methods=["GET"]),
            Route("/ui/", self.agents, methods=["GET"]),
            Route("/ui/requests", self.requests, methods=["GET"]),
            Route("/ui/requests/{pending_id}", self.request, methods=["GET"]),
            Route("/ui/consent.html", self.consent, methods=["GET"]),
            Route("/ui/tokens", self.tokens, methods=["GET"]),
            Route("/ui/settings", self.settings, methods=["GET"]),
            Route("/ui/login", self.login, methods=["GET"]),
            Route("/ui/callback", self.callback, methods=["GET"]),
            Route("/ui/logout", self.logout, methods=["POST"]),
            Route("/ui/decide/{pending_id}", self.decide, methods=["POST"]),
            Route("/ui/enrolments/{id}", self.decide_enrolment, methods=["POST"]),
            Route("/ui/revoke", self.revoke, methods=["POST"]),
            Route("/ui/withdraw", self.withdraw, methods=["POST"]),
            Route("/ui/rules", self.change_rules, methods=["POST"]),
            Mount("/ui/static", StaticFiles(directory=Path(__file__).parent / "static")),
        ]

    # Looking

    async def home(self, _request: Request) -> Response:
        return RedirectResponse("/ui/", status_code=303)

    @page
    async def agents(self, request: Request) -> Response:
        signed_in = await self._sessions.required(request)
        return self.show(
            "agents.html",
            signed_in,
            enrolments=await self._directory.waiting_enrolments(),
            agents=await self._directory.agents_of(signed_in.person.id),
            open_requests=[r for r in await self._decisions.requests_of(signed_in.person.id) if r.state in OPEN],
        )

    @page
    async def requests(self, request: Request) -> Response:
        signed_in = await self._sessions.required(request)
        found = await self._decisions.requests_of(signed_in.person.id)
        return self.show(
            "requests.html",
            signed_in,
            waiting=[r for r in found if r.state in OPEN],
            past=[r for r in found if r.state not in OPEN],
            consents=await self._decisions.consents_of(signed_in.person.id),
            names=await self._names(signed_in),
        )

    @page
    async def consent(self, request: Request) -> Response:
        signed_in = await self._sessions.required(request)
        typed = request.query_params.get("code", "")
        if not typed:
            return self.show("code.html", signed_in)
        found = await self._consents.arrive(Decider(person_id=signed_in.person.id), typed)
        return await self._ask(signed_in, found, request.query_params.get("callback"))

    @page
    async def request(self, request: Request) -> Response:
        signed_in = await self._sessions.required(request)
        decider = Decider(person_id=signed_in.person.id)
        return await self._ask(signed_in, await self._consents.open(decider, request.path_params["pending_id"]), None)

    @page
    async def tokens(self, request: Request) -> Response:
        signed_in = await self._sessions.required(request)
        issued = await self._decisions.issued_for(signed_in.person.id)
        return self.show("tokens.html", signed_in, issued=issued, names=await self._names(signed_in))

    @page
    async def settings(self, request: Request) -> Response:
        signed_in = await self._sessions.required(request)
        return self.show("settings.html", signed_in, rules=await self._rules.rules_for(signed_in.person.id))

    async def _names(self, signed_in: SignedIn) -> dict[str, str]:
        """What the person's agents call themselves, by identifier."""
        return {agent.agent_id: agent.name for agent in await self._directory.agents_of(signed_in.person.id)}

    async def _ask(self, signed_in: SignedIn, found: PendingRequest, callback: str | None) -> Response:
        accepted = await accepted_callback(callback, found, self._directory)
        return self.show(
            "consent.html",
            signed_in,
            request=found,
            # To compare with the one shown where the person started.
            code=self._secrets.code(found.id),
            acting_for=[await self._directory.agent(agent) for agent in found.upstream.agents]
            if found.upstream
            else [],
            asked=set(found.asked_scope.split()),
            # Cleaned by nh3 to a few tags without attributes, so it may stand in the page as it is.
            justification=Markup(safe_html(found.justification)),  # noqa: S704
            callback=accepted,
            callback_refused=callback is not None and accepted is None,
        )

    # Signing in and out

    @page
    async def login(self, request: Request) -> Response:
        state, url = await self._sessions.begin(_local(request.query_params.get("return_to")))
        response = RedirectResponse(url, status_code=303)
        self._sessions.set_login(response, state)
        return response

    @page
    async def callback(self, request: Request) -> Response:
        session, return_to = await self._sessions.finish(request, dict(request.query_params))
        response = RedirectResponse(_local(return_to), status_code=303)
        self._sessions.set_session(response, session)
        return response

    @page
    async def logout(self, request: Request) -> Response:
        signed_in, _ = await self._form(request)
        await self._sessions.end(signed_in)
        response = self.show("signed_out.html", None)
        self._sessions.clear_session(response)
        return response

    # Changing

    @page
    async def decide(self, request: Request) -> Response:
        signed_in, form = await self._form(request)
        approved = _one_of(form, "decision", {"approve": True, "deny": False})
        found = await self._consents.decide(
            Decider(person_id=signed_in.person.id),
            request.path_params["pending_id"],
            approved=approved,
            answer_text=None,
        )
        callback = await accepted_callback(form.get("callback"), found, self._directory)
        return self.show("decided.html", signed_in, request=found, approved=approved, callback=callback)

    @page
    async def decide_enrolment(self, request: Request) -> Response:
        signed_in, form = await self._form(request)
        act = _one_of(
            form,
            "decision",
            {"approve": self._directory.approve_enrolment, "deny": self._directory.deny_enrolment},
        )
        if not await act(request.path_params["id"], signed_in.person.id):
            raise Conflict("This agent is not waiting any more.")
        return RedirectResponse("/ui/", status_code=303)

    @page
    async def revoke(self, request: Request) -> Response:
        signed_in, form = await self._form(request)
        await revoke_agent(self._directory, self._decisions, _text(form, "agent_id"), signed_in.person.id)
        return RedirectResponse("/ui/", status_code=303)

    @page
    async def withdraw(self, request: Request) -> Response:
        signed_in, form = await self._form(request)
        if not await self._decisions.withdraw(_text(form, "consent_id"), signed_in.person.id):
            raise NotFound("You have not agreed to that, or not any more.")
        return RedirectResponse("/ui/requests", status_code=303)

    @page
    async def change_rules(self, request: Request) -> Response:
        signed_in, form = await self._form(request)
        kind = _one_of(form, "kind", {"exact": "exact", "prefix": "prefix"})
        value = rule_value(_text(form, "value").strip())
        if _one_of(form, "ask", {"yes": True, "no": False}):
            await self._rules.set_rule(signed_in.person.id, kind, value, required=True)
        else:
            await stop_asking(self._rules, signed_in.person.id, kind, value)
        return RedirectResponse("/ui/settings", status_code=303)

    async def _form(self, request: Request) -> tuple[SignedIn, FormData]:
        """The person and the form, its CSRF token checked."""
        signed_in = await self._sessions.required(request)
        await read_body_into(request)
        form = await request.form(max_files=0, max_fields=20)
        given = form.get("csrf_token")
        self._sessions.check_csrf(request, signed_in, given if isinstance(given, str) else None)
        return signed_in, form

    # Showing

    def show(self, template: str, signed_in: SignedIn | None, *, status: int = 200, **values: Any) -> HTMLResponse:
        common = {
            "person": signed_in.person if signed_in else None,
            "csrf_token": self._sessions.csrf_token(signed_in) if signed_in else "",
            "issuer": self._settings.issuer,
        }
        return HTMLResponse(_templates.get_template(template).render(**common, **values), status_code=status)

    async def visitor(self, request: Request) -> SignedIn | None:
        """Whoever is signed in, if anybody: an error page shows as whom one looks."""
        try:
            return await self._sessions.who(request)
        except AAuthError:
            return None

    def error(self, error: AAuthError, signed_in: SignedIn | None) -> Response:
        ours = isinstance(error, MisuseError)
        response = self.show(
            "error.html", signed_in, status=500 if ours else error.status, detail="" if ours else error.detail
        )
        response.headers.update({} if ours else error.headers(NATIVE))
        return response

    def to_login(self, request: Request) -> Response:
        query = request.scope["query_string"].decode("latin-1")
        here = request.scope["path"] + (f"?{query}" if query else "")
        return RedirectResponse(f"/ui/login?{urlencode({'return_to': here})}", status_code=303)


async def read_body_into(request: Request) -> None:
    """Read the body under the common limit, so that parsing the form reads from memory."""
    request._body = await read_body(request)


def _local(path: str | None) -> str:
    """A page of ours; anything else becomes the first page, so a sign-in never leads away."""
    if path is None or not path.startswith("/ui/") or "\\" in path or not path.isprintable() or len(path) > 4096:
        return "/ui/"
    return path


def _text(form: FormData, name: str) -> str:
    value = form.get(name)
    if not isinstance(value, str):
        raise InvalidRequest(f"The form has no {name}.")
    return value


def _one_of(form: FormData, name: str, meanings: dict[str, Any]) -> Any:
    value = form.get(name)
    if not isinstance(value, str) or value not in meanings:
        raise InvalidRequest(f"The form says nothing we know for {name}.")
    return meanings[value]
