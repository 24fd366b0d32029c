"""Waiting for a deferred answer (AAuth-11 §11.8): the agent's side of the state machine.

The pending URL must be on the server's own origin; a person has as long as the server gives them, up to our own bound.
Where a person is sent is checked too: an address that a browser would do something else with is not passed on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Protocol
from urllib.parse import urljoin

from aauthkit.agent.interaction import Interaction
from aauthkit.agent.steps import Ask, Incoming, Notify, Outgoing, Sleep, Steps, ask
from aauthkit.clock import Clock
from aauthkit.errors import (
    AAuthError,
    Abandoned,
    AccessServerUnreachable,
    AgentRevoked,
    Denied,
    DeniedError,
    Expired,
    ExpiredAgentToken,
    ExpiredPresentedToken,
    ExpiredResourceToken,
    ExpiredSubagentToken,
    ExpiredUpstreamToken,
    Gone,
    InteractionRequired,
    InteractionUnavailable,
    InvalidAccount,
    InvalidAgentToken,
    InvalidCode,
    InvalidPresentedToken,
    InvalidRequest,
    InvalidResourceToken,
    InvalidResponse,
    InvalidScope,
    InvalidSubagentToken,
    InvalidUpstreamToken,
    NotFound,
    PolicyDenied,
    RateLimited,
    RequirementNotMet,
    Revoked,
    RevokedPresentedToken,
    RevokedResourceToken,
    RevokedSubagentToken,
    RevokedUpstreamToken,
    TokenClockSkew,
    Unavailable,
    UntrustedIssuer,
)
from aauthkit.headers import Requirement, parse_requirement
from aauthkit.identifiers import endpoint_url, origin_of

# Below the minute at which proxies give up, and what the specification's own examples ask for.
WAIT_SECONDS = 45
# How long beyond the promised wait a server may take before the connection counts as broken.
WAIT_GRACE = 15
DEFAULT_INTERVAL = 5
SLOW_DOWN_STEP = 5
# A server that comes back within this is one that was restarted; the person's decision is waiting there.
LONGEST_OUTAGE = timedelta(minutes=2)
# Twice what our own person server gives a person to decide and an agent to collect.
PATIENCE = timedelta(minutes=40)
# AAuth-11 §7.5.3 recommends servers to end the questions after five; an agent need not go on for longer either.
MOST_ANSWERS = 5
# A chain of resources may each have a page; more is a server that plays with its people.
MOST_INTERACTIONS = 10
# An answer within this many seconds although a wait was asked for: the server does not hold requests open.
_AT_ONCE = 5.0
_MOST_TEXT = 500
_MOST_CODE = 128
_MOST_QUESTION = 8192

_KINDS: tuple[type[AAuthError], ...] = (
    Denied,
    Abandoned,
    Expired,
    Revoked,
    Gone,
    InvalidCode,
    AgentRevoked,
    InteractionRequired,
    InteractionUnavailable,
    PolicyDenied,
    UntrustedIssuer,
    InvalidAgentToken,
    ExpiredAgentToken,
    InvalidResourceToken,
    ExpiredResourceToken,
    RevokedResourceToken,
    InvalidPresentedToken,
    ExpiredPresentedToken,
    RevokedPresentedToken,
    InvalidUpstreamToken,
    ExpiredUpstreamToken,
    RevokedUpstreamToken,
    InvalidSubagentToken,
    ExpiredSubagentToken,
    RevokedSubagentToken,
    TokenClockSkew,
    InvalidScope,
    InvalidAccount,
    InvalidRequest,
    NotFound,
)
_BY_CODE: Mapping[str, type[AAuthError]] = MappingProxyType(
    {code: kind for kind in _KINDS for code in (kind.code, kind.code_01) if code}
)

# §7.3.1, told as §7.2.3 maps it.
_RETURNED: Mapping[str, tuple[type[AAuthError], str]] = MappingProxyType(
    {
        "access_denied": (Denied, "The person declined."),
        "user_abandoned": (Abandoned, "The person came and did not finish."),
        "interaction_expired": (Expired, "The person's page had expired; make the request again."),
        "temporarily_unavailable": (Unavailable, "The person's page is not available now; try again."),
    }
)

SendSigned = Callable[[Outgoing, float], Steps[Incoming]]
Attend = Callable[[Requirement, Incoming], Steps[None]]


class Channel(Protocol):
    """Another way to the person than the application; ``relay`` has one."""

    def start(self, interaction: Interaction) -> Steps[bool]:
        """Whether the person is being told of ``interaction``."""
        ...

    def has_failed(self) -> Steps[bool]:
        """Whether it turned out that they cannot be."""
        ...


def is_deferred(response: Incoming) -> bool:
    """Whether a response is an AAuth pending answer rather than a 202 of the application's own."""
    if response.status != 202 or response.redirected or "location" not in response.headers:
        return False
    return "aauth-requirement" in response.headers or response.json().get("status") in ("pending", "interacting")


