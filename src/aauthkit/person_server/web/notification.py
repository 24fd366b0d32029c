"""The page on which a person says where they are told that something waits when no page of theirs is open.

Mail goes to the address the identity provider gave, or to one that answered. A webhook's secret is shown once.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from aauthkit.describing import TEXT, TIME, TRUTH, Caller, describes, members, or_null, status, text
from aauthkit.errors import InvalidRequest, NotFound, RateLimited
from aauthkit.fetching import browser_address
from aauthkit.person_server.codes import Secrets
from aauthkit.person_server.notification.message import mail_address
from aauthkit.person_server.notification.outbox import confirmation_token, webhook_key
from aauthkit.person_server.notification.webhook import webhook_secret
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.storage import Person
from aauthkit.person_server.storage.notices import Channel, Listening, NoticeStore
from aauthkit.person_server.web.presentation import when
from aauthkit.person_server.web.sessions import Sessions, json_members
from aauthkit.person_server.web.showing import Showing, one_of, page, text_in
from aauthkit.serving import answer, text_member

_LONGEST_URL = 2048
# Long enough for slow mail and a walk to another machine.
_CONFIRM_WITHIN = timedelta(hours=1)
_CHANNEL = or_null(
    members({"target": TEXT, "enrolments": TRUTH, "outcome": or_null(TEXT), "outcome_at": or_null(TIME)})
)

_CHANNELS = members({"email": _CHANNEL, "webhook": _CHANNEL})
_EMAIL = members({"tell": TRUTH}, {"enrolments": TRUTH})
_ADDRESS = members({"address": text(_LONGEST_URL, required=True)})
_WEBHOOK = members({"url": or_null(text(_LONGEST_URL))}, {"enrolments": TRUTH})
_WEBHOOK_SET = members({"secret": or_null(TEXT)})


class NotificationPages(Showing):
    """The page, its forms, and the same for a program."""

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
            Route("/person/notification/email", self.email_json, methods=["POST"]),
            Route("/person/notification/address", self.address_json, methods=["POST"]),
            Route("/person/notification/webhook", self.webhook_json, methods=["POST"]),
        ]

    @page
    async def look(self, request: Request) -> Response:
        return await self._page(request)

    @page
    async def change_email(self, request: Request) -> Response:
        """On, or off. The address is the identity provider's, unless another one was confirmed."""
        signed_in, form = await self.form(request)
        person = signed_in.person
        tell = one_of(form, "tell", {"yes": True, "no": False})
        await self._set_email(person, tell=tell, enrolments=_enrolments(form))
        return _back()

    @page
    async def ask_address(self, request: Request) -> Response:
        signed_in, form = await self.form(request)
        await self._ask_address(signed_in.person, text_in(form, "address"))
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
        secret = await self._set_webhook(signed_in.person, text_in(form, "url"), enrolments=_enrolments(form))
        return await self._page(request, secret=secret)

    # JSON

    @describes(
        "Where the person is told that something waits",
        Caller.PERSON,
        {200: _CHANNELS},
    )
    async def channels(self, request: Request) -> Response:
        return await self._told((await self._sessions.required(request)).person)

    @describes("Be told by mail, or not any more", Caller.PERSON, {200: _CHANNELS}, takes=_EMAIL)
    async def email_json(self, request: Request) -> Response:
        """`{"tell", "enrolments"?}`: at the address confirmed last, otherwise the identity provider's."""
        sent, person = await self._members(request)
        await self._set_email(person, tell=_truth(sent, "tell"), enrolments=_truth(sent, "enrolments", False))
        return await self._told(person)

    @describes(
        "Send a link to another address, which is used once the person opens it",
        Caller.PERSON,
        {200: status("asked")},
        takes=_ADDRESS,
        refuses=(429,),
    )
    async def address_json(self, request: Request) -> Response:
        """`{"address"}`; the link is opened in a browser the person is signed in with."""
        sent, person = await self._members(request)
        await self._ask_address(person, text_member(sent, "address", longest=_LONGEST_URL, required=True) or "")
        return answer(200, {"status": "asked"})

    @describes("Be told by a webhook, or by none any more", Caller.PERSON, {200: _WEBHOOK_SET}, takes=_WEBHOOK)
    async def webhook_json(self, request: Request) -> Response:
        """`{"url", "enrolments"?}`, or `{"url": null}`; with each address comes a new secret, told this once."""
        sent, person = await self._members(request)
        enrolments, url = _truth(sent, "enrolments", False), sent.get("url")
        if url is None and "url" in sent:
            await self._notices.silence(person.id, Channel.WEBHOOK)
            return answer(200, {"secret": None})
        url = text_member(sent, "url", longest=_LONGEST_URL, required=True) or ""
        return answer(200, {"secret": await self._set_webhook(person, url, enrolments=enrolments)})

    # Both

    async def _members(self, request: Request) -> tuple[dict[str, Any], Person]:
        sent = await json_members(request)
        return sent, (await self._sessions.changing(request)).person

    async def _told(self, person: Person) -> Response:
        found = await self._notices.channels_of(person.id)
        shown = (Channel.EMAIL, Channel.WEBHOOK)
        return answer(200, {str(name): _channel_json(found.get(name), person.email) for name in shown})

    async def _set_email(self, person: Person, *, tell: bool, enrolments: bool) -> None:
        if not tell:
            await self._notices.silence(person.id, Channel.EMAIL)
            return
        self._check_sends_mail()
        known = (await self._notices.channels_of(person.id)).get(Channel.EMAIL)
        target = known.target if known else ""
        mail_address(target or person.email or "")
        await self._notices.listen(person.id, Channel.EMAIL, target=target, enrolments=enrolments)

    async def _ask_address(self, person: Person, address: str) -> None:
        self._check_sends_mail()
        if not await self._notices.ask_address(person.id, mail_address(address.strip()), lifetime=_CONFIRM_WITHIN):
            raise RateLimited("A link was sent a moment ago; wait ten minutes before another.", retry_after=600)

    async def _set_webhook(self, person: Person, url: str, *, enrolments: bool) -> str:
        """The new secret."""
        url = url.strip()
        if len(url) > _LONGEST_URL:
            raise InvalidRequest(f"An address has at most {_LONGEST_URL} characters.")
        # What it says is looked at now, where its name leads each time something is sent.
        browser_address(url, development=self._settings.development)
        nonce = await self._notices.listen(person.id, Channel.WEBHOOK, target=url, enrolments=enrolments)
        return webhook_secret(webhook_key(self._secrets, person.id, nonce))

    def _check_sends_mail(self) -> None:
        if not self._sends_mail:
            raise InvalidRequest("This server sends no mail.")

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


def _truth(sent: Mapping[str, Any], name: str, default: bool | None = None) -> bool:
    value = sent.get(name, default)
    if not isinstance(value, bool):
        raise InvalidRequest(f"The member {name} is true or false.")
    return value


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
