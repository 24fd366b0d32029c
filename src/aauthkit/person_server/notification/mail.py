"""Handing a mail to the operator's mail server (SMTP), in a thread: TLS verified, time bounded, nothing tried twice."""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Any
from urllib.parse import unquote, urlsplit

from aauthkit.errors import ConfigurationError, InvalidRequest, Unavailable
from aauthkit.identifiers import is_loopback
from aauthkit.person_server.notification.message import mail_address

# By the scheme of the URL: TLS from the first byte, TLS after STARTTLS (never without), or none, on this machine only.
_PORTS = {"smtps": 465, "smtp": 587, "smtp+plain": 25}
# One step of the conversation, and all of it.
_STEP = timedelta(seconds=10)
_WHOLE = timedelta(seconds=30)
# Mail servers dislike many connections of one client, and a stuck one must not hold up the rest.
_AT_ONCE = 4


@dataclass(frozen=True, kw_only=True)
class MailSettings:
    """The mail server, and whom its mails come from; checked when it is made."""

    scheme: str
    host: str
    port: int
    sender: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, url: str, *, sender: str | None, password: str | None) -> MailSettings:
        """Read `smtps://user@host:465`, `smtp://…` or `smtp+plain://localhost:25`; raises ``ConfigurationError``."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ConfigurationError(f"--smtp is not a URL: {error}") from error
        if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
            raise ConfigurationError("--smtp is smtps://HOST, smtp://HOST (STARTTLS) or smtp+plain://localhost.")
        if parts.password is not None:
            raise ConfigurationError("--smtp holds no password, which others would see; use AAUTH_SMTP_PASSWORD.")
        if parts.scheme == "smtp+plain" and not is_loopback(parts.hostname):
            raise ConfigurationError("Mail without TLS is for a mail server on this machine only.")
        if (parts.username is None) != (password is None):
            raise ConfigurationError("A mail server wants a user in --smtp and AAUTH_SMTP_PASSWORD, or neither.")
        return cls(
            scheme=parts.scheme,
            host=parts.hostname,
            port=port or _PORTS[parts.scheme],
            sender=_sender(sender),
            username=unquote(parts.username) if parts.username else None,
            password=password,
        )


def _sender(value: str | None) -> str:
    name, address = parseaddr(value) if value and value.isprintable() else ("", "")
    try:
        user, _, domain = mail_address(address).rpartition("@")
        return str(Address(display_name=name, username=user, domain=domain))
    except (InvalidRequest, ValueError) as error:
        raise ConfigurationError('--smtp needs --smtp-sender, such as "Agents <no-reply@ps.example>".') from error


class Mailer:
    """Sends. ``tls`` is for tests with a certificate authority of their own; others have the system's."""

    def __init__(self, settings: MailSettings, *, tls: ssl.SSLContext | None = None) -> None:
        self.settings = settings
        self._tls = tls or ssl.create_default_context()
        self._threads = ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="mail")

    async def send(self, message: EmailMessage) -> None:
        """Raises ``Unavailable`` when the mail server did not take it, ``InvalidRequest`` when it never will."""
        loop, opened = asyncio.get_running_loop(), list[smtplib.SMTP]()
        sending = loop.run_in_executor(self._threads, self._send, message, opened)
        try:
            async with asyncio.timeout(_WHOLE.total_seconds()):
                await asyncio.shield(sending)
        except TimeoutError as error:
            for connection in opened:
                _break_off(connection)
            sending.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise Unavailable("The mail server is too slow.") from error
        except smtplib.SMTPRecipientsRefused as error:
            raise InvalidRequest("The mail server does not take mail for this address.", debug=repr(error)) from error
        except (smtplib.SMTPException, OSError) as error:
            raise Unavailable("The mail server did not take the mail.", debug=repr(error)) from error

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _send(self, message: EmailMessage, opened: list[smtplib.SMTP]) -> None:
        with self._connected(opened) as connection:
            if self.settings.scheme == "smtp":
                # Raises where the server offers no TLS: a password and a person's business go over nothing else.
                connection.starttls(context=self._tls)
            if self.settings.username is not None:
                connection.login(self.settings.username, self.settings.password or "")
            connection.send_message(message)

    def _connected(self, opened: list[smtplib.SMTP]) -> smtplib.SMTP:
        host, port, seconds = self.settings.host, self.settings.port, _STEP.total_seconds()
        if self.settings.scheme == "smtps":
            return _KnownTLS(opened, host, port, timeout=seconds, context=self._tls)
        return _Known(opened, host, port, timeout=seconds)


class _Known(smtplib.SMTP):
    """A connection that others know of before it is made: connecting waits for the server's greeting already."""

    def __init__(self, opened: list[smtplib.SMTP], *args: Any, **more: Any) -> None:
        opened.append(self)
        super().__init__(*args, **more)


class _KnownTLS(smtplib.SMTP_SSL):
    """The same with TLS from the first byte."""

    def __init__(self, opened: list[smtplib.SMTP], *args: Any, **more: Any) -> None:
        opened.append(self)
        super().__init__(*args, **more)


def _break_off(connection: smtplib.SMTP) -> None:
    """The thread's step fails now. Closing would wait for it, with everybody else: it reads, and holds the file."""
    if connection.sock is not None:
        with contextlib.suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)
