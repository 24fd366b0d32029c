"""aauth 0.5, which speaks draft 11: it makes and judges every token, signs and verifies, and takes revocations.

Its signatures are written in base64url without padding, and it reads no other. RFC 9421 §4.2 has a Byte Sequence
there, and that is base64 (RFC 9651 §3.3.5), so neither side reads the other's signature. What the signature is over
agrees: rewritten in the other alphabet, each verifies.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from aauthkit.drafts import DRAFT_01, DRAFT_11
from aauthkit.errors import AAuthError, InvalidSignatureRequest, render
from aauthkit.headers import parse_requirement, requirement
from aauthkit.httpsig.digest import content_digest
from aauthkit.httpsig.message import Message
from aauthkit.identifiers import AgentIdentifier
from aauthkit.keys import ED25519, P256, Algorithm, PrivateKey
from aauthkit.sigkey import PublishedKey
from aauthkit.tokens import agent as agent_tokens
from aauthkit.tokens import auth as auth_tokens
from aauthkit.tokens import person as person_tokens
from aauthkit.trust import Trust, TrustedIssuer
from aauthkit.verify import Level, VerifiedRequest
from tests.interop.directions import IT_MAKES, WE_MAKE, caught, refused, speaks
from tests.interop.peer import Peer, PeerRefuses
from tests.interop.person_server import PersonServer, our_person_server
from tests.interop.scene import (
    BODY,
    OTHER_RESOURCE,
    TAMPERING,
    Meeting,
    as_sent,
    in_base64,
    in_base64url,
    meeting,
    unsigned,
)
from tests.parties import AGENT, HOST, PERSON_SERVER, PROVIDER, RESOURCE, bearing, issuer_documents

PEER = "aauth"
SPEAKS = "draft 11"
LOCK = "requirements/interop-aauth-11.txt"
pytestmark = [pytest.mark.interop, pytest.mark.anyio]

_ALGORITHMS = pytest.mark.parametrize("algorithm", [ED25519, P256], ids=lambda algorithm: algorithm.name)
_ALPHABET = "its own: it writes and reads base64url in Signature, where RFC 9651 §3.3.5 has base64"
_DER = "its own: it signs ES256 in DER, where RFC 9421 §3.3.4 has r and s of 32 bytes each"
_ACCESS_SERVER = "https://as.example"

# Its tokens, judged by us


def its_agent_token(peer: Peer, scene: Meeting, **changed: Any) -> str:
    claims: dict[str, Any] = {"iss": PROVIDER, "sub": AGENT, "ps": PERSON_SERVER, "cnf_jwk": scene.public_jwk()}
    made: str = peer.ask(
        "make_token", kind="agent", key=scene.provider_key, kid=scene.provider_key.kid, **{**claims, **changed}
    )
    return made


def its_person_token(peer: Peer, scene: Meeting, **changed: Any) -> str:
    claims: dict[str, Any] = {
        "iss": PERSON_SERVER,
        "aud": RESOURCE,
        "sub": "person-1",
        "cnf_jwk": scene.public_jwk(),
        "agent_exp": scene.now + 3600,
    }
    key = scene.person_server_key
    made: str = peer.ask("make_token", kind="person", key=key, kid=key.kid, **{**claims, **changed})
    return made


def its_auth_token(peer: Peer, scene: Meeting, **changed: Any) -> str:
    claims: dict[str, Any] = {
        "iss": PERSON_SERVER,
        "dwk": auth_tokens.DWK_PERSON_SERVER,
        "aud": RESOURCE,
        "ps": PERSON_SERVER,
        "sub": "person-1",
        "scope": "read write",
        "cnf_jwk": scene.public_jwk(),
        "agent_exp": scene.now + 3600,
        "presented_exp": scene.now + 3600,
    }
    key = changed.pop("signed_by", scene.person_server_key)
    made: str = peer.ask("make_token", kind="auth", key=key, kid=key.kid, **{**claims, **changed})
    return made


def presented(scene: Meeting, token: str, **changed: Any) -> VerifiedRequest:
    """Our verdict on a request of ours with the peer's token."""
    return scene.verify(scene.request(bearing(token)), **changed)


@speaks(IT_MAKES, "an agent token, Ed25519 and ES256")
@_ALGORITHMS
def test_its_agent_token_is_accepted__5_3_3(aauth_11: Peer, algorithm: Algorithm) -> None:
    scene = meeting(
        key=PrivateKey.generate(algorithm=algorithm), provider_key=PrivateKey.generate(algorithm=algorithm, kid="ap-1")
    )
    verified = presented(scene, its_agent_token(aauth_11, scene))
    assert (verified.agent, verified.issuer, verified.ps) == (AGENT, PROVIDER, PERSON_SERVER)


