"""regent-httpsig, which speaks draft 11: it signs and verifies requests and reads tokens; it issues none."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from aauthkit.drafts import DRAFT_01
from aauthkit.errors import AAuthError, render
from aauthkit.headers import parse_requirement
from aauthkit.httpsig.digest import content_digest, digest_matches
from aauthkit.httpsig.message import Message
from aauthkit.keys import ED25519, P256, Algorithm, PrivateKey
from aauthkit.tokens import person as person_tokens
from aauthkit.verify import Level
from tests.interop.directions import IT_MAKES, WE_MAKE, caught, speaks
from tests.interop.peer import Peer, PeerRefuses
from tests.interop.scene import BODY, OTHER_RESOURCE, TAMPERING, Meeting, as_sent, meeting, unsigned
from tests.interop.serving import our_agent
from tests.parties import AGENT, PERSON_SERVER, PROVIDER, RESOURCE, bearing

PEER = "regent-httpsig"
SPEAKS = "draft 11"
LOCK = "requirements/interop-regent-httpsig.txt"
pytestmark = pytest.mark.interop

_ALGORITHMS = pytest.mark.parametrize("algorithm", [ED25519, P256], ids=lambda algorithm: algorithm.name)
_TOKENS: dict[str, tuple[Callable[..., str], str, Level]] = {
    "agent token": (Meeting.agent_token, "aauth", Level.IDENTIFIED),
    "person token": (Meeting.person_token, "aauth-person", Level.IDENTIFIED),
    "auth token": (Meeting.auth_token, "aauth-auth", Level.AUTHORIZED),
}
_EVERY_TOKEN = pytest.mark.parametrize("kind", _TOKENS)


def judged(regent: Peer, scene: Meeting, message: Message, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = regent.ask(
        "verify",
        message=message,
        documents=scene.published,
        resource=RESOURCE,
        person_server=PERSON_SERVER,
        **more,
    )
    return found


def refused(regent: Peer, scene: Meeting, message: Message, **more: Any) -> PeerRefuses:
    with pytest.raises(PeerRefuses) as refusal:
        judged(regent, scene, message, **more)
    return refusal.value


# Requests


@speaks(IT_MAKES, "a request with an agent, person or auth token, Ed25519 and ES256")
@_ALGORITHMS
@_EVERY_TOKEN
def test_a_request_it_signs_is_verified__11_3_4(regent: Peer, kind: str, algorithm: Algorithm) -> None:
    scene = meeting(key=PrivateKey.generate(algorithm=algorithm))
    make, _, level = _TOKENS[kind]
    headers = regent.ask("sign", key=scene.key, message=unsigned(), token=make(scene))
    verified = scene.verify(as_sent(unsigned(), headers), cover=("content-digest", "content-type"))
    assert (verified.level, verified.thumbprint) == (level, scene.key.thumbprint)


@speaks(WE_MAKE, "a request with an agent, person or auth token, Ed25519 and ES256")
@_ALGORITHMS
@_EVERY_TOKEN
def test_a_request_we_sign_is_verified_by_it__11_3_3(regent: Peer, kind: str, algorithm: Algorithm) -> None:
    scene = meeting(key=PrivateKey.generate(algorithm=algorithm))
    make, scheme, _ = _TOKENS[kind]
    found = judged(regent, scene, scene.request(bearing(make(scene))))
    assert (found["scheme"], found["key"]) == (scheme, scene.key.thumbprint)
    assert found["issuer"] == (PROVIDER if kind == "agent token" else PERSON_SERVER)
    assert found["sub"] == (AGENT if kind == "agent token" else "person-1")


@speaks(IT_MAKES, "a server's request under jwks_uri")
def test_a_request_it_signs_as_a_server_is_verified__11_3_2(regent: Peer) -> None:
    scene = meeting()
    message = unsigned()
    headers = regent.ask(
        "sign_as_server",
        key=scene.person_server_key,
        message=message,
        server=PERSON_SERVER,
        dwk=person_tokens.DWK,
        kid=scene.person_server_key.kid,
    )
    assert scene.verify_server(as_sent(message, headers)).issuer == PERSON_SERVER


@speaks(WE_MAKE, "a server's request under jwks_uri")
def test_a_request_we_sign_as_a_server_is_verified_by_it__11_3_2(regent: Peer) -> None:
    scene = meeting()
    found = judged(regent, scene, scene.as_person_server())
    assert (found["scheme"], found["issuer"], found["key"]) == (
        "aauth-server",
        PERSON_SERVER,
        scene.person_server_key.kid,
    )


@speaks(WE_MAKE, "our agent's client, over a socket, at its FastAPI dependency")
@pytest.mark.anyio
@_ALGORITHMS
async def test_our_agents_client_is_let_in_by_its_server(regent: Peer, algorithm: Algorithm) -> None:
    scene = meeting(key=PrivateKey.generate(algorithm=algorithm))
    url = regent.ask("listen", documents=scene.published, person_server=PERSON_SERVER)
    async with our_agent(scene).http_client() as client:
        response = await client.post(f"{url}/things", json={"a": 1})
    assert (response.status_code, response.json()) == (200, {"scheme": "aauth", "issuer": PROVIDER, "sub": AGENT})


@caught(WE_MAKE, "a client that does not sign, over a socket, at its FastAPI dependency")
def test_its_server_asks_an_unsigned_client_for_an_agent_token__6_1(regent: Peer) -> None:
    url = regent.ask("listen", documents={}, person_server=PERSON_SERVER)
    response = httpx2.post(f"{url}/things", json={"a": 1}, trust_env=False)
    assert response.status_code == 401
    assert parse_requirement(response.headers["aauth-requirement"]).kind == "agent-token"


@caught(IT_MAKES, "a request changed on the way")
@pytest.mark.parametrize("change", TAMPERING)
def test_its_request_changed_on_the_way_is_refused(regent: Peer, change: str) -> None:
    scene = meeting()
    headers = regent.ask("sign", key=scene.key, message=unsigned(), token=scene.agent_token())
    with pytest.raises(AAuthError) as refusal:
        scene.verify(TAMPERING[change](as_sent(unsigned(), headers)))
    assert refusal.value.code == "invalid_signature"


@caught(WE_MAKE, "a request changed on the way")
@pytest.mark.parametrize("change", TAMPERING)
def test_it_refuses_our_request_changed_on_the_way(regent: Peer, change: str) -> None:
    scene = meeting()
    assert refused(regent, scene, TAMPERING[change](scene.with_agent_token())).code == "invalid_signature"


@caught(IT_MAKES, "a request signed with another key than the token's")
def test_its_request_signed_with_another_key_is_refused__11_3_4_step_7(regent: Peer) -> None:
    scene = meeting()
    headers = regent.ask("sign", key=PrivateKey.generate(), message=unsigned(), token=scene.agent_token())
    with pytest.raises(AAuthError) as refusal:
        scene.verify(as_sent(unsigned(), headers))
    assert refusal.value.code == "invalid_signature"


@caught(WE_MAKE, "a request signed with another key than the token's")
def test_it_refuses_our_request_signed_with_another_key__11_3_4_step_7(regent: Peer) -> None:
    scene = meeting()
    message = scene.request(bearing(scene.agent_token()), key=PrivateKey.generate())
    assert refused(regent, scene, message).code == "invalid_signature"


@caught(IT_MAKES, "a request without what its receiver asks to be covered")
def test_its_request_that_covers_too_little_is_refused__11_3_4_step_2(regent: Peer) -> None:
    scene = meeting()
    headers = regent.ask("sign", key=scene.key, message=unsigned("GET"), token=scene.agent_token())
    with pytest.raises(AAuthError) as refusal:
        scene.verify(as_sent(unsigned("GET"), headers), cover=("authorization",))
    assert refusal.value.code == "invalid_input"


# Tokens


def lifetimes(scene: Meeting) -> dict[str, str]:
    """Tokens nobody may accept, by what is wrong with them."""
    past = scene.now - 7200
    return {
        "expired": scene.person_token(now=past, lifetime=timedelta(minutes=5)),
        "for another resource": scene.person_token(audience=OTHER_RESOURCE),
        "signed by somebody else": scene.person_token(signed_by=PrivateKey.generate(kid="ps-1")),
        "under a key nobody published": scene.person_token(signed_by=PrivateKey.generate(kid="ps-2")),
    }


@caught(WE_MAKE, "a token that is expired, for somebody else, or not its issuer's")
@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ("expired", "expired_jwt"),
        ("for another resource", "invalid_jwt"),
        ("signed by somebody else", "invalid_jwt"),
        ("under a key nobody published", "unknown_key"),
    ],
)
def test_it_refuses_the_tokens_we_refuse_with_the_same_code__11_5_2(regent: Peer, wrong: str, code: str) -> None:
    scene = meeting()
    message = scene.request(bearing(lifetimes(scene)[wrong]))
    with pytest.raises(AAuthError) as refusal:
        scene.verify(message)
    assert (refused(regent, scene, message).code, refusal.value.code) == (code, code)


@caught(WE_MAKE, "a token of draft 01, whose alg is EdDSA")
def test_it_refuses_the_algorithm_name_of_draft_01_as_we_do__11_3_1(regent: Peer) -> None:
    scene, older = meeting(), meeting(draft=DRAFT_01)
    older.key, older.provider_key = scene.key, scene.provider_key
    message = scene.request(bearing(older.agent_token()))
    said = refused(regent, scene, message)
    assert (said.code, said.said["headers"]["Accept-Signature-Alg"]) == (
        "unsupported_algorithm",
        "Ed25519, ES256, RS256",
    )


@caught(WE_MAKE, "a token its issuer withdrew")
def test_it_calls_a_withdrawn_token_revoked__11_12_5(regent: Peer) -> None:
    scene = meeting()
    message = scene.request(bearing(scene.auth_token(jti="withdrawn")))
    assert refused(regent, scene, message, revoked=[PERSON_SERVER, "withdrawn"]).code == "revoked_jwt"


# Headers


@speaks(IT_MAKES, "Signature-Error, Accept-Signature-Scheme and the problem of a refusal")
def test_its_refusal_of_a_scheme_is_written_as_ours_is__sk_5_4_2(regent: Peer) -> None:
    scene = meeting()
    message = scene.request()
    with pytest.raises(AAuthError) as refusal:
        scene.verify(message, schemes=frozenset({"jwt", "jwks_uri"}))
    said, ours = refused(regent, scene, message).said, render(refusal.value, scene.draft)
    assert said["headers"]["Signature-Error"] == ours.headers["Signature-Error"] == "error=unsupported_scheme"
    assert set(said["headers"]["Accept-Signature-Scheme"].split(", ")) == set(
        ours.headers["Accept-Signature-Scheme"].split(", ")
    )
    members = ("type", "error")
    assert [said["problem"][name] for name in members] == [json.loads(ours.body)[name] for name in members]


@speaks(IT_MAKES, "Signature-Error with required_input")
def test_what_it_asks_to_be_covered_is_written_as_ours_is__sk_5_4_5(regent: Peer) -> None:
    scene = meeting()
    message = scene.by_hand(covered='"@method" "@path" "signature-key"', signature_key=bearing(scene.agent_token()))
    with pytest.raises(AAuthError) as refusal:
        scene.verify(message)
    ours = render(refusal.value, scene.draft).headers["Signature-Error"]
    assert refused(regent, scene, message).said["headers"]["Signature-Error"] == ours


@speaks(IT_MAKES, "AAuth-Requirement: person-token, auth-token")
def test_its_requirements_are_understood__11_6(regent: Peer) -> None:
    person, auth = map(parse_requirement, regent.ask("requirements", resource_token="e30.e30.AA"))
    assert (person.kind, dict(person.parameters)) == ("person-token", {})
    assert (auth.kind, dict(auth.parameters)) == ("auth-token", {"resource-token": "e30.e30.AA"})


# Thumbprints and digests


@speaks(IT_MAKES, "thumbprints and digests")
@_ALGORITHMS
def test_thumbprints_and_digests_agree(regent: Peer, algorithm: Algorithm) -> None:
    key = PrivateKey.generate(algorithm=algorithm)
    assert regent.ask("thumbprint", jwk=meeting().public_jwk(key)) == key.thumbprint
    assert regent.ask("digest", body=BODY.decode()) == content_digest(BODY)
    assert digest_matches(regent.ask("digest", body=BODY.decode()), BODY)
