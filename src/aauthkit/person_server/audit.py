"""What is written down about what happened: events as frozen values, the sentence for each, and the chain of hashes.

An event is told as it was: names and a resource's words are copied into it, so that a later change rewrites nothing.
Nothing here reads or writes a database; `storage/audit.py` does.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from string import Formatter
from types import MappingProxyType

from aauthkit.person_server.asking.markdown import plain_line

_LIKE_A_SENTENCE = re.compile(r"""[.,:;!?]\s|[\r\n"“”]""")
_QUOTATION_MARKS = re.compile(r"""["“”]""")
# What stands before the first row.
GENESIS = "0" * 64


class Kind(StrEnum):
    """What an event is about."""

    AGENT = "agent"
    REQUEST = "request"
    TOKEN = "token"
    REVOCATION = "revocation"
    CONSENT = "consent"
    PERMISSION = "permission"
    QUESTION = "question"
    CLARIFICATION = "clarification"
    RULE = "rule"
    SETTING = "setting"
    TICKET = "ticket"
    SESSION = "session"
    PASSKEY = "passkey"
    PERSON = "person"
    PROVIDER = "provider"


class Outcome(StrEnum):
    """What became of it."""

    ASKED = "asked"
    APPROVED = "approved"
    DENIED = "denied"
    TICKETED = "ticketed"
    LINKED = "linked"
    RENAMED = "renamed"
    REVOKED = "revoked"
    ANSWERED = "answered"
    CHANGED = "changed"
    ABANDONED = "abandoned"
    EXPIRED = "expired"
    FAILED = "failed"
    BROKEN = "broken"
    WITHDRAWN = "withdrawn"
    ISSUED = "issued"
    RECEIVED = "received"
    DELIVERED = "delivered"
    UNSUPPORTED = "unsupported"
    SET = "set"
    REMOVED = "removed"
    ADDED = "added"
    OPENED = "opened"
    CLOSED = "closed"
    ENDED = "ended"
    DISABLED = "disabled"