@speaks(IT_MAKES, "a sub-agent's token")
def test_its_sub_agent_token_names_the_parent__10_2(aauth_11: Peer) -> None:
    scene, parent = meeting(), meeting()
    parent.provider_key = scene.provider_key
    token = its_agent_token(
        aauth_11,
        scene,
        sub=AGENT.replace("@", "+search@"),
        parent_token=its_agent_token(aauth_11, parent),
        documents=scene.published,
    )
    verified = presented(scene, token)
    assert verified.agent_token is not None
    assert verified.agent_token.parent_agent == AgentIdentifier.parse(AGENT)


@speaks(IT_MAKES, "a person token")
def test_its_person_token_is_accepted__7_1_4(aauth_11: Peer) -> None:
    scene = meeting()
    token = its_person_token(aauth_11, scene, tenant="acme", mission_s256="A" * 43, mission_exp=scene.now + 600)
    found = presented(scene, token).person_token
    assert found is not None
    assert (found.sub, found.tenant, found.mission_s256, found.expires_at) == (
        "person-1",
        "acme",
        "A" * 43,
        scene.now + 600,
    )


@speaks(IT_MAKES, "an auth token of a person server")
def test_its_auth_token_is_accepted__9_4_3(aauth_11: Peer) -> None:
    scene = meeting()
    verified = presented(scene, its_auth_token(aauth_11, scene))
    assert (verified.level, verified.sub, verified.ps) == (Level.AUTHORIZED, "person-1", PERSON_SERVER)
    assert verified.scopes == ("read", "write")


@speaks(IT_MAKES, "an auth token of an access server")
def test_its_access_servers_auth_token_is_accepted__9_4_3(aauth_11: Peer) -> None:
    scene, key = meeting(), PrivateKey.generate(kid="as-1")
    scene.documents.at |= issuer_documents(_ACCESS_SERVER, auth_tokens.DWK_ACCESS_SERVER, key, draft=scene.draft)
    token = its_auth_token(aauth_11, scene, iss=_ACCESS_SERVER, dwk=auth_tokens.DWK_ACCESS_SERVER, signed_by=key)
    verified = presented(scene, token, auth_issuers=Trust.only([TrustedIssuer(issuer=_ACCESS_SERVER)]))
    assert (verified.issuer, verified.ps, verified.scope) == (_ACCESS_SERVER, PERSON_SERVER, "read write")


@speaks(IT_MAKES, "a resource token for a presented person token")
def test_its_resource_token_is_accepted_and_names_our_person_token__6_7_2(aauth_11: Peer) -> None:
    scene = meeting()
    person_token = scene.person_token(tenant="acme")
    token = its_resource_token(aauth_11, scene, person_token)
    judged = scene.judge_resource_token(token)
    assert judged.names(scene.presented(person_token))
    assert (judged.scope, judged.login_hint) == ("read", "ada")


def its_resource_token(peer: Peer, scene: Meeting, presented_token: str) -> str:
    made: str = peer.ask(
        "make_resource_token",
        key=scene.resource_key,
        kid=scene.resource_key.kid,
        documents=scene.published,
        iss=RESOURCE,
        aud=PERSON_SERVER,
        agent_jkt=scene.key.thumbprint,
        presented_token=presented_token,
        scope="read",
        login_hint="ada",
    )
    return made


@caught(IT_MAKES, "a token for another resource, of another person server, or changed on the way")
@pytest.mark.parametrize("wrong", ["audience", "issuer", "claims"])
def test_its_tokens_that_are_not_for_us_are_refused__9_4_3(aauth_11: Peer, wrong: str) -> None:
    scene = meeting()
    made = {
        "audience": lambda: its_auth_token(aauth_11, scene, aud=OTHER_RESOURCE),
        "issuer": lambda: its_auth_token(
            aauth_11, scene, iss="https://ps.other.example", ps="https://ps.other.example"
        ),
        "claims": lambda: forged(its_auth_token(aauth_11, scene), its_auth_token(aauth_11, scene, scope="admin")),
    }
    with pytest.raises(AAuthError) as refusal:
        presented(scene, made[wrong]())
    assert refusal.value.code == "invalid_jwt"


