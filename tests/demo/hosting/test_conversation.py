"""What goes wrong on the way to a peer is told apart by a stable code."""

from __future__ import annotations

import pytest

from aauthkit import errors
from aauthkit.demo.hosting.conversation import Caller, answered, refused


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.Denied("no"), "denied"),
        (errors.Abandoned("left"), "abandoned"),
        (errors.Expired("late"), "expired"),
        (errors.AgentRevoked("gone"), "agent_revoked"),
        (errors.PolicyDenied("rule"), "authorization_denied"),
        (errors.InteractionRequired("person"), "denied"),
        (errors.RateLimited("slow", retry_after=1), "rate_limited"),
        (errors.Unavailable("down"), "unreachable"),
        (errors.InvalidResponse("odd"), "unauthorized"),
        (errors.CannotSign("no key"), "agent_error"),
        (errors.InternalError("bug"), "agent_error"),
    ],
)
def test_error_on_the_way_has_its_code(error: errors.AAuthError, code: str) -> None:
    meant = refused("the tools server", error)

    assert meant.code == code
    assert error.detail in str(meant)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "unauthorized"),
        (403, "authorization_denied"),
        (408, "expired"),
        (429, "rate_limited"),
        (500, "agent_error"),
        (502, "unreachable"),
        (503, "unreachable"),
        (504, "unreachable"),
    ],
)
def test_bare_status_has_its_code(status: int, code: str) -> None:
    assert answered("the tools server", status).code == code


def test_delegation_leaves_out_what_is_unknown_and_the_token() -> None:
    caller = Caller(agent="aauth:x@y.example", audience="http://z.localhost", auth_token="secret")

    assert caller.as_delegation() == {"agent": "aauth:x@y.example", "aud": "http://z.localhost"}
    assert "secret" not in repr(caller)
