"""Every way a call can end is told apart by a stable code."""

from __future__ import annotations

import httpx2
import pytest

from aauthkit import errors
from aauthkit.demo.backend.failures import SENTENCES, AgentAnsweredError, NoIdentity, failure, failure_of, with_names
from aauthkit.demo.backend.settings import Settings

REQUEST = httpx2.Request("POST", "http://supply-chain-agent.localhost:3000/")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.Denied("No."), "denied"),
        (errors.Abandoned("Closed."), "abandoned"),
        (errors.Expired("Late."), "expired"),
        (errors.Unavailable("Down."), "unreachable"),
        (errors.PolicyDenied("Policy."), "authorization_denied"),
        (errors.AgentRevoked("Revoked."), "agent_revoked"),
        (errors.UntrustedIssuer("Unknown."), "unauthorized"),
        (errors.InvalidSignature("Bad."), "unauthorized"),
        (errors.InvalidResponse("Odd."), "protocol_error"),
        (errors.RateLimited("Slow.", retry_after=1), "rate_limited"),
        (errors.CannotSign("No key."), "no_identity"),
        (httpx2.ConnectError("refused", request=REQUEST), "unreachable"),
        (httpx2.ConnectTimeout("slow", request=REQUEST), "unreachable"),
        (httpx2.ReadTimeout("slow", request=REQUEST), "timed_out"),
        (httpx2.RemoteProtocolError("gone", request=REQUEST), "unreachable"),
        (TimeoutError(), "timed_out"),
        (NoIdentity("Waiting."), "no_identity"),
        (AgentAnsweredError("bad_answer", "x"), "bad_answer"),
        (ValueError("secret"), "internal_error"),
    ],
)
def test_each_error_has_its_code(error: Exception, code: str) -> None:
    assert failure_of(error).code == code


def test_an_unexpected_error_does_not_show_its_text() -> None:
    assert "secret" not in failure_of(ValueError("secret")).message


@pytest.mark.parametrize("code", SENTENCES)
def test_every_code_has_a_sentence(code: str) -> None:
    assert failure(code).message.endswith(".")


@pytest.mark.parametrize(
    "error",
    [
        errors.Unavailable("127.0.0.1:8765 does not answer."),
        httpx2.ConnectError("refused", request=httpx2.Request("GET", "http://127.0.0.1:8765/")),
        httpx2.ConnectTimeout("slow", request=httpx2.Request("GET", "http://127.0.0.1:8765/")),
    ],
)
def test_what_cannot_be_reached_is_named_for_people(error: Exception) -> None:
    told = with_names(failure_of(error), Settings().names)
    assert told.message == (
        "A part of the system cannot be reached: the person server (127.0.0.1:8765) does not answer. "
        "Try again when it is back."
    )