def forged(token: str, claims_of: str) -> str:
    """The token with the claims of another."""
    head, _, signature = token.split(".")
    return ".".join((head, claims_of.split(".")[1], signature))


# Our tokens, judged by it

_OURS: dict[str, tuple[Callable[..., str], str]] = {
    "agent token": (Meeting.agent_token, agent_tokens.TYP),
    "person token": (Meeting.person_token, person_tokens.TYP),
    "auth token": (Meeting.auth_token, auth_tokens.TYP),
}


def judged(peer: Peer, scene: Meeting, token: str, **expected: Any) -> dict[str, Any]:
    found: dict[str, Any] = peer.ask(
        "judge_token", token=token, documents=scene.published, request_signing_jwk=scene.public_jwk(), **expected
    )
    return found


@speaks(WE_MAKE, "an agent, a person and an auth token, Ed25519 and ES256")
@_ALGORITHMS
@pytest.mark.parametrize("kind", _OURS)
def test_it_accepts_our_tokens__11_5_2(aauth_11: Peer, kind: str, algorithm: Algorithm) -> None:
    scene = meeting(
        key=PrivateKey.generate(algorithm=algorithm),
        provider_key=PrivateKey.generate(algorithm=algorithm, kid="ap-1"),
        person_server_key=PrivateKey.generate(algorithm=algorithm, kid="ps-1"),
    )
    make, typ = _OURS[kind]
    audience = {} if kind == "agent token" else {"expected_aud": RESOURCE}
    claims = judged(aauth_11, scene, make(scene), expected_typ=typ, **audience)
    assert claims["sub"] == (AGENT if kind == "agent token" else "person-1")


@speaks(WE_MAKE, "a resource token for a presented person or auth token")
@pytest.mark.parametrize("make", [Meeting.person_token, Meeting.auth_token], ids=["person token", "auth token"])
def test_it_accepts_our_resource_token_with_what_was_presented__6_7_2(aauth_11: Peer, make: Callable[..., str]) -> None:
    scene = meeting()
    presented_token = make(scene, tenant="acme")
    claims = judged_resource_token(
        aauth_11, scene, scene.resource_token(scene.presented(presented_token)), presented_token
    )
    assert (claims["sub"], claims["tenant"], claims["scope"]) == ("person-1", "acme", "read")


def judged_resource_token(peer: Peer, scene: Meeting, token: str, presented_token: str) -> dict[str, Any]:
    found: dict[str, Any] = peer.ask(
        "judge_resource_token",
        token=token,
        documents=scene.published,
        presented_token=presented_token,
        expected_iss=RESOURCE,
        expected_aud=PERSON_SERVER,
        expected_ps=PERSON_SERVER,
        expected_agent_jkt=scene.key.thumbprint,
    )
    return found


@caught(WE_MAKE, "a resource token presented with a person token it was not made for")
def test_it_refuses_our_resource_token_with_another_persons_token__6_7_2(aauth_11: Peer) -> None:
    scene = meeting()
    token = scene.resource_token(scene.presented(scene.person_token()))
    with pytest.raises(PeerRefuses) as refusal:
        judged_resource_token(aauth_11, scene, token, scene.person_token(sub="person-2"))
    assert refusal.value.code == "invalid_resource_token"


@caught(WE_MAKE, "a token that is expired, for somebody else, or not its issuer's")
@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ("expired", "expired_jwt"),
        ("for another resource", "invalid_jwt"),
        ("signed by somebody else", "invalid_jwt"),
        ("under a key nobody published", "unknown_key"),
        ("for another key", "invalid_key"),
    ],
)
def test_it_refuses_our_tokens_nobody_may_accept__11_5_2(aauth_11: Peer, wrong: str, code: str) -> None:
    scene = meeting()
    tokens = {
        "expired": scene.person_token(now=scene.now - 7200, lifetime=timedelta(minutes=5)),
        "for another resource": scene.person_token(audience=OTHER_RESOURCE),
        "signed by somebody else": scene.person_token(signed_by=PrivateKey.generate(kid="ps-1")),
        "under a key nobody published": scene.person_token(signed_by=PrivateKey.generate(kid="ps-2")),
        "for another key": scene.person_token(confirm=PrivateKey.generate().public),
    }
    with pytest.raises(PeerRefuses) as refusal:
        judged(aauth_11, scene, tokens[wrong], expected_aud=RESOURCE)
    assert refusal.value.code == code


