"""DESIGN §4 rules 7, 11 and 12, attacked at the library: minting, sending unsigned, and what a log would show."""

from __future__ import annotations

import dataclasses
import logging
import pickle
import re
from collections.abc import Callable

import pytest

from aauthkit.drafts import DRAFT_01
from aauthkit.errors import AAuthError, CannotSign, Challenge, render
from aauthkit.flow import run
from aauthkit.headers import Requirement, parse_requirement, requirement
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.sign import sign_message
from aauthkit.keys import P256, PrivateKey
from aauthkit.resource.admission import Verification, admit
from aauthkit.resource.challenge import auth_token_challenge, issue_resource_token
from aauthkit.resource.settings import Require, Resource
from aauthkit.sigkey.jkt_jwt import DelegationJWT
from aauthkit.sigkey.jwt import ConfirmationJWT
from aauthkit.tokens.claims import IN_SIGNATURE_KEY, parse
from aauthkit.trust import Trust, TrustedIssuer
from tests.parties import NOW, PERSON_SERVER, PROVIDER, RESOURCE, Scene, bearing, with_field

pytestmark = pytest.mark.attack


def resource() -> Resource:
    return Resource(
        issuer=RESOURCE,
        require=Require.AUTH_TOKEN,
        draft=DRAFT_01,
        agent_providers=Trust.only([TrustedIssuer(issuer=PROVIDER)]),
        auth_issuers=Trust.only([TrustedIssuer(issuer=PERSON_SERVER)]),
        signing_key=PrivateKey.generate(kid="r-1"),
        scopes=("read",),
        default_scopes=("read",),
    )


def challenge_of(scene: Scene, message: Message) -> Challenge | None:
    verification = Verification(discovery=scene.discovery, replays=scene.replays, clock=scene.clock)
    return run(admit(message, resource(), verification), scene.documents).challenge


UNVERIFIED: dict[str, Callable[[Scene], Message]] = {
    "unsigned": lambda s: Message.of("GET", f"{RESOURCE}/", (), b""),
    "wrong key": lambda s: s.request(bearing(s.agent_token()), key=PrivateKey.generate()),
    "old": lambda s: s.request(bearing(s.agent_token()), created=NOW - 61),
    "body swapped": lambda s: dataclasses.replace(s.with_agent_token(), body=b"other"),
    "untrusted": lambda s: s.with_agent_token(issuer="https://stranger.example"),
    "another domain": lambda s: s.with_agent_token(signed_by=PrivateKey.generate(kid="ap-1")),
    "another host": lambda s: s.request(bearing(s.agent_token()), url="https://other.example/"),
    "half a header": lambda s: with_field(s.with_agent_token(), "signature", None),
}


@pytest.mark.parametrize("what", UNVERIFIED)
def test_no_resource_token_is_minted_for_a_request_that_did_not_verify(what: str) -> None:
    """Rule 7: a resource token is minted only after the request verified."""
    scene = Scene(draft=DRAFT_01)
    with pytest.raises(AAuthError) as caught:
        challenge_of(scene, UNVERIFIED[what](scene))
    assert "resource-token" not in str(render(caught.value, DRAFT_01).headers)


def test_a_request_that_verified_gets_one() -> None:
    scene = Scene(draft=DRAFT_01)
    challenge = challenge_of(scene, scene.with_agent_token())
    assert challenge is not None
    assert parse_requirement(challenge.requirement).kind == "auth-token"


def test_a_copy_of_a_request_gets_no_second_resource_token() -> None:
    """Rules 1 and 7 together."""
    scene = Scene(draft=DRAFT_01)
    message = scene.with_agent_token()
    assert challenge_of(scene, message) is not None
    with pytest.raises(AAuthError):
        challenge_of(scene, message)


# Rule 11


@pytest.mark.parametrize(
    ("cover", "headers", "signature_key"),
    [
        (["x-absent"], [], "hwk"),
        (["@status"], [], "hwk"),
        ([], [("content-type", "snow \N{SNOWMAN}")], "hwk"),
        ([], [], 'jwt;jwt="\N{SNOWMAN}"'),
    ],
)
def test_what_cannot_be_signed_as_asked_is_not_signed_at_all(
    cover: list[str], headers: list[tuple[str, str]], signature_key: str
) -> None:
    """Rule 11: an agent that cannot sign does not send; a weaker signature is not a way out."""
    message = Message.of("POST", f"{RESOURCE}/", headers, b"body")
    with pytest.raises(CannotSign):
        sign_message(message, PrivateKey.generate(), signature_key=signature_key, created=NOW, cover=cover)


