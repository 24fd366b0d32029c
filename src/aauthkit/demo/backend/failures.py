"""Why a run failed, told apart: turns whatever the call to the supply-chain agent raised into a code and a sentence.

It never repeats a token, an address of another person's data, or the text of an unexpected exception.
"""

from __future__ import annotations

from collections.abc import Mapping

import httpx2

from aauthkit import errors
from aauthkit.demo.backend.shapes import Failure


class AgentAnsweredError(Exception):
    """The supply-chain agent answered, and the answer is an error or not what it promises."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.failure = Failure(code=code, message=message)


class NoIdentity(Exception):
    """The backend has no agent identity yet; `reason` says why in words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


# The codes a run can fail with, and what the person reads. Stable: the page and the test suites key on them.
SENTENCES = {
    "denied": "You denied the agents' request, so nothing was done.",
    "abandoned": "The request for your consent was closed before you decided.",
    "expired": "Nobody decided in time, so the request for consent expired. Start again to be asked again.",
    "cancelled": "You cancelled this run, so nothing was planned.",
    "unreachable": "A part of the system cannot be reached. Try again when it is back.",
    "timed_out": "The supply-chain agent did not answer in time. Try again.",
    "authorization_denied": "The gateway's policy does not allow the backend to do this.",
    "unauthorized": "The supply-chain agent did not accept the backend's credentials.",
    "agent_revoked": "The backend's permission to act for you was revoked at the person server.",
    "rate_limited": "Too many requests in a short time. Wait a moment and try again.",
    "agent_error": "The supply-chain agent could not do what was asked.",
    "bad_answer": "The supply-chain agent answered with something that is not a plan.",
    "protocol_error": "A part of the system answered in a way the protocol does not allow.",
    "no_identity": "The backend has no agent identity yet.",
    "interrupted": "The backend was restarted while this ran. Start it again.",
    "internal_error": "Something went wrong in the backend. Try again.",
}

# First match wins: the narrow classes stand above the wide ones.
_BY_CLASS: tuple[tuple[type[Exception], str], ...] = (
    (errors.Abandoned, "abandoned"),
    (errors.AgentRevoked, "agent_revoked"),
    (errors.PolicyDenied, "authorization_denied"),
    (errors.UntrustedIssuer, "unauthorized"),
    (errors.DeniedError, "denied"),
    (errors.Expired, "expired"),
    (errors.RateLimited, "rate_limited"),
    (errors.Unavailable, "unreachable"),
    (errors.CannotSign, "no_identity"),
    (errors.Challenge, "unauthorized"),
    (errors.InvalidResponse, "protocol_error"),
    (errors.PeerError, "unauthorized"),
    (httpx2.TimeoutException, "timed_out"),
    (TimeoutError, "timed_out"),
    (httpx2.TransportError, "unreachable"),
    (OSError, "unreachable"),
)


def failure(code: str, addition: str = "") -> Failure:
    sentence = SENTENCES[code]
    return Failure(code=code, message=f"{sentence} {addition}".strip())


def failure_of(error: BaseException) -> Failure:
    """The failure to show for an exception out of the call."""
    if isinstance(error, AgentAnsweredError):
        return error.failure
    if isinstance(error, NoIdentity):
        return failure("no_identity", error.reason)
    if isinstance(error, httpx2.ConnectTimeout):
        return _unreachable(error)
    for known, code in _BY_CLASS:
        if isinstance(error, known):
            return _unreachable(error) if code == "unreachable" else failure(code)
    return failure("internal_error")


def with_names(told: Failure, names: Mapping[str, str]) -> Failure:
    """The same, with a name for people beside the address of what cannot be reached."""
    if told.code != "unreachable":
        return told
    message = told.message
    for address, name in names.items():
        message = message.replace(address, f"{name} ({address})")
    return told.model_copy(update={"message": message})


def _unreachable(error: BaseException) -> Failure:
    silent = _who_is_silent(error)
    if silent is None:
        return failure("unreachable")
    words = f"A part of the system cannot be reached: {silent} Try again when it is back."
    return Failure(code="unreachable", message=words)


def _who_is_silent(error: BaseException) -> str | None:
    if isinstance(error, errors.Unavailable):
        return error.detail
    if isinstance(error, httpx2.RequestError):
        return f"{error.request.url.netloc.decode()} does not answer."
    return None
