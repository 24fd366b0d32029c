"""The consent page (AAuth-11 §7.4, §7.5): what is asked for, in whose words, the chat with the agent, the decision."""

from __future__ import annotations

import hmac
import logging
from urllib.parse import urlencode

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from aauthkit.errors import AAuthError, Conflict, Expired, NotFound, Unavailable
from aauthkit.keys import b64url_decode, b64url_encode
from aauthkit.person_server.asking.callbacks import accepted_callback, callback_error, with_error
from aauthkit.person_server.asking.clarification import (
    LONGEST_QUESTION,
    MOST_OPTIONS,
    Clarifications,
    answers_questions,
)
from aauthkit.person_server.asking.consent import Consents, Decider, Decision, how_it_ended
from aauthkit.person_server.asking.durations import remember_in
from aauthkit.person_server.asking.logos import Logos
from aauthkit.person_server.asking.presenting import Presenting
from aauthkit.person_server.asking.states import OPEN, State
from aauthkit.person_server.codes import Secrets, mark
from aauthkit.person_server.ports import AgentDirectory
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.storage import PendingRequest
from aauthkit.person_server.storage.passkeys import PasskeyStore
from aauthkit.person_server.web.sessions import Sessions, SignedIn
from aauthkit.person_server.web.showing import Showing, one_of, page, text_in, words_in
from aauthkit.telling import tell
from aauthkit.tokens.resource import ResourceInteraction

_log = logging.getLogger("aauthkit.person_server")
# A resource token of the longest length names about a thousand scopes at most that anybody could read.
_MOST_FIELDS = 1100
_LONGEST_REASON = 1000


