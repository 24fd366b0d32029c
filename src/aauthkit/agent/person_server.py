"""Asking the person server: one signed POST of the agent's own, asked again while the server is away, waited for while
a person decides (AAuth-11 §7, §11.8). What is asked and what the answer means is with whoever asks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from aauthkit.agent.challenge import fault_of
from aauthkit.agent.clocks import seconds_to_wait
from aauthkit.agent.credentials import Credentials, sign
from aauthkit.agent.polling import PATIENCE, WAIT_GRACE, WAIT_SECONDS, Waiting, error_of, is_away, is_deferred, poll
from aauthkit.agent.steps import Call, Incoming, Outgoing, Sleep, Steps, fetch, send
from aauthkit.clock import Clock
from aauthkit.discovery import Discovery
from aauthkit.errors import ClockSkew, ConfigurationError, InvalidRequest, InvalidResponse, Unavailable
from aauthkit.identifiers import endpoint_url
from aauthkit.tokens.auth import DWK_PERSON_SERVER

# A person server that is being restarted, or waits for a resource's documents, is asked again after these seconds.
_AGAIN_AFTER = (1, 3, 6)
# AAuth-11 §7.2.1: what a request may say about whom to ask, and about the machine the agent runs on.
HINTS = frozenset({"login_hint", "tenant", "domain_hint", "prompt", "platform", "device"})
_LONGEST_DEVICE = 64
# AAuth-11 §15.10, the values registered there.
PLATFORMS = frozenset({"web", "mobile", "desktop", "workload", "self-hosted"})
# Signature errors a fresh agent token cures (§11.3.4); the key changes with it, so everything starts from the top.
_AGENT_TOKEN_FAULTS = frozenset({"expired_jwt", "revoked_jwt", "invalid_jwt", "unknown_key", "invalid_key"})


class AgentTokenRefused(InvalidResponse):
    """The person server does not take the agent token; with a fresh one everything begins anew."""


@dataclass(frozen=True, kw_only=True)
class About:
    """What the agent says about its requests: why, for whom, and what it can do when a person must act."""

    justification: str | None = None
    hints: Mapping[str, str] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = sorted(self.hints.keys() - HINTS)
        if unknown:
            raise ConfigurationError(f"There is no hint {unknown[0]!r}; choose of {', '.join(sorted(HINTS))}.")
        if self.hints.get("platform", "web") not in PLATFORMS:
            raise ConfigurationError(f"A platform is one of {', '.join(sorted(PLATFORMS))}.")
        device = self.hints.get("device", "")
        if len(device) > _LONGEST_DEVICE or not device.isprintable():
            raise ConfigurationError(f"A device is at most {_LONGEST_DEVICE} printable characters.")

    def members(self) -> dict[str, Any]:
        """The optional members of a token request (§7.2.1)."""
        said: dict[str, Any] = dict(self.hints)
        if self.justification is not None:
            said["justification"] = self.justification
        if self.capabilities:
            said["capabilities"] = list(self.capabilities)
        return said


@dataclass(frozen=True, kw_only=True)
class PersonServer:
    """The person server ``issuer``, asked with ``credentials``."""

    issuer: str
    credentials: Credentials
    discovery: Discovery
    clock: Clock
    patience: timedelta = PATIENCE
    answers_questions: bool = False

    def endpoint(self, member: str) -> Steps[str]:
        """The address under ``member`` of its metadata; raises ``InvalidResponse`` when there is none to be used."""
        metadata = yield from fetch(self.discovery.metadata(self.issuer, DWK_PERSON_SERVER))
        try:
            return endpoint_url(metadata.get(member), development=self.discovery.development)
        except InvalidRequest as error:
            raise InvalidResponse(f"The person server's metadata names no usable {member}: {error.detail}") from error

    def offers(self, member: str) -> Steps[bool]:
        """Whether its metadata has ``member`` at all."""
        metadata = yield from fetch(self.discovery.metadata(self.issuer, DWK_PERSON_SERVER))
        return member in metadata

    def ask(self, member: str, body: Mapping[str, Any], *, issued_at: tuple[int, ...] = ()) -> Steps[Incoming]:
        """POST ``body`` to the endpoint ``member`` and wait for the final answer, which is a 200.

        ``issued_at`` are those of the tokens in ``body``: where the server's clock is behind one of them, the same
        tokens are sent again when their time has come (§11.9.3). Raises what any other answer means (``Denied``,
        ``Expired``, …), ``AgentTokenRefused`` when only a fresh agent token can help, and ``Unavailable`` when nobody
        answers.
        """
        request = self.request((yield from self.endpoint(member)), body)
        response = yield from self._insistently(request)
        if _is_early(response):
            times = (*issued_at, self.credentials.issued_at)
            yield Sleep(seconds_to_wait(response, times, now=self.clock.now()))
            response = yield from self._insistently(request)
        if is_deferred(response):
            waiting = Waiting(
                clock=self.clock,
                development=self.discovery.development,
                patience=self.patience,
                answers_questions=self.answers_questions,
            )
            response = yield from poll(response, self.send_signed, waiting)
        if response.status == 401:
            raise self._refusal(response)
        if response.status != 200:
            raise error_of(response)
        return response

    def request(self, endpoint: str, body: Mapping[str, Any], *, wait: int = WAIT_SECONDS) -> Outgoing:
        """A POST of ``body`` that lets the server take ``wait`` seconds."""
        return Outgoing(
            method="POST",
            url=endpoint,
            headers=(("Content-Type", "application/json"), ("Prefer", f"wait={wait}")),
            body=json.dumps(body).encode(),
        )

    def send_signed(self, outgoing: Outgoing, read_timeout: float) -> Steps[Incoming]:
        """One signed request; signed again over what the server wants covered when it says so (§11.3.3.1)."""
        response = yield from self._send(outgoing, read_timeout, ())
        fault = fault_of(response)
        if response.status == 401 and fault.code == "invalid_input" and fault.required_input:
            return (yield from self._send(outgoing, read_timeout, fault.required_input))
        return response

    def _send(self, outgoing: Outgoing, read_timeout: float, cover: tuple[str, ...]) -> Steps[Incoming]:
        signature = sign(outgoing, self.credentials, now=self.clock.now(), cover=cover)
        return send(Call(request=outgoing, signature=signature, read_timeout=read_timeout))

    def _insistently(self, request: Outgoing) -> Steps[Incoming]:
        """The request; asked again, signed anew, while the server is away for a moment (§11.8.4: 503, back off)."""
        for again_after in (*_AGAIN_AFTER, None):
            try:
                response = yield from self.send_signed(request, WAIT_SECONDS + WAIT_GRACE)
                if not is_away(response):
                    return response
                away = error_of(response)
                asked = response.seconds("retry-after", again_after or 0)
            except Unavailable as error:
                away, asked = error, again_after or 0
            if again_after is None or asked > _AGAIN_AFTER[-1]:
                break
            yield Sleep(max(again_after, asked))
        raise away

    def _refusal(self, response: Incoming) -> Exception:
        error = error_of(response)
        if fault_of(response).code in _AGENT_TOKEN_FAULTS:
            return AgentTokenRefused(error.detail, debug=error.debug)
        return error


def _is_early(response: Incoming) -> bool:
    code = fault_of(response).code if response.status == 401 else response.json().get("error")
    return response.status in (400, 401) and code == ClockSkew.code