@caught(WE_MAKE, "a token of draft 01, whose alg is EdDSA")
def test_it_refuses_the_algorithm_name_of_draft_01__11_3_1(aauth_11: Peer) -> None:
    scene, older = meeting(), meeting(draft=DRAFT_01)
    older.key, older.provider_key = scene.key, scene.provider_key
    with pytest.raises(PeerRefuses, match="Unsupported JWT algorithm") as refusal:
        judged(aauth_11, scene, older.agent_token())
    assert refusal.value.code == "unsupported_algorithm"


# Its requests, judged by us


def its_request(peer: Peer, scene: Meeting, message: Message, token: str, to: str = "resource") -> Message:
    """As it signs. A signature that happens to read the same in both alphabets is made anew."""
    for _ in range(40):
        signed = as_sent(message, peer.ask("sign", key=scene.key, message=message, token=token, to=to))
        if {"-", "_"} & set(signed.field("signature") or ""):
            return signed
        # Within a second it signs the same.
        time.sleep(0.1)
    raise AssertionError("it does not write base64url any more; docs/interop.md should say so")


@refused(IT_MAKES, "a request with an agent, person or auth token", fault=_ALPHABET)
@pytest.mark.parametrize("kind", _OURS)
def test_a_request_it_signs_is_refused_for_its_alphabet(aauth_11: Peer, kind: str) -> None:
    scene = meeting()
    with pytest.raises(AAuthError) as refusal:
        scene.verify(its_request(aauth_11, scene, unsigned(), _OURS[kind][0](scene)))
    assert (refusal.value.code, refusal.value.detail) == (
        "invalid_signature",
        "Signature and Signature-Input must be structured dictionaries without duplicates.",
    )


@refused(IT_MAKES, "the same, at a server that reads draft 01 besides", fault=_ALPHABET)
def test_a_request_it_signs_is_refused_also_where_draft_01_is_read(aauth_11: Peer) -> None:
    scene = meeting()
    message = its_request(aauth_11, scene, unsigned(), scene.agent_token())
    with pytest.raises(InvalidSignatureRequest):
        scene.verify(message, drafts=(DRAFT_11, DRAFT_01))
    assert scene.accepts(in_base64(message), drafts=(DRAFT_11, DRAFT_01))


@speaks(IT_MAKES, "the same, its signature rewritten in base64")
@pytest.mark.parametrize("to", ["resource", "ps"])
@pytest.mark.parametrize("kind", _OURS)
def test_a_request_it_signs_is_verified_once_its_signature_is_in_base64(aauth_11: Peer, kind: str, to: str) -> None:
    scene = meeting()
    message = in_base64(its_request(aauth_11, scene, unsigned(), _OURS[kind][0](scene), to))
    verified = scene.verify(message, cover=("content-digest", "content-type") if to == "ps" else ())
    assert verified.thumbprint == scene.key.thumbprint


@refused(IT_MAKES, "a request signed with ES256", fault=_DER)
def test_a_request_it_signs_with_es256_is_refused_for_der(aauth_11: Peer) -> None:
    scene = meeting(key=PrivateKey.generate(algorithm=P256))
    message = in_base64(its_request(aauth_11, scene, unsigned(), scene.agent_token()))
    with pytest.raises(AAuthError) as refusal:
        scene.verify(message)
    assert refusal.value.code == "invalid_signature"


@caught(IT_MAKES, "a request changed on the way, its signature rewritten in base64")
@pytest.mark.parametrize("change", [name for name in TAMPERING if name != "another body"])
def test_its_request_changed_on_the_way_is_refused(aauth_11: Peer, change: str) -> None:
    scene = meeting()
    message = in_base64(its_request(aauth_11, scene, unsigned(), scene.agent_token()))
    with pytest.raises(AAuthError) as refusal:
        scene.verify(TAMPERING[change](message))
    assert refusal.value.code == "invalid_signature"


# Our requests, judged by it


def verified_by_it(peer: Peer, scene: Meeting, message: Message) -> dict[str, Any]:
    found: dict[str, Any] = peer.ask(
        "verify",
        message=message,
        documents=scene.published,
        resource=RESOURCE,
        authority=HOST,
        person_server=PERSON_SERVER,
    )
    return found


@refused(WE_MAKE, "a request with an agent, person or auth token", fault=_ALPHABET)
@pytest.mark.parametrize("kind", _OURS)
def test_it_cannot_read_our_signature(aauth_11: Peer, kind: str) -> None:
    scene = meeting()
    with pytest.raises(PeerRefuses, match="Invalid Signature format"):
        verified_by_it(aauth_11, scene, scene.request(bearing(_OURS[kind][0](scene))))


