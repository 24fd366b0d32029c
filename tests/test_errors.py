"""The error tree, walked: every class renders, with its code and status, and nothing private leaves."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest

from aauthkit import errors
from aauthkit.drafts import DRAFT_01, DRAFT_11, DRAFTS, Draft
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
BODIES = {
    "01": ("application/json", {"error", "error_description"}),
    "11": ("application/problem+json", {"error", "detail"}),
}

in_each_draft = pytest.mark.parametrize("draft", DRAFTS.values(), ids=DRAFTS)


def made(kind: type[AAuthError], detail: str = "Do this.", debug: str = "private") -> AAuthError:
    """One of the kind, with whatever else its constructor asks for."""
    further: dict[str, Any] = {
        "required_input": ("@method",),
        "retry_after": 7,
        "requirement": "requirement=auth-token",
        "supported": ("ed25519",),
        "allowed": ("POST", "GET"),
    }
    wanted = inspect.signature(kind).parameters
    return kind(detail, debug=debug, **{name: value for name, value in further.items() if name in wanted})


@in_each_draft
@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
@pytest.mark.conformance("11:§11.9.2-1")
def test_every_error_renders_with_its_code_its_status_and_nothing_private__11_9_2(
    kind: type[AAuthError], draft: Draft
) -> None:
    error = made(kind)
    rendered = render(error, draft)
    body = json.loads(rendered.body)
    media_type, members = BODIES[draft.name]
    assert set(body) - {"type"} == members
    assert body["error"] == error.code_in(draft)
    assert rendered.status == kind.status
    assert 400 <= rendered.status < 600
    assert "private" not in f"{rendered.headers}{body}"
    assert (rendered.headers["Content-Type"], rendered.headers["Cache-Control"]) == (media_type, "no-store")
    assert all(value.isascii() and value.isprintable() for value in rendered.headers.values())


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_every_code_is_a_stable_word(kind: type[AAuthError]) -> None:
    assert kind.code.replace("_", "").isalpha()
    assert kind.code == kind.code.lower()
    assert kind.__doc__


@pytest.mark.parametrize(
    ("kind", "code", "code_01"),
    [
        (errors.InvalidSignatureRequest, "invalid_signature", "invalid_request"),
        (errors.InvalidSignature, "invalid_signature", "invalid_signature"),
        (errors.ClockSkew, "clock_skew", "invalid_signature"),
        (errors.UnsupportedScheme, "unsupported_scheme", "invalid_key"),
        (errors.RevokedJWT, "revoked_jwt", "invalid_jwt"),
        (errors.IssuerMismatch, "issuer_mismatch", "invalid_key"),
        (errors.InteractionRequired, "user_unreachable", "interaction_required"),
        (errors.Denied, "denied", "denied"),
    ],
)
def test_the_two_drafts_have_their_own_words(kind: type[AAuthError], code: str, code_01: str) -> None:
    assert (made(kind).code_in(DRAFT_11), made(kind).code_in(DRAFT_01)) == (code, code_01)


@pytest.mark.parametrize("kind", [*below(MisuseError), InternalError], ids=lambda kind: kind.__name__)
def test_what_we_did_wrong_is_told_to_nobody_outside(kind: type[AAuthError]) -> None:
    rendered = render(made(kind, detail="The key file /var/lib/secret is missing."), DRAFT_11)
    assert rendered.status == 500
    assert b"secret" not in rendered.body
    assert json.loads(rendered.body)["error"] == "server_error"


@in_each_draft
@pytest.mark.parametrize("kind", below(SignatureError), ids=lambda kind: kind.__name__)
@pytest.mark.conformance("11:§11.3.4-0", "SK:§5.1-1")
def test_a_signature_error_is_401_and_says_so_in_its_header(kind: type[AAuthError], draft: Draft) -> None:
    error = made(kind)
    rendered = render(error, draft)
    assert rendered.status == 401
    assert rendered.headers["Signature-Error"].split(",")[0] == f"error={error.code_in(draft)}"


@pytest.mark.parametrize("kind", below(SignatureError), ids=lambda kind: kind.__name__)
@pytest.mark.conformance("SK:§5.2-1")
def test_the_type_of_a_signature_error_is_its_urn__sk_5_2(kind: type[AAuthError]) -> None:
    error = made(kind)
    assert json.loads(render(error, DRAFT_11).body)["type"] == f"urn:ietf:params:sig-error:{error.code}"


@in_each_draft
@pytest.mark.parametrize(
    "kind", [one for one in TREE if not issubclass(one, SignatureError)], ids=lambda kind: kind.__name__
)
@pytest.mark.conformance("11:§11.3.4-8", "SK:§5.3-1")
def test_no_other_error_carries_what_a_signature_error_carries__11_3_4(kind: type[AAuthError], draft: Draft) -> None:
    """A denial by policy must not look like a signature failure."""
    headers = render(made(kind), draft).headers
    assert not {"Signature-Error", "Accept-Signature-Scheme", "Accept-Signature-Alg"} & headers.keys()


def test_parameters_of_signature_error() -> None:
    error: AAuthError = InvalidInput("x", required_input=("@method", "content-digest"))
    header = 'error=invalid_input, required_input=("@method" "content-digest")'
    assert {render(error, draft).headers["Signature-Error"] for draft in DRAFTS.values()} == {header}
    error = UnsupportedAlgorithm("x", supported=("ed25519",))
    header = render(error, DRAFT_01).headers["Signature-Error"]
    assert header == 'error=unsupported_algorithm, supported_algorithms=("ed25519")'


@pytest.mark.conformance("SK:§5.4.1", "SK:§5.4.2", "11:§11.3.4-4", "11:§11.3.4-6")
def test_what_would_do_is_told_in_headers_of_its_own__sk_4() -> None:
    headers = render(UnsupportedAlgorithm("x"), DRAFT_11).headers
    assert headers["Signature-Error"] == "error=unsupported_algorithm"
    assert headers["Accept-Signature-Alg"] == "Ed25519, ES256"
    headers = render(errors.UnsupportedScheme("x", supported=("jwt", "jwks_uri")), DRAFT_11).headers
    assert headers["Signature-Error"] == "error=unsupported_scheme"
    assert headers["Accept-Signature-Scheme"] == "jwt, jwks_uri"


@pytest.mark.conformance("11:§11.12.5")
def test_a_revoked_token_may_carry_the_requirement_that_repairs_it__11_12_5() -> None:
    error = errors.RevokedJWT("x", requirement="requirement=person-token")
    headers = render(error, DRAFT_11).headers
    assert headers["Signature-Error"] == "error=revoked_jwt"
    assert headers["AAuth-Requirement"] == "requirement=person-token"
    assert "AAuth-Requirement" not in render(errors.RevokedJWT("x"), DRAFT_11).headers


def test_waiting_errors_say_how_long() -> None:
    assert render(SlowDown("x", retry_after=5), DRAFT_11).headers["Retry-After"] == "5"
    assert render(Unavailable("x", retry_after=9), DRAFT_11).headers["Retry-After"] == "9"
    assert render(Unavailable("x"), DRAFT_11).headers["Retry-After"] == "5"


def test_a_challenge_carries_its_requirement_and_may_name_its_code() -> None:
    rendered = render(Challenge("x", requirement="requirement=agent-token", code="invalid_request"), DRAFT_01)
    assert rendered.headers["AAuth-Requirement"] == "requirement=agent-token"
    assert rendered.headers["WWW-Authenticate"] == "AAuth"
    assert (rendered.status, json.loads(rendered.body)["error"]) == (401, "invalid_request")


@pytest.mark.parametrize("detail", ["caf\N{LATIN SMALL LETTER E WITH ACUTE}", "\ud800", '"}', "\0", "a\r\nX: y", "<b>"])
def test_a_detail_of_any_characters_renders(detail: str) -> None:
    rendered = render(errors.InvalidRequest(detail), DRAFT_11)
    assert json.loads(rendered.body)["detail"] in (detail, "?")
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
