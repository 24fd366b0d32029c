"""Telling: what the store says is due is written, sent, and tried again until it was taken or is over.

Every replica runs one. A channel that is slow holds back nobody but itself, and no agent waits for any of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aauthkit.clock import Clock
from aauthkit.errors import AAuthError, Unavailable
from aauthkit.flow import AsyncCaller
from aauthkit.person_server.asking.states import OPEN
from aauthkit.person_server.codes import Secrets
from aauthkit.person_server.notification.mail import Mailer
from aauthkit.person_server.notification.message import Waiting, confirmation_mail, waiting_json, waiting_mail
from aauthkit.person_server.notification.webhook import call_webhook
from aauthkit.person_server.ports import AgentDirectory
from aauthkit.person_server.storage import DecisionStore
from aauthkit.person_server.storage.inbox import InboxStore
from aauthkit.person_server.storage.notices import About, Channel, NoticeStore, Sending
from aauthkit.server_identity import ServerIdentity

_log = logging.getLogger("aauthkit.person_server.notification")
_MOST_UNDER_WAY = 32
_LOOK_EVERY = 1.0


def confirmation_token(secrets: Secrets, person_id: str, nonce: str) -> str:
    return secrets.token("notification-address", f"{person_id}\0{nonce}")


def webhook_key(secrets: Secrets, person_id: str, nonce: str) -> str:
    return secrets.token("notification-webhook", f"{person_id}\0{nonce}")


@dataclass(frozen=True, kw_only=True)
class Postman:
    """Writes one message and has it sent; every dependency is handed in."""

    current_identity: Callable[[], ServerIdentity]
    """Signing keys change while the server runs."""
    caller: AsyncCaller
    mailer: Mailer | None
    """None where the operator named no mail server: then nothing is sent by mail."""
    secrets: Secrets
    decisions: DecisionStore
    inbox: InboxStore
    directory: AgentDirectory
    clock: Clock

    @property
    def identity(self) -> ServerIdentity:
        return self.current_identity()

    async def send(self, sending: Sending) -> str | None:
        """What the person sees of it; None when there was nothing left to tell. Raises what the sending raises."""
        if sending.channel is Channel.CONFIRMATION:
            return await self._confirm(sending)
        waiting = [one for about, about_id in sending.about if (one := await self._waiting(about, about_id))]
        if not waiting:
            return None
        now, issuer = self.clock.now(), self.identity.issuer
        if sending.channel is Channel.WEBHOOK:
            body = waiting_json(waiting, issuer=issuer, batch=sending.batch, now=now)
            key = webhook_key(self.secrets, sending.person_id, sending.nonce)
            return await call_webhook(
                self.caller, self.identity, url=sending.target, key=key, batch=sending.batch, body=body, now=now
            )
        mailer = self._mailer()
        await mailer.send(
            waiting_mail(
                waiting, sender=mailer.settings.sender, to=sending.target, issuer=issuer, batch=sending.batch, now=now
            )
        )
        return "The mail server took it."

    async def _confirm(self, sending: Sending) -> str:
        mailer = self._mailer()
        await mailer.send(
            confirmation_mail(
                confirmation_token(self.secrets, sending.person_id, sending.nonce),
                sender=mailer.settings.sender,
                to=sending.target,
                issuer=self.identity.issuer,
                batch=sending.batch,
                now=self.clock.now(),
            )
        )
        return "The mail server took it."

    def _mailer(self) -> Mailer:
        if self.mailer is None:
            raise Unavailable("This server sends no mail.")
        return self.mailer

    async def _waiting(self, about: About, about_id: str) -> Waiting | None:
        """What is to be said of it, as long as it waits."""
        issuer = self.identity.issuer
        if about is About.REQUEST:
            request = await self.decisions.by_id(about_id)
            if request is None or request.state not in OPEN:
                return None
            return Waiting(
                about=about,
                id=about_id,
                agent_name=request.agent_name,
                agent_id=request.agent,
                resource_name=request.resource_name,
                resource=request.resource,
                url=f"{issuer}/ui/requests/{about_id}",
                expires_at=request.expires_at,
            )
        if about is About.INBOX:
            item = await self.inbox.by_id(about_id)
            if item is None or not item.is_open:
                return None
            url = f"{issuer}/ui/inbox#{about_id}"
            return Waiting(
                about=about,
                id=about_id,
                agent_name=item.agent_name,
                agent_id=item.agent,
                url=url,
                expires_at=item.expires_at,
            )
        for enrolment in await self.directory.waiting_enrolments(None):
            if enrolment.id == about_id:
                name, until = enrolment.agent_name, enrolment.expires_at
                return Waiting(
                    about=about, id=about_id, agent_name=name, agent_id="", url=f"{issuer}/ui/", expires_at=until
                )
        return None


class NotificationOutbox:
    """Sends what the store holds while it is ``running``."""

    def __init__(self, store: NoticeStore, postman: Postman) -> None:
        self._store = store
        self._postman = postman
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self._stopping.clear()
        worker = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self._stopping.set()
            await worker
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if self._postman.mailer is not None:
                self._postman.mailer.close()

    async def send_due(self) -> int:
        """Send all that is due now and wait for it; how many channels that were."""
        claimed = await self._store.claim(_MOST_UNDER_WAY)
        await asyncio.gather(*(self._send(sending) for sending in claimed))
        return len(claimed)

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                for sending in await self._store.claim(_MOST_UNDER_WAY - len(self._tasks)):
                    task = asyncio.create_task(self._send(sending))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
            except Exception:  # the database may be away for a moment; what is in it is still there afterwards
                _log.exception("notices could not be read")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY):
                    await self._stopping.wait()

    async def _send(self, sending: Sending) -> None:
        try:
            outcome = await self._sent(sending)
            if outcome is None:
                await self._store.nothing_to_tell(sending)
            else:
                _log.info("told: channel=%s batch=%s", sending.channel, sending.batch)
                await self._store.told(sending, outcome)
        except AAuthError as error:
            _log.info(
                "not told: channel=%s batch=%s (%s) %s", sending.channel, sending.batch, error.detail, error.debug
            )
            await self._store.failed(sending, error.detail)
        except Exception:  # its lease runs out, and it is tried again
            _log.exception("a notice failed: channel=%s batch=%s", sending.channel, sending.batch)

    async def _sent(self, sending: Sending) -> str | None:
        # Stopping does not wait for a receiver: the call is broken off, never what talks to the database.
        call = asyncio.create_task(self._postman.send(sending))
        stop = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({call, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not call.done():
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            raise Unavailable("The server stopped while it told.")
        return call.result()