@speaks(WE_MAKE, "the same, our signature rewritten in base64url, Ed25519 and ES256")
@_ALGORITHMS
@pytest.mark.parametrize("kind", _OURS)
def test_it_verifies_our_request_once_the_signature_is_in_its_alphabet(
    aauth_11: Peer, kind: str, algorithm: Algorithm
) -> None:
    scene = meeting(key=PrivateKey.generate(algorithm=algorithm))
    make, typ = _OURS[kind]
    found = verified_by_it(aauth_11, scene, in_base64url(scene.request(bearing(make(scene)))))
    assert (found["typ"], found["claims"]["cnf"]["jwk"]) == (typ, scene.public_jwk())


@caught(WE_MAKE, "a request changed on the way, our signature rewritten in base64url")
@pytest.mark.parametrize("change", TAMPERING)
def test_it_refuses_our_request_changed_on_the_way(aauth_11: Peer, change: str) -> None:
    scene = meeting()
    message = TAMPERING[change](in_base64url(scene.with_agent_token()))
    with pytest.raises(PeerRefuses):
        verified_by_it(aauth_11, scene, message)


# Revocations


def revocation(scene: Meeting) -> Message:
    """A person server's word to a resource that a token is withdrawn."""
    published = PublishedKey(id=PERSON_SERVER, dwk=person_tokens.DWK, kid=scene.person_server_key.kid)
    body = json.dumps({"jti": "withdrawn", "exp": scene.now + 60}).encode()
    return scene.request(str(published), key=scene.person_server_key, url=f"{RESOURCE}/revoke", body=body)


@refused(WE_MAKE, "a revocation", fault=_ALPHABET)
def test_it_cannot_read_the_signature_of_our_revocation__11_12_3(aauth_11: Peer) -> None:
    answer = revoked_at_it(aauth_11, meeting(), revocation(meeting()))
    assert (answer["status"], answer["revoked"]) == (401, [])


@speaks(WE_MAKE, "a revocation, our signature rewritten in base64url")
def test_it_takes_our_revocation_once_the_signature_is_in_its_alphabet__11_12_3(aauth_11: Peer) -> None:
    scene = meeting()
    answer = revoked_at_it(aauth_11, scene, in_base64url(revocation(scene)))
    assert (answer["status"], answer["revoked"]) == (200, [[PERSON_SERVER, "withdrawn"]])


def revoked_at_it(peer: Peer, scene: Meeting, message: Message) -> dict[str, Any]:
    answer: dict[str, Any] = peer.ask(
        "revoke", message=message, documents=scene.published, recipient=RESOURCE, from_=[PERSON_SERVER]
    )
    return answer


@speaks(IT_MAKES, "a server's request under jwks_uri, its signature rewritten in base64")
def test_a_request_it_signs_as_a_server_is_verified__11_3_2(aauth_11: Peer) -> None:
    scene = meeting()
    key = scene.person_server_key
    headers = aauth_11.ask(
        "sign_as_server", key=key, message=unsigned(), server=PERSON_SERVER, dwk=person_tokens.DWK, kid=key.kid
    )
    assert scene.verify_server(in_base64(as_sent(unsigned(), headers))).issuer == PERSON_SERVER


# Its agent at our person server


@refused(IT_MAKES, "its agent's request for a person token, at our person server", fault=_ALPHABET)
async def test_our_person_server_refuses_its_agent_for_the_alphabet(aauth_11: Peer, tmp_path: Path) -> None:
    refusals: list[str | None] = []
    async with our_person_server(tmp_path, meeting()) as server:
        # One signature of fifteen happens to read the same in both alphabets; the next key has another.
        for _ in range(8):
            scene = meeting()
            try:
                await its_agents_person_token(aauth_11, scene, server, await server.enrol(scene.key))
            except PeerRefuses as refusal:
                refusals.append(refusal.code)
                break
    assert refusals == ["invalid_signature"]