# The sentence of each event; what stands in braces is written by `_PIECES`. An event without a sentence cannot be made.
SENTENCES: Mapping[tuple[Kind, Outcome], str] = MappingProxyType(
    {
        (Kind.AGENT, Outcome.ASKED): "{agent} asked to be let in{detail}",
        (Kind.AGENT, Outcome.APPROVED): "{who} let {agent} in{detail}",
        (Kind.AGENT, Outcome.TICKETED): "{agent} came in by a ticket for {person}{detail}",
        (Kind.AGENT, Outcome.DENIED): "{who} declined to let {agent} in{detail}",
        (Kind.AGENT, Outcome.LINKED): "{who} linked a new key to {agent}{detail}",
        (Kind.AGENT, Outcome.RENAMED): "{who} renamed {agent}{detail}",
        (Kind.AGENT, Outcome.REVOKED): "{who} revoked {agent}{detail}",
        (Kind.REQUEST, Outcome.ASKED): "{agent} asked {person} to be allowed to {scopes} at {resource}{via}{account}",
        (Kind.REQUEST, Outcome.APPROVED): (
            "{who} allowed {agent} to {scopes} at {resource}{via}{account}{how_long}{detail}"
        ),
        (Kind.REQUEST, Outcome.DENIED): "{who} did not allow {agent} to {scopes} at {resource}{via}{account}{detail}",
        (Kind.REQUEST, Outcome.ABANDONED): (
            "{person} left without deciding whether {agent} may {scopes} at {resource}{via}{account}{detail}"
        ),
        (Kind.REQUEST, Outcome.EXPIRED): (
            "Nobody decided in time whether {agent} may {scopes} at {resource} for {person}{via}{account}{detail}"
        ),
        (Kind.REQUEST, Outcome.FAILED): (
            "The request of {agent} to {scopes} at {resource} for {person}{via} ended: too many wrong codes{detail}"
        ),
        (Kind.REQUEST, Outcome.BROKEN): (
            "The request of {agent} to {scopes} at {resource} for {person}{via} ended on the resource’s page{detail}"
        ),
        (Kind.REQUEST, Outcome.REVOKED): (
            "The request of {agent} to {scopes} at {resource} for {person}{via} ended: "
            "something it depends on was revoked{detail}"
        ),
        (Kind.REQUEST, Outcome.WITHDRAWN): (
            "{agent} withdrew its request to {scopes} at {resource} for {person}{via}{account}{detail}"
        ),
        (Kind.REQUEST, Outcome.CHANGED): (
            "{agent} changed what it asks {person} for: to {scopes} at {resource}{via}{account}{detail}"
        ),
        (Kind.CLARIFICATION, Outcome.ASKED): "{who} asked {agent} about its request{detail}",
        (Kind.CLARIFICATION, Outcome.ANSWERED): "{agent} answered {person}{detail}",
        (Kind.QUESTION, Outcome.ASKED): "{agent} had a question for {person}{detail}",
        (Kind.QUESTION, Outcome.ANSWERED): "{who} answered {agent}{detail}",
        (Kind.QUESTION, Outcome.DENIED): "{who} declined a question of {agent}{detail}",
        (Kind.QUESTION, Outcome.EXPIRED): "Nobody answered {agent} in time{detail}",
        (Kind.QUESTION, Outcome.REVOKED): "What {agent} asked {person} ended{detail}",
        (Kind.TOKEN, Outcome.ISSUED): "{agent} received {token} to {scopes}{at}{for}{via}{account}{how_long}",
        (Kind.TOKEN, Outcome.REVOKED): "{who} took back what {agent} received to {scopes} at {resource}{detail}",
        (Kind.REVOCATION, Outcome.RECEIVED): "{who} withdrew a token of {agent}{detail}",
        (Kind.REVOCATION, Outcome.DELIVERED): "{resource} was told that a token is withdrawn{detail}",
        (Kind.REVOCATION, Outcome.UNSUPPORTED): "{resource} takes no revocations{detail}",
        (Kind.CONSENT, Outcome.WITHDRAWN): "{who} no longer lets {agent} {scopes} at {resource}{via}{account}{detail}",
        (Kind.PERMISSION, Outcome.ASKED): "{agent} asked {person} to permit{detail}",
        (Kind.PERMISSION, Outcome.APPROVED): "{who} permitted {agent}{detail}",
        (Kind.PERMISSION, Outcome.DENIED): "{who} did not permit {agent}{detail}",
        (Kind.PERMISSION, Outcome.EXPIRED): "Nobody decided in time what {agent} asked {person} to permit{detail}",
        (Kind.RULE, Outcome.SET): "{who} set a rule{agent_of_rule}{detail}",
        (Kind.RULE, Outcome.REMOVED): "{who} removed a rule{agent_of_rule}{detail}",
        (Kind.SETTING, Outcome.CHANGED): "{who} changed a setting{detail}",
        (Kind.TICKET, Outcome.ADDED): "{who} made an enrolment ticket for {person}{how_long}{detail}",
        (Kind.TICKET, Outcome.REMOVED): "{who} took back an enrolment ticket{detail}",
        (Kind.SESSION, Outcome.OPENED): "{person} signed in{detail}",
        (Kind.SESSION, Outcome.CLOSED): "{person} signed out{detail}",
        (Kind.SESSION, Outcome.FAILED): "A sign-in failed{detail}",
        (Kind.SESSION, Outcome.ENDED): "{who} ended sessions of {person}{detail}",
        (Kind.PASSKEY, Outcome.ADDED): "{who} added a passkey{detail}",
        (Kind.PASSKEY, Outcome.REMOVED): "{who} removed a passkey{detail}",
        (Kind.PERSON, Outcome.ADDED): "{who} added {person}{detail}",
        (Kind.PERSON, Outcome.CHANGED): "{who} changed what {person} may do{detail}",
        (Kind.PERSON, Outcome.RENAMED): "{who} renamed {person}{detail}",
        (Kind.PERSON, Outcome.DISABLED): "{who} disabled {person}{detail}",
        (Kind.PERSON, Outcome.APPROVED): "{who} enabled {person} again{detail}",
        (Kind.PROVIDER, Outcome.SET): "{who} trusts an agent provider{detail}",
        (Kind.PROVIDER, Outcome.REMOVED): "{who} no longer trusts an agent provider{detail}",
    }
)
# `Event.token` in words.
_TOKENS = {"auth": "a token", "person": "a person token", "agent": "its agent token"}


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that happened; what does not apply stays empty. Its sentence is ``SENTENCES[kind, outcome]``.

    ``detail`` is one short line: a reason, an error code, what was set. Never a token, a code or a secret.
    """

    kind: Kind
    outcome: Outcome
    person_id: str = ""
    """Whose activity it is: who may see it besides administrators. Empty for the server's own."""
    person: str = ""
    """Their name; filled in by `append` from the table of persons."""
    actor: str = ""
    """Who did it when it was not the person: an administrator, the command line, a provider."""
    agent: str = ""
    agent_name: str = ""
    resource: str = ""
    resource_name: str = ""
    scope: str = ""
    """Scope values, separated by spaces."""
    scope_words: Mapping[str, str] = field(default_factory=dict)
    """The scopes in the resource's words."""
    via: str = ""
    """For whom the agent acted, when in a chain."""
    account: str = ""
    token: str = ""
    """`auth`, `person` or `agent`."""
    jti: str = ""
    consent: str = ""
    """The approval: of one, its id (the request's); of a token, the one it was issued under."""
    until: int | None = None
    """Unix seconds."""
    most_uses: int | None = None
    """1 for what holds once."""
    detail: str = ""

    def __post_init__(self) -> None:
        if (self.kind, self.outcome) not in SENTENCES:
            raise ValueError(f"no sentence says that a {self.kind} was {self.outcome}")