class ConsentPages(Showing):
    """One request at a time, shown to its person."""

    def __init__(
        self,
        settings: PersonServerSettings,
        *,
        sessions: Sessions,
        consents: Consents,
        passkeys: PasskeyStore,
        presenting: Presenting,
        logos: Logos,
        clarifications: Clarifications,
        directory: AgentDirectory,
        secrets: Secrets,
    ) -> None:
        super().__init__(settings, sessions)
        self._consents = consents
        self._passkeys = passkeys
        self._presenting = presenting
        self._logos = logos
        self._clarifications = clarifications
        self._directory = directory
        self._secrets = secrets

    def routes(self) -> list[Route]:
        return [
            Route("/ui/consent.html", self.arrive, methods=["GET"]),
            Route("/ui/logos/{content_hash}", self.logo, methods=["GET"]),
            Route("/ui/requests/{pending_id}", self.look, methods=["GET"]),
            Route("/ui/requests/{pending_id}/ask", self.ask, methods=["POST"]),
            Route("/ui/requests/{pending_id}/let-in", self.let_in, methods=["POST"]),
            Route("/ui/decide/{pending_id}", self.decide, methods=["POST"]),
            Route("/ui/returned/{pending_id}/{flow}/{callback}", self.returned, methods=["GET"]),
            Route("/ui/returned/{pending_id}/{flow}", self.returned, methods=["GET"]),
        ]

    # Looking

    @page
    async def arrive(self, request: Request) -> Response:
        """Where agents send people. The code is used up, and the person goes on under an address without it."""
        signed_in = await self._sessions.required(request)
        typed, callback = request.query_params.get("code", ""), request.query_params.get("callback")
        if not typed:
            return self.show("code.html", signed_in)
        decider = _decider(signed_in)
        try:
            found = await self._consents.arrive(decider, typed)
            tell(request.scope, pending=mark(found.id), person="arrived")
        except Expired:
            return await self._over(signed_in, await self._consents.of_code(decider, typed), callback)
        query = f"?{urlencode({'callback': callback})}" if callback is not None else ""
        return RedirectResponse(f"/ui/requests/{found.id}{query}", status_code=303)

    @page
    async def look(self, request: Request) -> Response:
        signed_in = await self._sessions.required(request)
        callback = request.query_params.get("callback")
        found = await self._consents.own(_decider(signed_in), request.path_params["pending_id"])
        if found.state not in OPEN:
            return await self._over(signed_in, found, callback)
        self._consents.check_sign_in(_decider(signed_in), found)
        found = await self._consents.open(_decider(signed_in), found.id)
        accepted = await accepted_callback(callback, found, self._directory)
        shown = await self._presenting.of(found)
        if shown.introduction is not None:
            return self.show(
                "let_in.html",
                signed_in,
                request=found,
                shown=shown,
                introduction=shown.introduction,
                longest_reason=_LONGEST_REASON,
            )
        if found.resource_interaction is not None:
            return self._sent_to_the_resource(signed_in, found, found.resource_interaction, accepted)
        rounds = await self._clarifications.rounds_of(found)
        return self.show(
            "consent.html",
            signed_in,
            request=found,
            risky=await self._consents.scopes_to_step_up(_decider(signed_in), found),
            has_passkey=bool(await self._passkeys.of_person(signed_in.person.id)),
            step_up_minutes=int(self._settings.step_up_time.total_seconds() // 60),
            shown=shown,
            logo=await self._logos.address(found.resource_words.logo_uri),
            longest_reason=_LONGEST_REASON,
            callback=accepted,
            callback_refused=callback is not None and accepted is None,
            rounds=rounds,
            waits_for_agent=found.state is State.CLARIFYING,
            can_ask=answers_questions(found),
            questions_left=self._settings.clarification_rounds - len(rounds),
            longest_question=LONGEST_QUESTION,
            most_options=MOST_OPTIONS,
        )

    async def logo(self, request: Request) -> Response:
        """An image that was fetched for a page; its type is by its bytes, so no browser is asked to guess."""
        await self._sessions.required(request)
        found = await self._logos.content(request.path_params["content_hash"])
        if found is None:
            raise NotFound("There is no such logo.")
        media_type, content = found
        headers = {"Cache-Control": "private, max-age=86400, immutable"}
        return Response(content, media_type=media_type, headers=headers)

    def _sent_to_the_resource(
        self, signed_in: SignedIn, found: PendingRequest, interaction: ResourceInteraction, callback: str | None
    ) -> Response:
        """§7.2.3: the resource first. The way back is an address of this request alone, and has no query to break."""
        back = f"{self._settings.issuer}/ui/returned/{found.id}/{self._flow(found, interaction)}"
        if callback is not None:
            back += f"/{b64url_encode(callback.encode())}"
        there = f"{interaction.url}?{urlencode({'code': interaction.code, 'callback': back})}"
        return self.show("resource_first.html", signed_in, request=found, interaction=interaction, there=there)

    def _flow(self, found: PendingRequest, interaction: ResourceInteraction) -> str:
        return self._secrets.token("resource interaction", f"{found.id}\0{interaction.url}\0{interaction.code}")

    @page
    async def returned(self, request: Request) -> Response:
        """Where the resource sends the person back to, with or without an `error`."""
        signed_in = await self._sessions.required(request)
        found = await self._consents.own(_decider(signed_in), request.path_params["pending_id"])
        interaction = found.resource_interaction
        flow = self._flow(found, interaction) if interaction is not None else ""
        if found.state in OPEN and not hmac.compare_digest(flow.encode(), request.path_params["flow"].encode()):
            raise NotFound("There is no such way back.")
        if found.state in OPEN:
            found = await self._consents.returned(_decider(signed_in), found.id, request.query_params.get("error"))
        callback = _decoded(request.path_params.get("callback"))
        if found.state not in OPEN:
            return await self._over(signed_in, found, callback)
        query = f"?{urlencode({'callback': callback})}" if callback is not None else ""
        return RedirectResponse(f"/ui/requests/{found.id}{query}", status_code=303)

    # Acting

    @page
    async def let_in(self, request: Request) -> Response:
        """The first question about an agent of another provider; the request itself comes after it."""
        signed_in, form = await self.form(request)
        decider, pending_id = _decider(signed_in), request.path_params["pending_id"]
        if one_of(form, "decision", {"approve": True, "deny": False}):
            await self._consents.let_in(decider, pending_id)
            return RedirectResponse(f"/ui/requests/{pending_id}", status_code=303)
        reason = words_in(form, "reason", longest=_LONGEST_REASON)
        found = await self._consents.turn_away(decider, pending_id, answer_text=reason)
        return self.show(
            "decided.html", signed_in, request=found, outcome=str(State.DENIED), callback=None, granted=[], left_out=[]
        )

    @page
    async def ask(self, request: Request) -> Response:
        signed_in, form = await self.form(request)
        pending_id, options = request.path_params["pending_id"], str(form.get("options", "")).splitlines()
        await self._clarifications.ask(
            _decider(signed_in),
            pending_id,
            text_in(form, "question"),
            options=tuple(option.strip() for option in options if option.strip()),
        )
        callback = form.get("callback")
        query = f"?{urlencode({'callback': callback})}" if isinstance(callback, str) else ""
        return RedirectResponse(f"/ui/requests/{pending_id}{query}#chat", status_code=303)

    @page
    async def decide(self, request: Request) -> Response:
        signed_in, form = await self.form(request, fields=_MOST_FIELDS)
        if form.get("decision") == "nothing":
            return Response(status_code=204)  # a key pressed in a field; a browser stays where it is
        decision = one_of(form, "decision", {"approve": State.APPROVED, "deny": State.DENIED, "leave": State.ABANDONED})
        decider, pending_id = _decider(signed_in), request.path_params["pending_id"]
        callback = form.get("callback")
        try:
            found = await self._decided(decider, pending_id, decision, form)
            tell(request.scope, pending=mark(found.id), person=str(found.outcome or decision))
        except Conflict:
            found = await self._consents.own(decider, pending_id)
            if found.state in OPEN:
                raise
            return await self._over(signed_in, found, callback)
        except Exception as error:
            ours = not isinstance(error, AAuthError) or isinstance(error, Unavailable)
            accepted = await self._callback(callback, decider, pending_id) if ours else None
            if accepted is None:
                raise
            _log.exception("a decision could not be recorded")
            return self._failed(signed_in, accepted, error)
        accepted = await accepted_callback(callback, found, self._directory)
        outcome = State.ABANDONED if decision is State.ABANDONED else found.outcome or decision
        back = with_error(accepted, callback_error(outcome)) if accepted else None
        granted = found.to_carry.split()
        return self.show(
            "decided.html",
            signed_in,
            request=found,
            outcome=str(outcome),
            callback=back,
            granted=granted,
            left_out=[scope for scope in found.scope.split() if scope not in granted],
        )

    async def _decided(self, decider: Decider, pending_id: str, outcome: State, form: FormData) -> PendingRequest:
        if outcome is State.ABANDONED:
            return await self._consents.abandon(decider, pending_id)
        return await self._consents.decide(decider, pending_id, _decision(form, approved=outcome is State.APPROVED))

    async def _over(self, signed_in: SignedIn, found: PendingRequest, callback: object) -> Response:
        """What is over says how it ended, and tells it to where the person came from (§7.3.1)."""
        accepted = await accepted_callback(callback, found, self._directory)
        back = with_error(accepted, callback_error(found.outcome)) if accepted else None
        return self.show("over.html", signed_in, status=409, sentence=how_it_ended(found), callback=back)

    async def _callback(self, callback: object, decider: Decider, pending_id: str) -> str | None:
        try:
            return await accepted_callback(callback, await self._consents.own(decider, pending_id), self._directory)
        except Exception:
            # What failed a moment ago may fail again, and then nobody is redirected.
            _log.exception("a callback could not be looked up")
            return None

    def _failed(self, signed_in: SignedIn, callback: str, error: Exception) -> Response:
        temporarily = isinstance(error, Unavailable)
        code, status = ("temporarily_unavailable", 503) if temporarily else ("server_error", 500)
        sentence = "Your decision could not be recorded; nothing was allowed."
        return self.show("over.html", signed_in, status=status, sentence=sentence, callback=with_error(callback, code))


def _decision(form: FormData, *, approved: bool) -> Decision:
    """What the form says. Its boxes count where it says that it has them: what is not ticked is not sent."""
    seen, remember = form.get("seen"), form.get("remember")
    ticked = frozenset(scope for scope in form.getlist("scope") if isinstance(scope, str))
    return Decision(
        approved=approved,
        scopes=ticked if "choosing" in form else None,
        remember=remember_in(remember if approved else None),
        answer_text=None if approved else words_in(form, "reason", longest=_LONGEST_REASON),
        seen=seen if isinstance(seen, str) else None,
    )


def _decoded(callback: str | None) -> str | None:
    """The callback in an address of ours; whether anybody goes there is judged where it is used."""
    try:
        return b64url_decode(callback).decode() if callback else None
    except ValueError:
        return None


def _decider(signed_in: SignedIn) -> Decider:
    return Decider(person_id=signed_in.person.id, signed_in_at=signed_in.since)
