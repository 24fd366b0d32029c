"""Waiting for a deferred answer (AAuth-01 "Deferred Responses"): the agent's side of the state machine.

The pending URL must be on the server's own origin; a person has as long as the server gives them, up to our own bound.
Where a person is sent is checked too: an address that a browser would do something else with is not passed on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from urllib.parse import urljoin

from aauthkit.agent.interaction import Interaction
from aauthkit.agent.steps import Incoming, Notify, Outgoing, Sleep, Steps
from aauthkit.clock import Clock
from aauthkit.errors import (
    AAuthError,
    Abandoned,
    AgentRevoked,
    Denied,
    DeniedError,
    Expired,
    ExpiredAgentToken,
    ExpiredResourceToken,
    ExpiredUpstreamToken,
    InteractionRequired,
    InvalidAgentToken,
    InvalidCode,
    InvalidRequest,
    InvalidResourceToken,
    InvalidResponse,
    InvalidScope,
    InvalidUpstreamToken,
    NotFound,
    PolicyDenied,
    RateLimited,
    Unavailable,
    UntrustedIssuer,
)
from aauthkit.headers import Requirement, parse_requirement
from aauthkit.identifiers import endpoint_url, origin_of

# Below the minute at which proxies give up, and what AAuth-01's own examples ask for.
WAIT_SECONDS = 45
# How long beyond the promised wait a server may take before the connection counts as broken.
WAIT_GRACE = 15
DEFAULT_INTERVAL = 5
SLOW_DOWN_STEP = 5
# A server that comes back within this is one that was restarted; the person's decision is waiting there.
LONGEST_OUTAGE = timedelta(minutes=2)
# Twice what our own person server gives a person to decide and an agent to collect.
PATIENCE = timedelta(minutes=40)
# An answer within this many seconds although a wait was asked for: the server does not hold requests open.
_AT_ONCE = 5.0
_MOST_TEXT = 500
_MOST_CODE = 128

_BY_CODE: Mapping[str, type[AAuthError]] = MappingProxyType(
    {
        kind.code: kind
        for kind in (
            Denied,
            Abandoned,
            Expired,
            InvalidCode,
            AgentRevoked,
            InteractionRequired,
            PolicyDenied,
            UntrustedIssuer,
            InvalidAgentToken,
            ExpiredAgentToken,
            InvalidResourceToken,
            ExpiredResourceToken,
            InvalidUpstreamToken,
            ExpiredUpstreamToken,
            InvalidScope,
            InvalidRequest,
            NotFound,
        )
    }
)

SendSigned = Callable[[Outgoing, float], Steps[Incoming]]


def is_deferred(response: Incoming) -> bool:
    """Whether a response is an AAuth pending answer rather than a 202 of the application's own."""
    if response.status != 202 or response.redirected or "location" not in response.headers:
        return False
    return "aauth-requirement" in response.headers or response.json().get("status") in ("pending", "interacting")


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """How one deferred answer is waited for: never in a hurry with a server that does not hold requests open.

    ``development`` lets a person be sent to a loopback address. ``polls`` bounds their number, for polls that go
    through an application's client: it counts each as a redirect. Without long polls they are then spread out.
    """

    clock: Clock
    development: bool
    patience: timedelta = PATIENCE
    polls: int | None = None

    def is_away(self, response: Incoming) -> bool:
        """Whether this only says that the server cannot answer now. A resource's final answer may be any 5xx: there
        only the 503 that says when to come back is none.
        """
        if self.polls is None:
            return response.status in (502, 503, 504)
        return response.status == 503 and "retry-after" in response.headers

    def gap(self, done: int, began: float) -> float:
        """Seconds to add after ``done`` polls, the last of which began at ``began``."""
        if self.clock.now() - began >= _AT_ONCE:
            return 0.0
        return 1.0 if self.polls is None else min(60.0, 1.6**done)