def is_away(response: Incoming) -> bool:
    """Whether this only says that a server of ours, or the proxy before it, cannot answer now."""
    if response.status == 502:
        return response.json().get("error") != AccessServerUnreachable.code
    return response.status in (503, 504)


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """How one deferred answer is waited for: never in a hurry with a server that does not hold requests open.

    ``development`` lets a person be sent to a loopback address. ``polls`` bounds their number, for polls that go
    through an application's client: it counts each as a redirect. Without long polls they are then spread out.
    ``speak`` sends what is not a poll, where that goes another way. ``attend`` meets a requirement that is not about
    a person; ``relay`` tries to reach the person before the application is told, and says whether it could.
    """

    clock: Clock
    development: bool
    patience: timedelta = PATIENCE
    polls: int | None = None
    speak: SendSigned | None = None
    attend: Attend | None = None
    relay: Channel | None = None
    answers_questions: bool = False

    def is_away(self, response: Incoming) -> bool:
        """Whether this only says that the server cannot answer now. A resource's final answer may be any 5xx: there
        only the 503 that says when to come back is none.
        """
        if self.polls is None:
            return is_away(response)
        return response.status == 503 and "retry-after" in response.headers

    def gap(self, done: int, began: float, ends: float) -> float:
        """Seconds to add after ``done`` polls, the last of which began at ``began``, when all must be over at ``ends``.

        A bounded number of polls begins close together and is then spread over all the time the person has.
        """
        if self.clock.now() - began >= _AT_ONCE:
            return 0.0
        if self.polls is None:
            return 1.0
        return min(1.6**done, (ends - self.clock.now()) / max(1, self.polls - done))


def poll(first: Incoming, send_signed: SendSigned, waiting: Waiting) -> Steps[Incoming]:
    """Poll until the answer is final; ``send_signed`` signs a request and sends it with a read timeout in seconds.

    Raises ``Expired`` when our own patience ends, ``Unavailable`` when the server stays away, ``InvalidResponse`` for
    a pending or interaction address that is not to be followed.
    """
    return (yield from _Pending(first, send_signed, waiting).wait())


