"""The error tree, walked: every class renders, with its code and status, and nothing private leaves."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest

from aauthkit import errors
from aauthkit.errors import (
    AAuthError,
    CannotSign,
    Challenge,
    ConfigurationError,
    InternalError,
    InvalidInput,
    MisuseError,
    SignatureError,
    SlowDown,
    Unavailable,
    UnsupportedAlgorithm,
    render,
)


def below(kind: type[AAuthError]) -> list[type[AAuthError]]:
    found = [kind]
    for sub in kind.__subclasses__():
        found += below(sub)
    return [one for one in found if one.__module__ == "aauthkit.errors"]


TREE = below(AAuthError)


def made(kind: type[AAuthError], detail: str = "Do this.", debug: str = "private") -> AAuthError:
    """One of the kind, with whatever else its constructor asks for."""
    further: dict[str, Any] = {
        "required_input": ("@method",),
        "retry_after": 7,
        "requirement": "requirement=auth-token",
    }
    wanted = inspect.signature(kind).parameters
    return kind(detail, debug=debug, **{name: value for name, value in further.items() if name in wanted})


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_every_error_renders_with_its_code_its_status_and_nothing_private(kind: type[AAuthError]) -> None:
    error = made(kind)
    rendered = render(error)
    body = json.loads(rendered.body)
    assert set(body) == {"error", "error_description"}
    assert body["error"] == kind.code
    assert rendered.status == kind.status
    assert 400 <= rendered.status < 600
    assert "private" not in f"{rendered.headers}{body}"
    assert (rendered.headers["Content-Type"], rendered.headers["Cache-Control"]) == ("application/json", "no-store")
    assert all(value.isascii() and value.isprintable() for value in rendered.headers.values())


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_every_code_is_a_stable_word(kind: type[AAuthError]) -> None:
    assert kind.code.replace("_", "").isalpha()
    assert kind.code == kind.code.lower()
    assert kind.__doc__


@pytest.mark.parametrize("kind", [*below(MisuseError), InternalError], ids=lambda kind: kind.__name__)
def test_what_we_did_wrong_is_told_to_nobody_outside(kind: type[AAuthError]) -> None:
    rendered = render(made(kind, detail="The key file /var/lib/secret is missing."))
    assert rendered.status == 500
    assert b"secret" not in rendered.body
    assert json.loads(rendered.body)["error"] == "server_error"


@pytest.mark.parametrize("kind", below(SignatureError), ids=lambda kind: kind.__name__)
def test_a_signature_error_is_401_and_says_so_in_its_header(kind: type[AAuthError]) -> None:
    rendered = render(made(kind))
    assert rendered.status == 401
    assert rendered.headers["Signature-Error"].split(",")[0] == f"error={kind.code}"


@pytest.mark.parametrize(
    "kind", [one for one in TREE if not issubclass(one, SignatureError)], ids=lambda kind: kind.__name__
)
def test_no_other_error_carries_signature_error(kind: type[AAuthError]) -> None:
    """Signature Keys "Access Denied": a denial by policy must not look like a signature failure."""
    assert "Signature-Error" not in render(made(kind)).headers


def test_parameters_of_signature_error() -> None:
    header = render(InvalidInput("x", required_input=("@method", "content-digest"))).headers["Signature-Error"]
    assert header == 'error=invalid_input, required_input=("@method" "content-digest")'
    header = render(UnsupportedAlgorithm("x", supported=("ed25519",))).headers["Signature-Error"]
    assert header == 'error=unsupported_algorithm, supported_algorithms=("ed25519")'


def test_waiting_errors_say_how_long() -> None:
    assert render(SlowDown("x", retry_after=5)).headers["Retry-After"] == "5"
    assert render(Unavailable("x", retry_after=9)).headers["Retry-After"] == "9"
    assert render(Unavailable("x")).headers["Retry-After"] == "5"


def test_a_challenge_carries_its_requirement_and_may_name_its_code() -> None:
    rendered = render(Challenge("x", requirement="requirement=agent-token", code="invalid_request"))
    assert rendered.headers["AAuth-Requirement"] == "requirement=agent-token"
    assert rendered.headers["WWW-Authenticate"] == "AAuth"
    assert (rendered.status, json.loads(rendered.body)["error"]) == (401, "invalid_request")


@pytest.mark.parametrize("detail", ["caf\N{LATIN SMALL LETTER E WITH ACUTE}", "\ud800", '"}', "\0", "a\r\nX: y", "<b>"])
def test_a_detail_of_any_characters_renders(detail: str) -> None:
    rendered = render(errors.InvalidRequest(detail))
    assert json.loads(rendered.body)["error_description"] in (detail, "?")
    assert "X: y" not in str(rendered.headers)


def test_the_detail_is_what_str_says_and_debug_is_not() -> None:
    error = errors.InvalidKey("Send another key.", debug="x was 31 bytes")
    assert (str(error), error.debug) == ("Send another key.", "x was 31 bytes")


def test_the_docstring_draws_every_class() -> None:
    drawn = errors.__doc__ or ""
    assert [kind.__name__ for kind in TREE if kind.__name__ not in drawn] == []


def test_misuse_is_ours_and_peer_errors_are_theirs() -> None:
    assert issubclass(ConfigurationError, MisuseError)
    assert issubclass(CannotSign, MisuseError)
    assert not issubclass(MisuseError, errors.PeerError)
    statuses = {kind.status for kind in below(errors.PeerError)} - {502}
    assert all(400 <= status < 500 for status in statuses)