def test_a_nonce_cannot_smuggle_parameters_in() -> None:
    message = Message.of("POST", f"{RESOURCE}/", (), b"body")
    key = PrivateKey.generate()
    with pytest.raises(CannotSign):
        sign_message(message, key, signature_key="hwk", created=NOW, nonce="a\nb")
    headers = dict(sign_message(message, key, signature_key="hwk", created=NOW, nonce='x";expires=99;y="'))
    assert headers["Signature-Input"].endswith(';nonce="x\\";expires=99;y=\\""')


def test_signature_headers_that_were_there_before_are_replaced_not_joined() -> None:
    """Rule 11: a request that was signed for another place and is signed again carries one signature."""
    scene = Scene()
    first = scene.request(url="https://other.example/")
    again = Message.of("POST", f"{RESOURCE}/", first.headers, b"x")
    added = {name.lower() for name, _ in sign_message(again, scene.key, signature_key=scene.hwk(), created=NOW)}
    assert {"signature", "signature-input", "signature-key", "content-digest"} == added


# Rule 12


def secrets_shown(text: str) -> list[str]:
    """Anything in a text that looks like a token or a long secret."""
    return re.findall(r"eyJ[\w-]+", text) + re.findall(r"PRIVATE KEY", text)


def test_nothing_that_bears_a_secret_shows_it_in_repr() -> None:
    """Rule 12: no private key, token or `Authorization` value is logged; `repr` is what a log would show."""
    scene = Scene(draft=DRAFT_01)
    token, auth = scene.agent_token(), scene.auth_token()
    message = scene.request(
        bearing(token), headers=[("authorization", "Bearer eyJsecret")], url=f"{RESOURCE}/?code=eyJ"
    )
    verified = scene.verify(message)
    issued = issue_resource_token(verified, resource(), ["read"], now=NOW)
    challenge = auth_token_challenge(issued)
    delegation = scene.jkt_jwt()
    values: list[object] = [
        message,
        verified,
        parse(token, IN_SIGNATURE_KEY),
        parse(auth, IN_SIGNATURE_KEY),
        ConfirmationJWT(jwt=token),
        DelegationJWT(jwt=delegation.partition('"')[2].rstrip('"')),
        scene.verify(scene.with_auth_token()),
        scene.verify(scene.request(delegation)),
        Requirement(kind="auth-token", parameters={"resource-token": token}),
        parse_requirement(requirement("auth-token", resource_token=token)),
        issued,
        challenge,
        render(challenge, DRAFT_01),
        resource(),
        PrivateKey.generate(),
        PrivateKey.generate(algorithm=P256),
    ]
    for value in values:
        for text in (repr(value), str(value), f"{value}"):
            if not isinstance(value, ConfirmationJWT | DelegationJWT | Requirement) or text == repr(value):
                assert secrets_shown(text) == [], type(value)


def test_a_private_key_shows_its_thumbprint_only_and_cannot_be_pickled() -> None:
    """Rule 12: a key leaves the process only to a 0600 file."""
    for algorithm in (P256, None):
        key = PrivateKey.generate(algorithm=algorithm) if algorithm else PrivateKey.generate()
        assert repr(key) == f"PrivateKey({key.algorithm.name}, thumbprint={key.thumbprint})"
        with pytest.raises((TypeError, pickle.PicklingError, AttributeError)):
            pickle.dumps(key)


@pytest.mark.parametrize("what", UNVERIFIED)
def test_an_error_tells_a_peer_and_a_log_no_token(what: str, caplog: pytest.LogCaptureFixture) -> None:
    """Rule 12: what is refused is told without what was presented."""
    scene = Scene(draft=DRAFT_01)
    with caplog.at_level(logging.DEBUG), pytest.raises(AAuthError) as caught:
        challenge_of(scene, UNVERIFIED[what](scene))
    error = caught.value
    told = [
        str(error),
        repr(error),
        error.debug,
        str(render(error, DRAFT_01).headers),
        render(error, DRAFT_01).body.decode(),
        caplog.text,
    ]
    assert [secret for text in told for secret in secrets_shown(text)] == []
