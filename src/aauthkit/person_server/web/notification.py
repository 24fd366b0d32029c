"""The page on which a person says where they are told that something waits when no page of theirs is open.

Mail goes to the address the identity provider gave, or to one that answered. A webhook's secret is shown once.
"""

from __future__ import annotations

import hmac
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from aauthkit.describing import TEXT, TIME, TRUTH, Caller, describes, members, or_null
from aauthkit.errors import InvalidRequest, NotFound, RateLimited
from aauthkit.fetching import browser_address
from aauthkit.person_server.codes import Secrets
from aauthkit.person_server.notification.message import mail_address
from aauthkit.person_server.notification.outbox import confirmation_token, webhook_key
from aauthkit.person_server.notification.webhook import webhook_secret
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.storage.notices import Channel, Listening, NoticeStore
from aauthkit.person_server.web.presentation import when
from aauthkit.person_server.web.sessions import Sessions
from aauthkit.person_server.web.showing import Showing, one_of, page, text_in
from aauthkit.serving import answer

_LONGEST_URL = 2048
# Long enough for slow mail and a walk to another machine.
_CONFIRM_WITHIN = timedelta(hours=1)
_CHANNEL = or_null(
    members({"target": TEXT, "enrolments": TRUTH, "outcome": or_null(TEXT), "outcome_at": or_null(TIME)})
)


class NotificationPages(Showing):
    """The page, its forms, and the same to read for a program."""

    def __init__(
        self,
        settings: PersonServerSettings,
        *,
        sessions: Sessions,
        notices: NoticeStore,
        secrets: Secrets,
        sends_mail: bool,
    ) -> None:
        super().__init__(settings, sessions)
        self._notices = notices
        self._secrets = secrets
        self._sends_mail = sends_mail

    def routes(self) -> list[Route]:
        return [
            Route("/ui/notification", self.look, methods=["GET"]),
            Route("/ui/notification/email", self.change_email, methods=["POST"]),
            Route("/ui/notification/address", self.ask_address, methods=["POST"]),
            Route("/ui/notification/confirm", self.to_confirm, methods=["GET"]),
            Route("/ui/notification/confirm", self.confirm, methods=["POST"]),
            Route("/ui/notification/webhook", self.change_webhook, methods=["POST"]),
            Route("/person/notification", self.channels, methods=["GET"]),
        ]

    @page
    async def look(self, request: Request) -> Response:
        return await self._page(request)

    @page
    async def change_email(self, request: Request) -> Response:
        """On, or off. The address is the identity provider's, unless another one was confirmed."""
        signed_in, form = await self.form(request)
        person = signed_in.person
        if not one_of(form, "tell", {"yes": True, "no": False}):
            await self._notices.silence(person.id, Channel.EMAIL)
            return _back()
        if not self._sends_mail:
            raise InvalidRequest("This server sends no mail.")
        known = (await self._notices.channels_of(person.id)).get(Channel.EMAIL)
        target = known.target if known else ""
        mail_address(target or person.email or "")
        await self._notices.listen(person.id, Channel.EMAIL, target=target, enrolments=_enrolments(form))
        return _back()

    @page
    async def ask_address(self, request: Request) -> Response:
        signed_in, form = await self.form(request)
        if not self._sends_mail:
            raise InvalidRequest("This server sends no mail.")
        address = mail_address(text_in(form, "address").strip())
        if not await self._notices.ask_address(signed_in.person.id, address, lifetime=_CONFIRM_WITHIN):
            raise RateLimited("A link was sent a moment ago; wait ten minutes before another.", retry_after=600)
        return _back()

    @page
    async def to_confirm(self, request: Request) -> Response:
        """Following a link changes nothing: programs that look through mail follow links too."""
        token = request.query_params.get("token", "")
        found = await self._to_confirm((await self._sessions.required(request)).person.id, token)
        return await self._page(request, confirming=found.target, token=token)

    @page
    async def confirm(self, request: Request) -> Response:
        signed_in, form = await self.form(request)
        found = await self._to_confirm(signed_in.person.id, text_in(form, "token"))
        if not await self._notices.confirmed(signed_in.person.id, found.nonce):
            raise NotFound("This link is used or too old; ask for another.")
        return _back()

    @page
    async def change_webhook(self, request: Request) -> Response:
        """A new address, and with it a new secret, shown on this page and never again; or none any more."""
        signed_in, form = await self.form(request)
        if not one_of(form, "tell", {"yes": True, "no": False}):
            await self._notices.silence(signed_in.person.id, Channel.WEBHOOK)
            return _back()
        url = text_in(form, "url").strip()
        if len(url) > _LONGEST_URL:
            raise InvalidRequest(f"An address has at most {_LONGEST_URL} characters.")
        # What it says is looked at now, where its name leads each time something is sent.
        browser_address(url, development=self._settings.development)
        person_id = signed_in.person.id
        nonce = await self._notices.listen(person_id, Channel.WEBHOOK, target=url, enrolments=_enrolments(form))
        return await self._page(request, secret=webhook_secret(webhook_key(self._secrets, person_id, nonce)))

    @describes(
        "Where the person is told that something waits",
        Caller.PERSON,
        {200: members({"email": _CHANNEL, "webhook": _CHANNEL})},
    )
    async def channels(self, request: Request) -> Response:
        person = (await self._sessions.required(request)).person
        found = await self._notices.channels_of(person.id)
        shown = (Channel.EMAIL, Channel.WEBHOOK)
        return answer(200, {str(name): _channel_json(found.get(name), person.email) for name in shown})

    async def _page(self, request: Request, **more: Any) -> Response:
        signed_in = await self._sessions.required(request)
        found = await self._notices.channels_of(signed_in.person.id)
        defaults: dict[str, Any] = {"secret": None, "confirming": None, "token": None}
        return self.show(
            "notification.html",
            signed_in,
            sends_mail=self._sends_mail,
            email=found.get(Channel.EMAIL),
            webhook=found.get(Channel.WEBHOOK),
            unconfirmed=found.get(Channel.CONFIRMATION),
            **defaults | more,
        )

    async def _to_confirm(self, person_id: str, token: str) -> Listening:
        """The address a link is for. Another person's link looks like none."""
        found = (await self._notices.channels_of(person_id)).get(Channel.CONFIRMATION)
        expected = confirmation_token(self._secrets, person_id, found.nonce) if found else ""
        if found is None or not hmac.compare_digest(token.encode(), expected.encode()):
            raise NotFound("This link is used or too old, or it is not yours; ask for another.")
        return found


def _enrolments(form: Any) -> bool:
    return bool(form.get("enrolments") == "yes")


def _back() -> Response:
    return RedirectResponse("/ui/notification", status_code=303)


def _channel_json(found: Listening | None, email: str | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "target": found.target or email or "",
        "enrolments": found.enrolments,
        "outcome": found.outcome,
        "outcome_at": None if found.outcome_at is None else when(found.outcome_at),
    }