class _Pending:
    """One pending request as the agent sees it."""

    def __init__(self, first: Incoming, send_signed: SendSigned, waiting: Waiting) -> None:
        self._url = pending_url(first)
        self._latest = first
        self._send = send_signed
        self._waiting = waiting
        self._clock = waiting.clock
        self._told = ""
        self._answered = ""
        self._answers = 0
        self._interactions = 0
        self._interaction: Interaction | None = None

    def wait(self) -> Steps[Incoming]:
        waiting, clock, slower, done = self._waiting, self._clock, 0, 0
        answered = clock.now()
        ends = answered + waiting.patience.total_seconds()
        wait: float = self._latest.seconds("retry-after", DEFAULT_INTERVAL)
        while clock.now() < ends and (waiting.polls is None or done < waiting.polls):
            yield from self._heed()
            if wait:
                yield Sleep(wait)
            began = clock.now()
            outcome = yield from self._ask()
            done += 1
            if isinstance(outcome, Incoming) and not _is_waiting(outcome):
                return outcome
            self._check_return()
            if isinstance(outcome, Unavailable):
                if clock.now() - answered >= LONGEST_OUTAGE.total_seconds():
                    raise outcome
                wait = max(1.0, outcome.retry_after)  # a proxy whose server is starting answers at once
                continue
            answered = clock.now()
            if outcome.status == 429:
                slower += SLOW_DOWN_STEP
            else:
                self._latest = outcome
            wait = max(outcome.seconds("retry-after", DEFAULT_INTERVAL) + slower, waiting.gap(done, began, ends))
        raise Expired("The request is still pending after a very long time; make it again.")

    def _ask(self) -> Steps[Incoming | Unavailable]:
        """One poll. A server that is away for a moment is an answer too: what it holds outlives a restart."""
        request = Outgoing(method="GET", url=self._url, headers=(("Prefer", f"wait={WAIT_SECONDS}"),))
        try:
            response = yield from self._send(request, WAIT_SECONDS + WAIT_GRACE)
        except Unavailable as error:
            return error
        return _unavailable(response) if self._waiting.is_away(response) else response

    # What a 202 wants meanwhile

    def _heed(self) -> Steps[None]:
        """Meet what the latest answer asks for; what it asks again is not told again (§11.8.4)."""
        header = self._latest.headers.get("aauth-requirement")
        wanted = parse_requirement(header) if header else Requirement(kind="")
        if wanted.kind == "clarification":
            yield from self._clarify()
        else:
            self._answered = ""
        if wanted.kind == "interaction":
            yield from self._interact(wanted)
        elif wanted.kind == "approval":
            yield from self._tell("approval", "approval")
        elif self._waiting.attend is not None and wanted.kind:
            yield from self._waiting.attend(wanted, self._latest)
        if self._latest.json().get("status") == "interacting" and not self._told.endswith(" interacting"):
            yield from self._tell("interacting", f"{self._told} interacting")

    def _tell(self, event: Interaction | str, as_told: str) -> Steps[None]:
        if self._told != as_told:
            self._told = as_told
            yield Notify(event)

    def _interact(self, wanted: Requirement) -> Steps[None]:
        interaction = replace(
            _interaction(wanted, self._url, self._waiting), expires_at=_end(self._latest, self._clock.now())
        )
        if self._interaction is None or self._interaction.code != interaction.code:
            self._interaction = interaction
            self._interactions += 1
            if self._interactions > MOST_INTERACTIONS:
                raise InvalidResponse("The server sends the person from one page to the next without an end.")
        interaction = self._interaction
        relay, relayed = self._waiting.relay, f"{interaction.code} relayed"
        if relay is not None and self._told == relayed and (yield from relay.has_failed()):
            yield from self._tell(interaction, interaction.code)
        elif self._told.split(" ")[0] == interaction.code:
            return
        elif relay is not None and (yield from relay.start(interaction)):
            self._told = relayed
        else:
            yield from self._tell(interaction, interaction.code)

    def _check_return(self) -> None:
        """§7.3.1: a person who came back with an error will not complete this, so it is not waited for any more."""
        error = self._interaction.returned.error if self._interaction is not None else None
        if error is not None:
            kind, words = _RETURNED.get(error, (Unavailable, "It did not work at the person's page."))
            raise kind(words)

    def _clarify(self) -> Steps[None]:
        """§7.5.2: answer, or withdraw. The same words again right after the answer are that question, not a new one."""
        asked = _question(self._latest)
        if asked.question == self._answered:
            return
        text = None
        if self._waiting.answers_questions and self._answers < MOST_ANSWERS:
            text = yield from ask(asked)
        if text is None:
            yield from self._withdraw()
            raise Gone("A question about the request was not answered, so the request was withdrawn.")
        self._answered = asked.question
        self._answers += 1
        yield from self._say({"action": "clarification_response", "clarification_response": text})

    def _say(self, members: Mapping[str, Any]) -> Steps[None]:
        request = Outgoing(
            method="POST",
            url=self._url,
            headers=(("Content-Type", "application/json"),),
            body=json.dumps(members).encode(),
        )
        response = yield from (self._waiting.speak or self._send)(request, WAIT_GRACE)
        if response.status >= 400 and not self._waiting.is_away(response):
            raise error_of(response)

    def _withdraw(self) -> Steps[None]:
        """§7.5.2.3. Whether it arrives or not, nobody polls any more."""
        request = Outgoing(method="DELETE", url=self._url)
        try:
            yield from (self._waiting.speak or self._send)(request, WAIT_GRACE)
        except Unavailable:
            return


