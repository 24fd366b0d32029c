"""aauth 0.3, which speaks draft 01, with the signing package of its days: the peer of the walkthrough's time.

Its signatures are in base64url without padding. Under draft 01 we read them; it reads no other. What its verifiers let
through is named too: whoever runs one learns here what a gateway of ours in front of it is for.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2
import pytest

from aauthkit import jwt as jws
from aauthkit.drafts import DRAFT_01
from aauthkit.errors import AAuthError, InvalidInput
from aauthkit.headers import parse_requirement, requirement
from aauthkit.httpsig.digest import content_digest
from aauthkit.httpsig.message import Message
from aauthkit.keys import ED25519, P256, Algorithm, PrivateKey
from aauthkit.sigkey.accept import IDENTIFIED, accept_signature
from aauthkit.tokens import agent as agent_tokens
from aauthkit.tokens import auth as auth_tokens
from aauthkit.tokens.resource import build_resource_token
from aauthkit.verify import Level, VerifiedRequest
from tests.docs.serving import DOMAIN, person_server
from tests.interop.directions import IT_MAKES, WE_MAKE, caught, missed, refused, speaks
from tests.interop.peer import Peer, PeerRefuses
from tests.interop.person_server import enrolled
from tests.interop.scene import BODY, OTHER_RESOURCE, TAMPERING, Meeting, as_sent, in_base64url, meeting, unsigned
from tests.interop.serving import our_older_resource
from tests.parties import AGENT, HOST, PERSON_SERVER, PROVIDER, RESOURCE, bearing

PEER = "aauth"
SPEAKS = "draft 01"
LOCK = "requirements/interop-aauth-01.txt"
pytestmark = [pytest.mark.interop, pytest.mark.anyio]

_ALGORITHMS = pytest.mark.parametrize("algorithm", [ED25519, P256], ids=lambda algorithm: algorithm.name)
_BODY = ["content-type", "content-digest"]
_ALPHABET = "its own: it reads base64url in Signature, where RFC 8941 §3.3.5 has base64"
_DER = "its own: it signs ES256 in DER, where RFC 9421 §3.3.4 has r and s of 32 bytes each"


def older(**changed: Any) -> Meeting:
    return meeting(draft=DRAFT_01, **changed)


def its_request(
    peer: Peer, scene: Meeting, scheme: str, *, key: PrivateKey | None = None, **parameters: Any
) -> Message:
    message = unsigned()
    cover = parameters.pop("cover", _BODY)
    headers = peer.ask("sign", key=key or scene.key, message=message, scheme=scheme, cover=cover, **parameters)
    return as_sent(message, headers)


def verified_by_it(peer: Peer, scene: Meeting, message: Message) -> dict[str, Any]:
    found: dict[str, Any] = peer.ask("verify", message=message, documents=scene.published, authority=HOST)
    return found


# Its requests, judged by us


@speaks(IT_MAKES, "a request with a bare key (hwk)")
@pytest.mark.parametrize("cover", [_BODY, []], ids=["body covered", "body not covered"])
def test_its_request_with_a_bare_key_is_pseudonymous(aauth_01: Peer, cover: list[str]) -> None:
    scene = older()
    verified = scene.verify(its_request(aauth_01, scene, "hwk", cover=cover))
    assert (verified.level, verified.thumbprint) == (Level.PSEUDONYMOUS, scene.key.thumbprint)


@speaks(IT_MAKES, "a request with an agent or auth token")
@pytest.mark.parametrize("kind", ["agent", "auth"])
def test_its_request_with_a_token_of_ours_is_verified(aauth_01: Peer, kind: str) -> None:
    scene = older()
    token = scene.agent_token() if kind == "agent" else scene.auth_token()
    verified = scene.verify(its_request(aauth_01, scene, "jwt", jwt=token))
    assert (verified.agent, verified.scopes) == (AGENT, () if kind == "agent" else ("read",))


@speaks(IT_MAKES, "a request under jwks_uri")
def test_its_request_with_a_published_key_is_verified(aauth_01: Peer) -> None:
    scene = older()
    message = its_request(
        aauth_01,
        scene,
        "jwks_uri",
        key=scene.provider_key,
        id=PROVIDER,
        dwk=agent_tokens.DWK,
        kid=scene.provider_key.kid,
    )
    assert scene.verify(message).agent == PROVIDER


@refused(IT_MAKES, "a request signed with ES256", fault=_DER)
def test_its_request_signed_with_es256_is_refused_for_der(aauth_01: Peer) -> None:
    scene = older(key=PrivateKey.generate(algorithm=P256))
    with pytest.raises(AAuthError) as refusal:
        scene.verify(its_request(aauth_01, scene, "hwk"))
    assert refusal.value.code_in(DRAFT_01) == "invalid_signature"


@caught(IT_MAKES, "a request changed on the way")
@pytest.mark.parametrize("change", TAMPERING)
def test_its_request_changed_on_the_way_is_refused(aauth_01: Peer, change: str) -> None:
    scene = older()
    with pytest.raises(AAuthError) as refusal:
        scene.verify(TAMPERING[change](its_request(aauth_01, scene, "jwt", jwt=scene.agent_token())))
    assert refusal.value.code_in(DRAFT_01) == "invalid_signature"


@refused(
    IT_MAKES,
    "the same POST twice in one second",
    fault="nobody's: RFC 9421 §7.2.2 has us remember what we saw, and nothing in its signatures tells two apart; a "
    "resource may be set to take them (`allow_unsafe_replay`)",
)
def test_its_same_post_within_a_second_is_a_replay(aauth_01: Peer) -> None:
    scene = older()
    # Signed in two seconds they differ.
    sent = [its_request(aauth_01, scene, "hwk") for _ in range(5)]
    first, second = next((one, other) for one, other in pairwise(sent) if one == other)
    scene.verify(first)
    with pytest.raises(AAuthError) as refusal:
        scene.verify(second)
    assert refusal.value.code_in(DRAFT_01) == "invalid_signature"
    assert scene.verify(second, allow_unsafe_replay=True).thumbprint == scene.key.thumbprint


# Our requests, judged by it


@refused(WE_MAKE, "a request with a bare key, an agent or an auth token", fault=_ALPHABET)
def test_it_cannot_read_our_signature(aauth_01: Peer) -> None:
    scene = older()
    with pytest.raises(PeerRefuses, match="Invalid Signature format"):
        verified_by_it(aauth_01, scene, scene.with_agent_token())


@speaks(WE_MAKE, "the same, our signature rewritten in base64url, Ed25519 and ES256")
@_ALGORITHMS
@pytest.mark.parametrize("kind", ["bare key", "agent token", "auth token", "jwks_uri"])
def test_it_verifies_our_request_once_the_signature_is_in_its_alphabet(
    aauth_01: Peer, kind: str, algorithm: Algorithm
) -> None:
    scene = older(key=PrivateKey.generate(algorithm=algorithm))
    messages: dict[str, Callable[[], Message]] = {
        "bare key": scene.request,
        "agent token": scene.with_agent_token,
        "auth token": scene.with_auth_token,
        "jwks_uri": lambda: scene.request(scene.jwks_uri(), key=scene.provider_key),
    }
    found = verified_by_it(aauth_01, scene, in_base64url(messages[kind]()))
    named = {"bare key": None, "jwks_uri": PROVIDER}.get(kind, AGENT)
    assert (found["agent_id"], found["scopes"]) == (named, ["read"] if kind == "auth token" else None)


@caught(WE_MAKE, "a request whose path, method or host was changed on the way")
@pytest.mark.parametrize("change", [name for name in TAMPERING if name != "another body"])
def test_it_refuses_our_request_changed_on_the_way(aauth_01: Peer, change: str) -> None:
    scene = older()
    with pytest.raises(PeerRefuses):
        verified_by_it(aauth_01, scene, TAMPERING[change](in_base64url(scene.with_agent_token())))


@missed(
    WE_MAKE,
    "a request whose body was changed on the way",
    fault="its own: it takes Content-Digest for the body's without computing it (RFC 9530 §2)",
)
def test_it_does_not_compare_the_digest_with_the_body(aauth_01: Peer) -> None:
    scene = older()
    message = TAMPERING["another body"](in_base64url(scene.with_agent_token()))
    assert verified_by_it(aauth_01, scene, message)["valid"]
    with pytest.raises(AAuthError):
        scene.verify(message)


@missed(
    WE_MAKE,
    "a signature over the method alone",
    fault="its own: it asks for no component (AAuth-01 “Covered Components”)",
)
def test_it_takes_a_signature_that_covers_next_to_nothing(aauth_01: Peer) -> None:
    scene = older()
    message = in_base64url(scene.by_hand(covered='"@method"'))
    assert verified_by_it(aauth_01, scene, message)["valid"]
    with pytest.raises(InvalidInput):
        scene.verify(message)


@missed(
    WE_MAKE,
    "an auth token for another resource",
    fault="its own: its verifier of requests does not look at aud (AAuth-01 “Auth Token Verification”)",
)
def test_it_takes_an_auth_token_for_another_resource(aauth_01: Peer) -> None:
    scene = older()
    message = scene.with_auth_token(audience=OTHER_RESOURCE)
    assert verified_by_it(aauth_01, scene, in_base64url(message))["scopes"] == ["read"]
    with pytest.raises(AAuthError):
        scene.verify(message)


# Its tokens, judged by us


def its_token(peer: Peer, kind: str, key: PrivateKey, **claims: Any) -> str:
    made: str = peer.ask("make_token", kind=kind, key=key, kid=key.kid, **claims)
    return made


def presented(scene: Meeting, token: str) -> VerifiedRequest:
    return scene.verify(scene.request(bearing(token)))


@speaks(IT_MAKES, "an agent token")
def test_its_agent_token_is_accepted(aauth_01: Peer) -> None:
    scene = older()
    token = its_token(
        aauth_01, "agent", scene.provider_key, iss=PROVIDER, sub=AGENT, cnf_jwk=scene.public_jwk(), ps=PERSON_SERVER
    )
    verified = presented(scene, token)
    assert (verified.agent, verified.issuer, verified.ps) == (AGENT, PROVIDER, PERSON_SERVER)


def its_auth_token(peer: Peer, scene: Meeting, **changed: Any) -> str:
    claims: dict[str, Any] = {
        "iss": PERSON_SERVER,
        "dwk": auth_tokens.DWK_PERSON_SERVER,
        "aud": RESOURCE,
        "agent": AGENT,
        "cnf_jwk": scene.public_jwk(),
        "act": {"sub": AGENT},
        "scope": "read",
        "sub": "person-1",
    }
    return its_token(peer, "auth", scene.person_server_key, **{**claims, **changed})


@speaks(IT_MAKES, "an auth token, with a chain of callers")
def test_its_auth_token_is_accepted(aauth_01: Peer) -> None:
    scene = older()
    chain = {"sub": AGENT, "act": {"sub": "aauth:first@provider.example"}}
    verified = presented(scene, its_auth_token(aauth_01, scene, act=chain))
    assert (verified.agent, verified.sub, verified.scope, verified.act) == (AGENT, "person-1", "read", chain)


@caught(IT_MAKES, "an auth token for another resource, or whose chain begins with another agent")
@pytest.mark.parametrize("wrong", [{"aud": OTHER_RESOURCE}, {"act": {"sub": "aauth:other@provider.example"}}])
def test_its_auth_token_that_is_not_for_this_is_refused(aauth_01: Peer, wrong: dict[str, Any]) -> None:
    scene = older()
    with pytest.raises(AAuthError) as refusal:
        presented(scene, its_auth_token(aauth_01, scene, **wrong))
    assert refusal.value.code_in(DRAFT_01) == "invalid_jwt"


def its_resource_token(peer: Peer, scene: Meeting, **changed: Any) -> str:
    claims: dict[str, Any] = {
        "iss": RESOURCE,
        "aud": PERSON_SERVER,
        "agent": AGENT,
        "agent_jkt": scene.key.thumbprint,
        "scope": "read",
        "exp": scene.now + 240,
    }
    return its_token(peer, "resource", scene.resource_key, **{**claims, **changed})


@speaks(IT_MAKES, "a resource token of at most five minutes")
def test_its_resource_token_is_accepted(aauth_01: Peer) -> None:
    scene = older()
    judged = scene.judge_resource_token(its_resource_token(aauth_01, scene), agent=AGENT)
    assert (judged.issuer, judged.agent, judged.scope) == (RESOURCE, AGENT, "read")


@refused(
    IT_MAKES,
    "a resource token of ten minutes, as it makes them unasked",
    fault="its own: AAuth-01 “Resource Token Structure” has five minutes as a SHOULD NOT; we hold to it",
)
def test_its_resource_token_of_ten_minutes_is_refused(aauth_01: Peer) -> None:
    scene = older()
    with pytest.raises(AAuthError) as refusal:
        scene.judge_resource_token(its_resource_token(aauth_01, scene, exp=None), agent=AGENT)
    assert refusal.value.code_in(DRAFT_01) == "invalid_resource_token"


# Our tokens, judged by it


def our_resource_token(scene: Meeting, **changed: Any) -> str:
    given: dict[str, Any] = {
        "issuer": RESOURCE,
        "audience": PERSON_SERVER,
        "agent": AGENT,
        "agent_jkt": scene.key.thumbprint,
        "scope": "read",
        "now": scene.now,
    }
    return build_resource_token(scene.resource_key, DRAFT_01, **{**given, **changed})


@speaks(WE_MAKE, "an agent, an auth and a resource token")
@pytest.mark.parametrize(
    ("kind", "make", "expected"),
    [
        ("agent", Meeting.agent_token, {}),
        (
            "auth",
            Meeting.auth_token,
            {"expected_typ": auth_tokens.TYP, "expected_aud": RESOURCE, "expected_agent": AGENT},
        ),
        ("resource", our_resource_token, {"expected_aud": PERSON_SERVER, "expected_agent": AGENT}),
    ],
    ids=["agent", "auth", "resource"],
)
def test_it_accepts_our_tokens(
    aauth_01: Peer, kind: str, make: Callable[[Meeting], str], expected: dict[str, str]
) -> None:
    scene = older()
    claims = aauth_01.ask("judge_token", kind=kind, token=make(scene), documents=scene.published, **expected)
    assert claims["jti"]


@caught(WE_MAKE, "a token that is expired, for somebody else, or not its issuer's")
@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"now": 0, "lifetime": timedelta(minutes=5)}, "expired"),
        ({"audience": OTHER_RESOURCE}, "Invalid audience"),
        ({"signed_by": PrivateKey.generate(kid="ps-1")}, "signature verification failed"),
        ({"signed_by": PrivateKey.generate(kid="ps-2")}, "not found in JWKS"),
    ],
    ids=["expired", "for another resource", "signed by somebody else", "under a key nobody published"],
)
def test_it_refuses_our_tokens_nobody_may_accept(aauth_01: Peer, changed: dict[str, Any], says: str) -> None:
    scene = older()
    token = scene.auth_token(**changed)
    with pytest.raises(PeerRefuses, match=says):
        aauth_01.ask("judge_token", kind="auth", token=token, documents=scene.published, expected_aud=RESOURCE)


# Its agent at our resource and our person server


@speaks(IT_MAKES, "its agent, over sockets: our challenge, the exchange at our person server, the call again")
async def test_its_agent_is_let_in_with_a_token_of_our_person_server(aauth_01: Peer, tmp_path: Path) -> None:
    key = PrivateKey.generate()
    with person_server(tmp_path) as server, our_older_resource(server.issuer, DOMAIN) as url:
        async with httpx2.AsyncClient(trust_env=False) as client:
            token = await enrolled(client, server.issuer, await server.ticket(), key, DRAFT_01)
        found = aauth_01.ask("call", key=key, message=unsigned(url=f"{url}/things"), agent_token=token)
    agent = jws.parse(token).claims["sub"]
    assert found == [401, 200, {"agent": agent, "scheme": "jwt", "scope": "read"}]


# Headers


@speaks(IT_MAKES, "AAuth-Requirement: auth-token with its resource token, interaction")
def test_its_requirements_are_understood(aauth_01: Peer) -> None:
    scene = older()
    asked = aauth_01.ask(
        "challenge",
        key=scene.resource_key,
        kid=scene.resource_key.kid,
        resource=RESOURCE,
        person_server=PERSON_SERVER,
        agent=AGENT,
        scope="read",
    )
    auth = parse_requirement(asked["AAuth-Requirement"])
    assert (auth.kind, list(auth.parameters)) == ("auth-token", ["resource-token"])
    go = parse_requirement(aauth_01.ask("interaction_requirement", url="https://ps.example/go", code="A1B2-C3D4"))
    assert (go.kind, dict(go.parameters)) == ("interaction", {"url": "https://ps.example/go", "code": "A1B2-C3D4"})


@speaks(WE_MAKE, "AAuth-Requirement: auth-token, interaction")
def test_it_understands_our_requirements(aauth_01: Peer) -> None:
    auth = aauth_01.ask("read_requirement", value=requirement("auth-token", resource_token="e30.e30.AA"))
    go = aauth_01.ask("read_requirement", value=requirement("interaction", url="https://ps.example/go", code="A1B2"))
    assert (auth["requirement"], auth["resource_token"]) == ("auth-token", "e30.e30.AA")
    assert (go["requirement"], go["url"], go["code"]) == ("interaction", "https://ps.example/go", "A1B2")


@speaks(WE_MAKE, "Accept-Signature with sigkey; Signature-Error with required_input")
def test_it_reads_what_we_ask_of_an_unsigned_caller(aauth_01: Peer) -> None:
    asked = aauth_01.ask("read_requirement", value=accept_signature(sigkey=IDENTIFIED))
    assert (asked["requirement"], asked["components"]) == (
        "identity",
        ["@method", "@authority", "@path", "signature-key"],
    )
    value = InvalidInput("more", required_input=("@method", "signature-key")).headers(DRAFT_01)["Signature-Error"]
    found = aauth_01.ask("read_signature_error", value=value)
    assert (found["error"], found["required_input"]) == ("invalid_input", ["@method", "signature-key"])


# Thumbprints and digests


@speaks(IT_MAKES, "thumbprints and digests")
@_ALGORITHMS
def test_thumbprints_and_digests_agree(aauth_01: Peer, algorithm: Algorithm) -> None:
    key = PrivateKey.generate(algorithm=algorithm)
    assert aauth_01.ask("thumbprint", jwk=older().public_jwk(key)) == key.thumbprint
    assert aauth_01.ask("digest", body=BODY.decode()) == content_digest(BODY)