@dataclass(frozen=True, kw_only=True)
class Part:
    """A piece of a sentence and whose words it is: ``agent``, ``resource``, ``quoted`` (somebody's), or ours."""

    text: str
    whose: str = ""


def sentence(event: Event, *, used: int | None = None, names: Mapping[str, str] = MappingProxyType({})) -> str:
    """The event as one plain sentence without a full stop; ``names`` are of agents it has only the identifiers of.

    Words of an agent or a resource that could pass for the end of it, and for another, stand in quotation marks.
    """
    return "".join(_plain(part) for part in sentence_parts(event, used=used, names=names))


def _plain(part: Part) -> str:
    if not part.whose or not _LIKE_A_SENTENCE.search(part.text):
        return part.text
    return "“" + _QUOTATION_MARKS.sub("'", part.text) + "”"


def sentence_parts(
    event: Event, *, used: int | None = None, names: Mapping[str, str] = MappingProxyType({})
) -> list[Part]:
    """The event as a sentence in pieces; ``used`` is how many tokens an approval led to."""
    event = replace(event, agent_name=event.agent_name or names.get(event.agent, ""))
    parts: list[Part] = []
    for literal, name, _, _ in Formatter().parse(SENTENCES[event.kind, event.outcome]):
        parts += [Part(text=literal)] if literal else []
        if name == "via":
            parts += _via(event, names)
        elif name is not None:
            parts += _PIECES[name](event)
    if used is not None:
        parts.append(Part(text=", used once" if used == 1 else f", used {used} times"))
    return [part for part in parts if part.text]


def in_words(unix_seconds: float) -> str:
    """A time as people write it; whose clock it is must be said, as a page does not know theirs."""
    moment = datetime.fromtimestamp(unix_seconds, UTC)
    return f"{moment.day} {moment:%b %Y, %H:%M} UTC"


def _person(event: Event) -> list[Part]:
    return [Part(text=event.person or "somebody")]


def _who(event: Event) -> list[Part]:
    return [Part(text=event.actor or event.person or "Somebody")]


def _agent(event: Event) -> list[Part]:
    return [Part(text=event.agent_name or event.agent or "an agent", whose="agent")]


def _resource(event: Event) -> list[Part]:
    return [Part(text=event.resource_name or event.resource or "a resource", whose="resource")]