def _is_waiting(response: Incoming) -> bool:
    return response.status in (202, 429) and not response.redirected


def error_of(response: Incoming) -> AAuthError:
    """The error a server's final answer means, for the application to catch by type; in either draft's words."""
    code, text = response.json().get("error"), _words(response)
    if response.status == 429:
        return RateLimited(text, retry_after=response.seconds("retry-after", DEFAULT_INTERVAL))
    if response.status == 402:
        return RequirementNotMet(f"The server wants to be paid first: {text}")
    if response.status == 502 and code == AccessServerUnreachable.code:
        return AccessServerUnreachable(text, retry_after=response.seconds("retry-after", DEFAULT_INTERVAL))
    if response.status >= 500:
        return _unavailable(response)
    known = _BY_CODE.get(code) if isinstance(code, str) else None
    if known is not None:
        return known(text)
    by_status = {403: DeniedError, 408: Expired, 410: Gone}.get(response.status)
    if by_status is not None:
        return by_status(text)
    reason = _printable(response.headers.get("signature-error") or code)
    return InvalidResponse(f"{text} ({response.status} {reason})".replace(" )", ")"))


def _unavailable(response: Incoming) -> Unavailable:
    return Unavailable(_words(response), retry_after=response.seconds("retry-after", DEFAULT_INTERVAL))


def _words(response: Incoming) -> str:
    members = response.json()
    said = _printable(members.get("detail")) or _printable(members.get("error_description"))
    return said or f"The server answered {response.status}."


def _printable(text: object) -> str:
    """A server's own words, fit for a log and a page; empty when there are none."""
    kept = text[:_MOST_TEXT] if isinstance(text, str) else ""
    return "".join(character if character.isprintable() else " " for character in kept).strip()


def pending_url(response: Incoming) -> str:
    """Where a pending answer is to be polled: on the answering server's own origin (§11.8.2)."""
    try:
        url = urljoin(response.url, response.headers.get("location", ""))
        on_origin = origin_of(url) == origin_of(response.url)
    except ValueError:
        on_origin = False
    if not on_origin:
        raise InvalidResponse("The server's pending URL is on another origin, so it is not polled.")
    return url


def _question(response: Incoming) -> Ask:
    """§7.5.1."""
    members = response.json()
    question, options, timeout = (members.get(name) for name in ("clarification", "options", "timeout"))
    if not isinstance(question, str) or not 0 < len(question) <= _MOST_QUESTION:
        raise InvalidResponse("The server asks a question without words.")
    named = options if isinstance(options, list) else []
    return Ask(
        question=question,
        options=tuple(option for option in named if isinstance(option, str) and len(option) <= _MOST_TEXT),
        timeout=timeout if isinstance(timeout, int) and timeout > 0 else None,
    )


def _end(response: Incoming, now: float) -> float | None:
    """When a person's time is over, where the answer says it: `expires_in` is our person server's."""
    seconds = response.json().get("expires_in")
    return now + seconds if type(seconds) is int and seconds >= 0 else None


def _interaction(wanted: Requirement, pending_url: str, waiting: Waiting) -> Interaction:
    """§11.6.3: an https address without query or fragment, and a code."""
    code = wanted.parameters.get("code", "")
    if not 0 < len(code) <= _MOST_CODE or not code.isascii() or not code.isprintable():
        raise InvalidResponse("The server asks for a person without a usable code.")
    try:
        url = endpoint_url(wanted.parameters.get("url"), development=waiting.development)
    except InvalidRequest as error:
        raise InvalidResponse(f"The server sends the person to an address that is refused: {error.detail}") from error
    return Interaction(url=url, code=code, pending_url=pending_url)