def poll(first: Incoming, send_signed: SendSigned, waiting: Waiting) -> Steps[Incoming]:
    """Poll until the answer is final; ``send_signed`` signs a GET and sends it with a read timeout in seconds.

    Raises ``Expired`` when our own patience ends, ``Unavailable`` when the server stays away, ``InvalidResponse`` for
    a pending or interaction address that is not to be followed.
    """
    url = _pending_url(first)
    clock, response, told, slower, done = waiting.clock, first, "", 0, 0
    started = answered = clock.now()
    wait: float = first.seconds("retry-after", DEFAULT_INTERVAL)
    while clock.now() - started < waiting.patience.total_seconds() and (waiting.polls is None or done < waiting.polls):
        told = yield from _tell(response, url, told, waiting)
        if wait:
            yield Sleep(wait)
        began = clock.now()
        outcome = yield from _ask(url, send_signed, waiting)
        done += 1
        if isinstance(outcome, Incoming) and not _is_waiting(outcome):
            return outcome
        if isinstance(outcome, Unavailable):
            if clock.now() - answered >= LONGEST_OUTAGE.total_seconds():
                raise outcome
            wait = max(1.0, outcome.retry_after)  # a proxy whose server is starting answers at once
            continue
        answered = clock.now()
        if outcome.status == 429:
            slower += SLOW_DOWN_STEP
        else:
            response = outcome
        wait = max(outcome.seconds("retry-after", DEFAULT_INTERVAL) + slower, waiting.gap(done, began))
    raise Expired("The request is still pending after a very long time; make it again.")


def _ask(url: str, send_signed: SendSigned, waiting: Waiting) -> Steps[Incoming | Unavailable]:
    """One poll. A server that is away for a moment is an answer too: what it holds outlives a restart."""
    request = Outgoing(method="GET", url=url, headers=(("Prefer", f"wait={WAIT_SECONDS}"),))
    try:
        response = yield from send_signed(request, WAIT_SECONDS + WAIT_GRACE)
    except Unavailable as error:
        return error
    return _unavailable(response) if waiting.is_away(response) else response


def _is_waiting(response: Incoming) -> bool:
    return response.status in (202, 429) and not response.redirected


def error_of(response: Incoming) -> AAuthError:
    """The error a server's final answer means, for the application to catch by type."""
    code, text = response.json().get("error"), _words(response)
    if response.status == 429:
        return RateLimited(text, retry_after=response.seconds("retry-after", DEFAULT_INTERVAL))
    if response.status >= 500:
        return _unavailable(response)
    known = _BY_CODE.get(code) if isinstance(code, str) else None
    if known is not None:
        return known(text)
    if response.status == 403:
        return DeniedError(text)
    reason = _printable(response.headers.get("signature-error") or code)
    return InvalidResponse(f"{text} ({response.status} {reason})".replace(" )", ")"))


def _unavailable(response: Incoming) -> Unavailable:
    return Unavailable(_words(response), retry_after=response.seconds("retry-after", DEFAULT_INTERVAL))


def _words(response: Incoming) -> str:
    return _printable(response.json().get("error_description")) or f"The server answered {response.status}."


def _printable(text: object) -> str:
    """A server's own words, fit for a log and a page; empty when there are none."""
    kept = text[:_MOST_TEXT] if isinstance(text, str) else ""
    return "".join(character if character.isprintable() else " " for character in kept).strip()


def _pending_url(response: Incoming) -> str:
    try:
        url = urljoin(response.url, response.headers.get("location", ""))
        on_origin = origin_of(url) == origin_of(response.url)
    except ValueError:
        on_origin = False
    if not on_origin:
        raise InvalidResponse("The server's pending URL is on another origin, so it is not polled.")
    return url


def _tell(response: Incoming, pending_url: str, told: str, waiting: Waiting) -> Steps[str]:
    """Notify of a new interaction once, and of the person having arrived once; returns what was last told."""
    header = response.headers.get("aauth-requirement")
    wanted = parse_requirement(header) if header else Requirement(kind="")
    status = response.json().get("status")
    if wanted.kind == "interaction":
        interaction = _interaction(wanted, pending_url, waiting)
        if told not in (interaction.code, f"{interaction.code} interacting"):
            yield Notify(interaction)
            told = interaction.code
    if wanted.kind == "approval" and not told:
        yield Notify("approval")
        told = "approval"
    if status == "interacting" and not told.endswith(" interacting"):
        yield Notify("interacting")
        told = f"{told} interacting"
    return told


def _interaction(wanted: Requirement, pending_url: str, waiting: Waiting) -> Interaction:
    """AAuth-01 "Interaction Required": an https address without query or fragment, and a code."""
    code = wanted.parameters.get("code", "")
    if not 0 < len(code) <= _MOST_CODE or not code.isascii() or not code.isprintable():
        raise InvalidResponse("The server asks for a person without a usable code.")
    try:
        url = endpoint_url(wanted.parameters.get("url"), development=waiting.development)
    except InvalidRequest as error:
        raise InvalidResponse(f"The server sends the person to an address that is refused: {error.detail}") from error
    return Interaction(url=url, code=code, pending_url=pending_url)
