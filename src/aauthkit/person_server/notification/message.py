"""What is said when something waits: plain text for a mail, JSON for a webhook. Nothing is sent here.

Who asks and for what is quoted as theirs. There is never a code in it, nor a token that decides: the link leads to a
page that wants its person signed in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlsplit

from aauthkit.errors import InvalidRequest
from aauthkit.person_server.storage.notices import About

# More than this is looked at in the page.
_MOST_LISTED = 10
_LONGEST_NAME = 80
# What a mail program would make a link of; a name is no place for one.
_LOOKS_LIKE_AN_ADDRESS = re.compile(r"://|@|\bwww\b|[^\W_]\.[^\W\d_]{2,}", re.IGNORECASE)
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)*[A-Za-z0-9-]{1,63}")
_LONGEST_ADDRESS = 254


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """One thing that waits."""

    about: About
    id: str
    agent_name: str
    agent_id: str
    """'' for an agent nobody let in yet."""
    resource_name: str = ""
    resource: str = ""
    url: str
    expires_at: float


def mail_address(value: str) -> str:
    """The address when mail can be sent to it; raises ``InvalidRequest``. Nothing in it can begin another header."""
    if len(value) > _LONGEST_ADDRESS or not _ADDRESS.fullmatch(value):
        raise InvalidRequest("That is not an address mail can be sent to.")
    return value


def quoted(name: str) -> str:
    """A name somebody gave themselves, on one line; one that would become a link in a mail is not repeated."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in name).split())
    if _LOOKS_LIKE_AN_ADDRESS.search(line):
        return "(a name that looks like an address)"
    shown = line if len(line) <= _LONGEST_NAME else f"{line[:_LONGEST_NAME]}…"
    return "“" + shown.replace("“", '"').replace("”", '"') + "”"


def waiting_mail(
    waiting: Sequence[Waiting], *, sender: str, to: str, issuer: str, batch: str, now: float
) -> EmailMessage:
    number = len(waiting)
    host = urlsplit(issuer).netloc
    subject = f"Something waits for you at {host}" if number == 1 else f"{number} things wait for you at {host}"
    lines = [f"At {issuer} something waits for you to decide. Sign in there and look:", ""]
    for one in waiting[:_MOST_LISTED]:
        lines += [f"- {_sentence(one)}", f"  Until {_in_words(one.expires_at)}: {one.url}", ""]
    if number > _MOST_LISTED:
        lines += [f"And {number - _MOST_LISTED} more: {issuer}/ui/", ""]
    lines += [
        "What stands in quotation marks is what agents and resources call themselves; nobody checked it.",
        "Nothing is decided by answering this mail, and nobody needs a code or a password from you for it.",
        f"You asked to be told; you can change that at {issuer}/ui/notification",
    ]
    return _mail(subject, lines, sender=sender, to=to, issuer=issuer, batch=batch, now=now)


def confirmation_mail(token: str, *, sender: str, to: str, issuer: str, batch: str, now: float) -> EmailMessage:
    lines = [
        f"Somebody who is signed in at {issuer} wants to be told at this address when an agent waits for them.",
        "If that is you, sign in there and confirm it:",
        "",
        f"  {issuer}/ui/notification/confirm?token={token}",
        "",
        "If it is not, there is nothing to do: without that, no more mail comes.",
    ]
    subject = f"Is this your address? ({urlsplit(issuer).netloc})"
    return _mail(subject, lines, sender=sender, to=to, issuer=issuer, batch=batch, now=now)


def waiting_json(waiting: Sequence[Waiting], *, issuer: str, batch: str, now: float) -> bytes:
    """The body of a webhook; its `id` is the same when it is sent again."""
    found = {
        "id": batch,
        "type": "waiting",
        "issuer": issuer,
        "sent_at": _iso(now),
        "waiting": [_member(one) for one in waiting[:_MOST_LISTED]],
        "more": max(0, len(waiting) - _MOST_LISTED),
    }
    return json.dumps(found).encode()


def _member(one: Waiting) -> dict[str, Any]:
    return {
        "kind": str(one.about),
        "id": one.id,
        "agent_name": one.agent_name,
        "agent_id": one.agent_id or None,
        "resource_name": one.resource_name or None,
        "resource_iss": one.resource or None,
        "url": one.url,
        "expires_at": _iso(one.expires_at),
    }


def _sentence(one: Waiting) -> str:
    agent = f"The agent that calls itself {quoted(one.agent_name)}"
    if one.about is About.REQUEST:
        return f"{agent} asks for access to {quoted(one.resource_name)} at {urlsplit(one.resource).netloc}."
    if one.about is About.ENROLMENT:
        return f"An agent that calls itself {quoted(one.agent_name)} asks to be let in."
    return f"{agent} has a question for you, or something to do."


def _mail(
    subject: str, lines: Sequence[str], *, sender: str, to: str, issuer: str, batch: str, now: float
) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = mail_address(to)
    message["Subject"] = subject
    message["Date"] = format_datetime(datetime.fromtimestamp(now, UTC))
    message["Message-ID"] = f"<{batch}@{urlsplit(issuer).hostname}>"
    # No program answers it, and no list server passes it on (RFC 3834).
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n".join(lines) + "\n")
    return message


def _in_words(unix_seconds: float) -> str:
    return f"{datetime.fromtimestamp(unix_seconds, UTC):%d %b, %H:%M} UTC"


def _iso(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec="seconds")