@speaks(IT_MAKES, "its agent's request for a person token, then for an auth token; signatures rewritten in base64")
async def test_its_agent_gets_its_tokens_at_our_person_server__7_1_and_7_2(aauth_11: Peer, tmp_path: Path) -> None:
    scene = meeting()
    scene.documents.at[f"{RESOURCE}/.well-known/aauth-resource.json"] = {
        "issuer": RESOURCE,
        "jwks_uri": f"{RESOURCE}/jwks.json",
        "name": "Things",
        "scope_descriptions": {"read": "Read things"},
    }
    async with our_person_server(tmp_path, scene) as server:
        server.rewrite = in_base64_where_signed
        agent_token = await server.enrol(scene.key)
        person_token = await its_agents_person_token(aauth_11, scene, server, agent_token)
        scene.documents.at |= await server.documents()
        token = await aauth_11.ask_meanwhile(
            "auth_token",
            server.answer,
            key=scene.key,
            agent_token=agent_token,
            documents=scene.published,
            resource_token=its_resource_token(aauth_11, scene, person_token),
            presented_token=person_token,
            resource_id=RESOURCE,
            person_server=PERSON_SERVER,
        )
    verified = presented(scene, token)
    assert (verified.level, verified.ps, verified.scope) == (Level.AUTHORIZED, PERSON_SERVER, "read")
    assert server.seen == [
        "GET /.well-known/aauth-person.json 200",
        "POST /person 200",
        "GET /.well-known/aauth-person.json 200",
        "POST /token 200",
    ]


async def its_agents_person_token(peer: Peer, scene: Meeting, server: PersonServer, agent_token: str) -> str:
    token: str = await peer.ask_meanwhile(
        "person_token",
        server.answer,
        key=scene.key,
        agent_token=agent_token,
        documents={**scene.published, **await server.documents()},
        person_server=PERSON_SERVER,
        resource=RESOURCE,
    )
    return token


def in_base64_where_signed(message: Message) -> Message:
    return message if message.field("signature") is None else in_base64(message)


# Headers


@speaks(IT_MAKES, "AAuth-Requirement: agent-token, person-token, auth-token, interaction")
def test_its_requirements_are_understood__11_6(aauth_11: Peer) -> None:
    asked = {
        "agent-token": aauth_11.ask("requirement", require_identity=True),
        "person-token": aauth_11.ask("requirement", require_person_token=True),
        "auth-token": aauth_11.ask("auth_token_requirement", resource_token="e30.e30.AA"),
        "interaction": aauth_11.ask("interaction_requirement", url="https://ps.example/go", code="A1B2-C3D4"),
    }
    read = {kind: parse_requirement(value) for kind, value in asked.items()}
    assert {kind: found.kind for kind, found in read.items()} == {kind: kind for kind in asked}
    assert dict(read["auth-token"].parameters) == {"resource-token": "e30.e30.AA"}
    assert dict(read["interaction"].parameters) == {"url": "https://ps.example/go", "code": "A1B2-C3D4"}


@speaks(WE_MAKE, "AAuth-Requirement: agent-token, person-token, auth-token, interaction")
def test_it_understands_our_requirements__11_6(aauth_11: Peer) -> None:
    read = [
        aauth_11.ask("read_requirement", value=value)
        for value in (
            requirement("agent-token"),
            requirement("person-token"),
            requirement("auth-token", resource_token="e30.e30.AA"),
            requirement("interaction", url="https://ps.example/go", code="A1B2-C3D4"),
        )
    ]
    assert [found["requirement"] for found in read] == ["agent-token", "person-token", "auth-token", "interaction"]
    assert read[2]["resource_token"] == "e30.e30.AA"
    assert (read[3]["url"], read[3]["code"]) == ("https://ps.example/go", "A1B2-C3D4")


@speaks(WE_MAKE, "Signature-Error with required_input")
def test_it_reads_what_we_ask_to_be_covered__sk_5_4_5(aauth_11: Peer) -> None:
    scene = meeting()
    with pytest.raises(AAuthError) as refusal:
        scene.verify(scene.request(bearing(scene.agent_token())), cover=("authorization",))
    value = render(refusal.value, scene.draft).headers["Signature-Error"]
    found = aauth_11.ask("read_signature_error", value=value)
    assert (found["error"], found["required_input"]) == (
        "invalid_input",
        ["@method", "@authority", "@path", "signature-key", "authorization"],
    )


# Thumbprints and digests


@speaks(IT_MAKES, "thumbprints and digests")
@_ALGORITHMS
def test_thumbprints_and_digests_agree(aauth_11: Peer, algorithm: Algorithm) -> None:
    key = PrivateKey.generate(algorithm=algorithm)
    assert aauth_11.ask("thumbprint", jwk=meeting().public_jwk(key)) == key.thumbprint
    assert aauth_11.ask("digest", body=BODY.decode()) == content_digest(BODY)