def _scopes(event: Event) -> list[Part]:
    scopes = event.scope.split()
    if not scopes:
        return [Part(text="act for its person" if event.token == "agent" else f"act as {event.person or 'its person'}")]
    parts: list[Part] = []
    for place, scope in enumerate(scopes):
        if place:
            parts.append(Part(text=" and " if place == len(scopes) - 1 else ", "))
        words = plain_line(event.scope_words.get(scope, "")).strip()
        parts.append(Part(text=_as_verb(words or scope), whose="resource"))
    return parts


def _as_verb(words: str) -> str:
    """“Optimize the supply chain” goes on a sentence as “optimize the supply chain”; “API access” stays."""
    return words[:1].lower() + words[1:] if words[1:2].islower() else words


def _via(event: Event, names: Mapping[str, str]) -> list[Part]:
    parts: list[Part] = []
    for place, agent in enumerate(event.via.split()):
        parts += [Part(text=", " if place else ", for "), Part(text=names.get(agent, agent), whose="agent")]
    return parts


def _how_long(event: Event) -> list[Part]:
    once = " once" if event.most_uses == 1 else ""
    return [Part(text=once + (f", until {in_words(event.until)}" if event.until is not None else ""))]


def _after(before: str, text: str, whose: str = "", after: str = "") -> list[Part]:
    return [Part(text=before), Part(text=text, whose=whose), Part(text=after)] if text else []


_PIECES: Mapping[str, Callable[[Event], list[Part]]] = {
    "person": _person,
    "who": _who,
    "agent": _agent,
    "resource": _resource,
    "scopes": _scopes,
    "how_long": _how_long,
    "account": lambda event: _after(", for the account ", event.account, "resource"),
    # An agent token is for no resource in particular.
    "at": lambda event: [] if event.token == "agent" else [Part(text=" at "), *_resource(event)],
    "for": lambda event: _after(" for ", event.person),
    "token": lambda event: [Part(text=_TOKENS.get(event.token, "a token"))],
    "agent_of_rule": lambda event: _after(" about ", event.agent_name or event.agent, "agent"),
    "detail": lambda event: _after(": ", _detail(event), "quoted"),
}
# What is asked and answered is Markdown.
_TALK = frozenset({Kind.QUESTION, Kind.CLARIFICATION})


def _detail(event: Event) -> str:
    return plain_line(event.detail) if event.kind in _TALK else event.detail


# The chain. Each row is hashed together with the hash before it, so anybody who has the rows can follow it; the seal
# over the hash needs the server's key, so whoever can write to the database, and no more, makes no row that passes.


@dataclass(frozen=True, kw_only=True)
class Head:
    """The end of the chain: how many rows there are, and the hash of the last."""

    seq: int
    hash: str


class ChainKey:
    """Seals hashes with one key; its `repr` shows nothing."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, row_hash: str) -> str:
        return hmac.digest(self._key, row_hash.encode(), "sha256").hex()

    def holds(self, row_hash: str, seal: str) -> bool:
        return hmac.compare_digest(self.seal(row_hash).encode(), seal.encode())

    def __repr__(self) -> str:
        return "ChainKey(***)"


def row_hash(members: Mapping[str, str | int | None], previous: str) -> str:
    """SHA-256 over the row's members and the hash before it, as canonical JSON (RFC 8785).

    What is absent is left out, so a column that is added later changes no hash of an older row.
    """
    present = {name: value for name, value in members.items() if value is not None}
    return hashlib.sha256(canonical(present | {"previous": previous})).hexdigest()


def canonical(members: Mapping[str, str | int]) -> bytes:
    """RFC 8785 for what rows are made of: names in ASCII, strings, and integers below 2^53."""
    return json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def storable(text: str, longest: int) -> str:
    """Text that every database keeps and UTF-8 can write, of at most ``longest`` characters."""
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    return cut.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def search_words(event: Event) -> str:
    """What a search looks in: the sentence and the identifiers, in lower case."""
    told = "".join(part.text for part in sentence_parts(event))
    found = [told, event.agent, event.resource, event.scope, event.jti, event.person, event.actor]
    return " ".join(dict.fromkeys(text for text in found if text)).lower()
