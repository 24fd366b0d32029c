"""@hellocoop/httpsig, which speaks Signature Keys: it signs and verifies requests under Node, and makes no tokens.

It reads the key out of a token and leaves the token's issuer to whoever calls it; that is why a request with a token
nobody signed verifies there.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from aauthkit import errors
from aauthkit.drafts import DRAFT_01, DRAFT_11
from aauthkit.errors import AAuthError, InvalidInput, SignatureError, UnsupportedAlgorithm, UnsupportedScheme, render
from aauthkit.headers import requirement
from aauthkit.httpsig.message import Message
from aauthkit.keys import ED25519, P256, Algorithm, PrivateKey
from aauthkit.sigkey import HeaderWebKey
from aauthkit.sigkey.jkt_jwt import delegate
from aauthkit.tokens import person as person_tokens
from tests.interop.directions import IT_MAKES, WE_MAKE, caught, differs, missed, refused, speaks
from tests.interop.peer import Peer, PeerRefuses
from tests.interop.scene import TAMPERING, Meeting, as_sent, meeting, unsigned
from tests.interop.serving import our_resource
from tests.parties import AGENT, PERSON_SERVER, RESOURCE, bearing

PEER = "@hellocoop/httpsig"
SPEAKS = "Signature Keys -08"
LOCK = "tests/interop/node/package-lock.json"
pytestmark = pytest.mark.interop

_ALGORITHMS = pytest.mark.parametrize("algorithm", [ED25519, P256], ids=lambda algorithm: algorithm.name)
_TOKENS: dict[str, Callable[..., str]] = {
    "agent token": Meeting.agent_token,
    "person token": Meeting.person_token,
    "auth token": Meeting.auth_token,
}
_EVERY_TOKEN = pytest.mark.parametrize("kind", _TOKENS)
_NO_PROFILE = (
    "nobody's: Signature Keys §3.3 leaves the code open, and it says invalid_key; "
    "AAuth-11 §11.3.4 step 6 has unsupported_algorithm"
)


def alg(key: PrivateKey) -> str:
    return DRAFT_11.jose_algorithms[key.algorithm.name]


def jwt_scheme(token: str) -> dict[str, str]:
    return {"type": "jwt", "jwt": token}


def its_request(peer: Peer, key: PrivateKey, scheme: dict[str, str], message: Message, **more: Any) -> Message:
    headers = peer.ask("sign", key=key, alg=alg(key), message=message, scheme=scheme, **more)
    return as_sent(message, headers)


def judged(peer: Peer, scene: Meeting, message: Message, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = peer.ask("verify", message=message, documents=scene.published, options=options)
    return found


def refusal_of(peer: Peer, scene: Meeting, message: Message, **options: Any) -> PeerRefuses:
    with pytest.raises(PeerRefuses) as refusal:
        judged(peer, scene, message, **options)
    return refusal.value


# Requests


@speaks(IT_MAKES, "a request with an agent, person or auth token, Ed25519 and ES256")
@_ALGORITHMS
@_EVERY_TOKEN
def test_a_request_it_signs_is_verified__11_3_4(httpsig: Peer, kind: str, algorithm: Algorithm) -> None:
    scene = meeting(key=PrivateKey.generate(algorithm=algorithm))
    message = its_request(httpsig, scene.key, jwt_scheme(_TOKENS[kind](scene)), unsigned())
    verified = scene.verify(message, cover=("content-digest", "content-type"))
    assert verified.thumbprint == scene.key.thumbprint


@speaks(WE_MAKE, "a request with an agent, person or auth token, Ed25519 and ES256")
@_ALGORITHMS
@_EVERY_TOKEN
def test_it_verifies_our_request__11_3_3(httpsig: Peer, kind: str, algorithm: Algorithm) -> None:
    scene = meeting(key=PrivateKey.generate(algorithm=algorithm))
    message = scene.request(bearing(_TOKENS[kind](scene)))
    found = judged(httpsig, scene, message, requireContentDigest=True)
    assert (found["type"], found["thumbprint"]) == ("jwt", scene.key.thumbprint)


@speaks(IT_MAKES, "a request with a bare key (hwk), Ed25519 and ES256")
@_ALGORITHMS
def test_a_bare_key_it_sends_is_pseudonymous__sk_3_4(httpsig: Peer, algorithm: Algorithm) -> None:
    key = PrivateKey.generate(algorithm=algorithm)
    verified = meeting().verify(its_request(httpsig, key, {"type": "hwk"}, unsigned()))
    assert (verified.scheme, verified.thumbprint) == ("hwk", key.thumbprint)


@speaks(WE_MAKE, "a request with a bare key (hwk), Ed25519 and ES256")
@_ALGORITHMS
def test_it_verifies_our_bare_key__sk_3_4(httpsig: Peer, algorithm: Algorithm) -> None:
    scene = meeting(key=PrivateKey.generate(algorithm=algorithm))
    found = judged(httpsig, scene, scene.request())
    assert (found["type"], found["thumbprint"]) == ("hwk", scene.key.thumbprint)


@speaks(IT_MAKES, "a server's request under jwks_uri")
def test_a_request_it_signs_as_a_server_is_verified__11_3_2(httpsig: Peer) -> None:
    scene = meeting()
    key = scene.person_server_key
    scheme = {"type": "jwks_uri", "id": PERSON_SERVER, "dwk": person_tokens.DWK, "kid": key.kid}
    assert scene.verify_server(its_request(httpsig, key, scheme, unsigned())).issuer == PERSON_SERVER


@speaks(WE_MAKE, "a server's request under jwks_uri")
def test_it_verifies_our_request_as_a_server__11_3_2(httpsig: Peer) -> None:
    scene = meeting()
    found = judged(httpsig, scene, scene.as_person_server())
    assert (found["type"], found["thumbprint"]) == ("jwks_uri", scene.person_server_key.thumbprint)


@speaks(IT_MAKES, "a request under a delegation (jkt-jwt)")
def test_a_delegation_in_its_request_is_understood__sk_3_5(httpsig: Peer) -> None:
    scene, stable = meeting(), PrivateKey.generate(algorithm=P256)
    delegation = delegate(stable, scene.key.public, DRAFT_11, now=scene.now)
    verified = scene.verify(its_request(httpsig, scene.key, {"type": "jkt_jwt", "jwt": delegation.jwt}, unsigned()))
    assert verified.delegation is not None
    assert verified.delegation.stable_key == stable.public


@speaks(WE_MAKE, "a request under a delegation (jkt-jwt)")
def test_it_understands_our_delegation__sk_3_5(httpsig: Peer) -> None:
    scene = meeting()
    found = judged(httpsig, scene, scene.request(scene.jkt_jwt()))
    assert (found["type"], found["thumbprint"]) == ("jkt_jwt", scene.key.thumbprint)


@speaks(IT_MAKES, "its fetch, over a socket, at a resource of ours")
@_ALGORITHMS
def test_its_fetch_is_let_in_by_our_middleware(httpsig: Peer, algorithm: Algorithm) -> None:
    scene = meeting(key=PrivateKey.generate(algorithm=algorithm))
    with our_resource(scene) as url:
        answer = sent(httpsig, scene, url, jwt_scheme(scene.agent_token()))
    assert (answer["status"], json.loads(answer["body"])["agent"]) == (200, AGENT)


@caught(IT_MAKES, "its fetch with a bare key, over a socket, at a resource of ours")
def test_our_refusal_tells_its_fetch_what_would_do__11_3_4_1(httpsig: Peer) -> None:
    scene = meeting()
    with our_resource(scene) as url:
        answer = sent(httpsig, scene, url, {"type": "hwk"})
    headers = answer["headers"]
    assert (answer["status"], headers["content-type"]) == (401, "application/problem+json")
    assert httpsig.ask("readSignatureError", value=headers["signature-error"]) == {"error": "unsupported_scheme"}
    accepted = httpsig.ask("readAccepted", schemes=headers["accept-signature-scheme"], algorithms="Ed25519")
    assert accepted["schemes"] == ["jwt"]


def sent(peer: Peer, scene: Meeting, url: str, scheme: dict[str, str]) -> dict[str, Any]:
    message = unsigned(url=f"{url}/things")
    answer: dict[str, Any] = peer.ask("send", key=scene.key, alg=alg(scene.key), message=message, scheme=scheme)
    return answer


@caught(IT_MAKES, "a request changed on the way")
@pytest.mark.parametrize("change", TAMPERING)
def test_its_request_changed_on_the_way_is_refused(httpsig: Peer, change: str) -> None:
    scene = meeting()
    message = its_request(httpsig, scene.key, jwt_scheme(scene.agent_token()), unsigned())
    with pytest.raises(AAuthError) as refusal:
        scene.verify(TAMPERING[change](message))
    assert refusal.value.code == "invalid_signature"


@caught(WE_MAKE, "a request changed on the way")
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("another path", "not verified"),
        ("another method", "not verified"),
        ("another host", "not verified"),
        ("another body", "invalid_input"),
    ],
)
def test_it_refuses_our_request_changed_on_the_way(httpsig: Peer, change: str, code: str) -> None:
    scene = meeting()
    assert refusal_of(httpsig, scene, TAMPERING[change](scene.with_agent_token())).code == code


@caught(WE_MAKE, "a body that nothing covers, where it asks for that")
def test_it_refuses_our_request_without_a_digest__11_3_3_1(httpsig: Peer) -> None:
    scene = meeting()
    message = scene.by_hand(message=unsigned(), signature_key=scene.hwk())
    assert refusal_of(httpsig, scene, message, requireContentDigest=True).code == "invalid_input"


@refused(
    IT_MAKES,
    "a request that covers @query",
    fault="its own: RFC 9421 §2.2.7 has the question mark in the value; it signs without",
)
def test_a_query_it_covers_does_not_verify(httpsig: Peer) -> None:
    scene = meeting()
    components = ["@method", "@authority", "@path", "@query", "signature-key"]
    message = unsigned("GET", f"{RESOURCE}/things?a=1")
    signed = its_request(httpsig, scene.key, jwt_scheme(scene.agent_token()), message, components=components)
    with pytest.raises(AAuthError) as refusal:
        scene.verify(signed)
    assert refusal.value.code == "invalid_signature"


@refused(
    WE_MAKE,
    "a request that covers @query",
    fault="its own: RFC 9421 §2.2.7 has the question mark in the value; it verifies without",
)
def test_it_does_not_verify_a_query_we_cover(httpsig: Peer) -> None:
    scene = meeting()
    message = scene.request(
        bearing(scene.agent_token()), method="GET", url=f"{RESOURCE}/things?a=1", headers=(), cover=["@query"]
    )
    assert scene.accepts(message)
    assert refusal_of(httpsig, scene, message).code == "not verified"


@refused(
    IT_MAKES,
    "the same POST twice in one second, Ed25519",
    fault="nobody's: AAuth-11 §11.3.4.2 lets us remember what we saw, and nothing in its signatures tells two apart; "
    "a resource may be set to take them (`allow_unsafe_replay`)",
)
def test_its_same_post_within_a_second_is_a_replay__11_3_4_2(httpsig: Peer) -> None:
    scene = meeting()
    token = jwt_scheme(scene.agent_token())
    first, second = twice_in_one_second(lambda: its_request(httpsig, scene.key, token, unsigned()))
    assert scene.verify(first).thumbprint == scene.key.thumbprint
    with pytest.raises(AAuthError) as refusal:
        scene.verify(second)
    assert refusal.value.code == "invalid_signature"
    assert scene.verify(second, allow_unsafe_replay=True).thumbprint == scene.key.thumbprint


def twice_in_one_second(make: Callable[[], Message]) -> tuple[Message, Message]:
    for _ in range(20):
        first, second = make(), make()
        if first.field("signature-input") == second.field("signature-input"):
            return first, second
    raise AssertionError("two signatures of one second differ now; docs/interop.md should say so")


# Tokens and keys


@caught(WE_MAKE, "an expired token")
def test_it_refuses_our_expired_token__11_5_2_step_3(httpsig: Peer) -> None:
    scene = meeting()
    message = scene.request(bearing(scene.person_token(now=scene.now - 7200, lifetime=timedelta(minutes=5))))
    assert refusal_of(httpsig, scene, message).code == "expired_jwt"


@missed(
    WE_MAKE,
    "a token that expired less than a minute ago",
    fault="its own: AAuth-11 §11.5.2 step 3 has no tolerance on exp; it allows the one it has for clocks",
)
def test_it_lets_a_token_pass_that_just_expired(httpsig: Peer) -> None:
    scene = meeting()
    message = scene.request(bearing(scene.person_token(now=scene.now - 330, lifetime=timedelta(minutes=5))))
    with pytest.raises(AAuthError) as ours:
        scene.verify(message)
    assert ours.value.code == "expired_jwt"
    assert judged(httpsig, scene, message)["thumbprint"] == scene.key.thumbprint


@missed(
    WE_MAKE,
    "a token nobody's issuer signed",
    fault="nobody's: it leaves the token to whoever calls it, and says so; alone it is no AAuth verifier "
    "(AAuth-11 §11.5.2 step 2)",
)
def test_it_leaves_the_issuer_of_a_token_to_its_caller(httpsig: Peer) -> None:
    scene = meeting()
    message = scene.request(bearing(scene.auth_token(signed_by=PrivateKey.generate(kid="ps-1"))))
    with pytest.raises(AAuthError) as ours:
        scene.verify(message)
    assert ours.value.code == "invalid_jwt"
    assert judged(httpsig, scene, message)["claims"]["sub"] == "person-1"


@differs(WE_MAKE, "a key without alg, or with alg EdDSA", fault=_NO_PROFILE)
@pytest.mark.parametrize("suffix", ["", ';alg="EdDSA"'])
def test_it_refuses_a_key_without_a_good_alg_with_another_code(httpsig: Peer, suffix: str) -> None:
    scene = meeting()
    message = scene.request(str(HeaderWebKey(key=scene.key.public, draft=DRAFT_01)) + suffix)
    with pytest.raises(AAuthError) as ours:
        scene.verify(message)
    assert (refusal_of(httpsig, scene, message).code, ours.value.code) == ("invalid_key", "unsupported_algorithm")


@differs(
    WE_MAKE,
    "a signature from the future",
    fault="its own: Signature Keys §5.4.14 has clock_skew there; it says invalid_signature",
)
def test_it_refuses_a_signature_from_the_future_with_another_code(httpsig: Peer) -> None:
    scene = meeting()
    message = scene.request(created=scene.now + 90)
    with pytest.raises(AAuthError) as ours:
        scene.verify(message)
    assert (refusal_of(httpsig, scene, message).code, ours.value.code) == ("invalid_signature", "clock_skew")


@caught(WE_MAKE, "an algorithm it does not take")
def test_it_says_which_algorithms_it_takes__sk_5_4_1(httpsig: Peer) -> None:
    scene = meeting(key=PrivateKey.generate(algorithm=P256))
    refusal = refusal_of(httpsig, scene, scene.request(), supportedAlgorithms=["Ed25519"])
    assert (refusal.code, refusal.said["acceptSignatureAlg"]) == ("unsupported_algorithm", ["Ed25519"])


@caught(IT_MAKES, "an algorithm we do not have")
@pytest.mark.parametrize("name", ["ES384", "PS256"])
def test_a_key_of_another_kind_is_an_unsupported_algorithm__11_3_4_step_6(httpsig: Peer, name: str) -> None:
    scene = meeting()
    message = as_sent(unsigned(), httpsig.ask("signWithFreshKey", alg=name, message=unsigned()))
    with pytest.raises(AAuthError) as refusal:
        scene.verify(message)
    assert refusal.value.code == "unsupported_algorithm"


# Headers

_CODES = sorted(
    {kind.code for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SignatureError)}
)
_UNKNOWN_TO_IT = {"clock_skew", "revoked_jwt"}


@speaks(WE_MAKE, "Signature-Error, every code but two")
@pytest.mark.parametrize("code", [code for code in _CODES if code not in _UNKNOWN_TO_IT])
def test_it_reads_our_error_codes__sk_5_1(httpsig: Peer, code: str) -> None:
    assert httpsig.ask("readSignatureError", value=f"error={code}") == {"error": code}


@refused(
    WE_MAKE,
    "Signature-Error: clock_skew, revoked_jwt",
    fault="its own: Signature Keys §5.4.13 and §5.4.14 have both; it knows the codes of -08 and throws at others",
)
@pytest.mark.parametrize("code", sorted(_UNKNOWN_TO_IT))
def test_it_cannot_read_the_newer_error_codes__sk_5_4(httpsig: Peer, code: str) -> None:
    assert code in _CODES
    with pytest.raises(AssertionError, match=f"Invalid Signature-Error code: {code}"):
        httpsig.ask("readSignatureError", value=f"error={code}")


@speaks(WE_MAKE, "Signature-Error with required_input")
def test_it_reads_what_we_ask_to_be_covered__sk_5_4_5(httpsig: Peer) -> None:
    value = InvalidInput("more", required_input=("@method", "signature-key")).headers(DRAFT_11)["Signature-Error"]
    assert httpsig.ask("readSignatureError", value=value) == {
        "error": "invalid_input",
        "required_input": ["@method", "signature-key"],
    }


@speaks(WE_MAKE, "Accept-Signature-Scheme and Accept-Signature-Alg")
def test_it_reads_what_we_accept__sk_4_1(httpsig: Peer) -> None:
    schemes = render(UnsupportedScheme("no", supported=("jwt", "jwks_uri")), DRAFT_11).headers
    algorithms = render(UnsupportedAlgorithm("no"), DRAFT_11).headers
    found = httpsig.ask(
        "readAccepted",
        schemes=schemes["Accept-Signature-Scheme"],
        algorithms=algorithms["Accept-Signature-Alg"],
    )
    assert found == {"schemes": ["jwt", "jwks_uri"], "algorithms": ["Ed25519", "ES256"]}


@speaks(WE_MAKE, "AAuth-Requirement, with its reader of structured fields")
def test_it_reads_our_requirements__11_6_1(httpsig: Peer) -> None:
    value = requirement("interaction", url="https://ps.example/go", code="A1B2-C3D4")
    assert httpsig.ask("readRequirement", value=value) == {
        "requirement": "interaction",
        "parameters": {"url": "https://ps.example/go", "code": "A1B2-C3D4"},
    }


# Thumbprints


@speaks(IT_MAKES, "thumbprints")
@_ALGORITHMS
def test_thumbprints_agree(httpsig: Peer, algorithm: Algorithm) -> None:
    key = PrivateKey.generate(algorithm=algorithm)
    assert httpsig.ask("thumbprint", jwk=meeting().public_jwk(key)) == key.thumbprint
