"""What an agent of the example sees of a call: a question with a caller, and the reply it gives. Knows no protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from aauthkit.errors import (
    AAuthError,
    Abandoned,
    AgentRevoked,
    DeniedError,
    Expired,
    PeerError,
    PolicyDenied,
    RateLimited,
    Unavailable,
)


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who asks, as the guard verified it. `person_needed` tells them that a person must act further down the chain."""

    agent: str | None
    audience: str
    scope: str | None = None
    act: Mapping[str, Any] | None = None
    auth_token: str | None = field(default=None, repr=False)
    person_needed: Callable[[Any], None] | None = field(default=None, repr=False)

    def as_delegation(self) -> dict[str, Any]:
        """Who acts for whom, without the person: their identifier is directed at one resource and stays there."""
        members = {"agent": self.agent, "aud": self.audience, "scope": self.scope, "act": self.act}
        return {name: value for name, value in members.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Question:
    """One message: its words, its structured part, and who sent it (None where nothing guards the agent)."""

    text: str
    data: Mapping[str, Any]
    caller: Caller | None = None


@dataclass(frozen=True, kw_only=True)
class Reply:
    """The same answer twice: markdown for a person, data for a program."""

    markdown: str
    data: Mapping[str, Any]


class Answers(Protocol):
    """An agent. It raises `CannotAnswer` when it cannot; anything else it raises is a bug."""

    async def answer(self, question: Question) -> Reply: ...


class CannotAnswer(Exception):
    """The agent cannot do what was asked. `code` is for programs and stable; the text is for people.

    `caller_is_at_fault` tells an unusable question from trouble behind the agent.
    """

    def __init__(self, code: str, message: str, *, caller_is_at_fault: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.caller_is_at_fault = caller_is_at_fault


# The first class that fits decides, so the narrow ones stand first.
_CODES: tuple[tuple[type[AAuthError], str], ...] = (
    (Abandoned, "abandoned"),
    (AgentRevoked, "agent_revoked"),
    (PolicyDenied, "authorization_denied"),
    (DeniedError, "denied"),
    (Expired, "expired"),
    (RateLimited, "rate_limited"),
    (Unavailable, "unreachable"),
    (PeerError, "unauthorized"),
)


def refused(who: str, error: AAuthError) -> CannotAnswer:
    """What an AAuth error on the way to `who` means for whoever asked."""
    code = next((code for kind, code in _CODES if isinstance(error, kind)), "agent_error")
    return CannotAnswer(code, f"The call to {who} failed: {error.detail}")


# What an HTTP answer means that is not the peer's own: the gateway's, or its guard's.
_STATUSES = {401: "unauthorized", 403: "authorization_denied", 408: "expired", 429: "rate_limited"}
_UNREACHABLE = frozenset({502, 503, 504})


def answered(who: str, status: int) -> CannotAnswer:
    """What an HTTP status without an answer in it means for whoever asked."""
    if status in _UNREACHABLE:
        return unreachable(who)
    return CannotAnswer(_STATUSES.get(status, "agent_error"), f"{_capital(who)} refused the call with HTTP {status}.")


def unreachable(who: str) -> CannotAnswer:
    return CannotAnswer("unreachable", f"{_capital(who)} cannot be reached. Try again when it is back.")


def timed_out(who: str) -> CannotAnswer:
    return CannotAnswer("timed_out", f"{_capital(who)} did not answer in time. Try again.")


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
