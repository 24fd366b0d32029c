"""What a resource asks of a request and publishes of itself (§6.1, §6.4 to §6.7, §11.2.4), decided without any I/O."""

from __future__ import annotations

from typing import Any

import pytest

from aauthkit import jwt as jws
from aauthkit.drafts import DRAFT_11
from aauthkit.errors import Challenge, ConfigurationError, InvalidScope, PolicyDenied, render
from aauthkit.flow import run
from aauthkit.headers import parse_requirement
from aauthkit.httpsig.message import Message
from aauthkit.keys import PrivateKey
from aauthkit.resource.admission import Admission, Verification, admit
from aauthkit.resource.challenge import issue_resource_token, step_up_challenge
from aauthkit.resource.metadata import resource_jwks, resource_link, resource_metadata
from aauthkit.resource.settings import About, Require, Resource
from aauthkit.tokens.resource import TYP
from aauthkit.trust import Trust, TrustedIssuer
from tests.parties import NOW, PERSON_SERVER, PROVIDER, RESOURCE, Scene

OTHER_SERVER = "https://other-ps.example"


@pytest.fixture
def scene() -> Scene:
    return Scene(draft=DRAFT_11)


def resource(**changed: Any) -> Resource:
    given: dict[str, Any] = {
        "issuer": RESOURCE,
        "require": Require.AUTH_TOKEN,
        "agent_providers": Trust.only([TrustedIssuer(issuer=PROVIDER)]),
        "auth_issuers": Trust.only([TrustedIssuer(issuer=PERSON_SERVER), TrustedIssuer(issuer=OTHER_SERVER)]),
        "signing_key": PrivateKey.generate(kid="r-1"),
        "scopes": ("read", "write"),
        "default_scopes": ("read",),
    }
    return Resource(**{**given, **changed})


def admitted(scene: Scene, message: Message, require: Require = Require.AUTH_TOKEN) -> Admission:
    verification = Verification(discovery=scene.discovery, replays=scene.replays, clock=scene.clock)
    return run(admit(message, resource(), verification, require), scene.documents)


def asked(challenge: Challenge | None) -> tuple[int, str, dict[str, Any]]:
    """Status, requirement and its parameters, as the answer carries them."""
    assert challenge is not None
    rendered = render(challenge, DRAFT_11)
    requirement = parse_requirement(rendered.headers["AAuth-Requirement"])
    return rendered.status, requirement.kind, dict(requirement.parameters)


@pytest.mark.conformance("11:§6.4", "11:§6.7-2", "RS-11", "RS-30", "11:§7.1.1-3")
def test_who_shows_an_agent_token_is_asked_for_the_person_first_and_gets_no_resource_token__6_7(scene: Scene) -> None:
    for require in (Require.PERSON_TOKEN, Require.AUTH_TOKEN):
        assert asked(admitted(scene, scene.with_agent_token(), require).challenge) == (401, "person-token", {})


@pytest.mark.conformance("11:§6.5-1", "11:§6.5-2", "11:§6.7-1", "11:§6.7-3", "RS-30", "RS-31")
def test_who_shows_a_person_token_is_asked_for_an_auth_token_with_a_resource_token__6_5(scene: Scene) -> None:
    admission = admitted(scene, scene.with_person_token(jti="p-1"))
    status, kind, parameters = asked(admission.challenge)
    assert (status, kind, set(parameters)) == (401, "auth-token", {"resource-token"})
    token = jws.parse(parameters["resource-token"])
    assert token.typ == TYP
    named = {name: token.claims[name] for name in ("aud", "ps", "sub", "presented_jti", "agent_jkt")}
    assert named == {
        "aud": PERSON_SERVER,
        "ps": PERSON_SERVER,
        "sub": "person-1",
        "presented_jti": "p-1",
        "agent_jkt": scene.key.thumbprint,
    }


@pytest.mark.conformance("11:§6.7-3", "RS-31")
def test_the_agents_own_word_for_its_person_server_counts_for_nothing__6_7(scene: Scene) -> None:
    """Draft 01 took `aud` from the agent token's `ps`; in -11 it is who issued the verified token."""
    named_by_the_agent = scene.with_agent_token(ps=OTHER_SERVER)
    assert asked(admitted(scene, named_by_the_agent).challenge)[1] == "person-token"
    parameters = asked(admitted(scene, scene.with_person_token()).challenge)[2]
    assert jws.parse(parameters["resource-token"]).claims["aud"] == PERSON_SERVER


@pytest.mark.conformance("11:§7.1.4-3", "11:§13.11-2", "RS-12", "RS-13")
def test_a_person_token_is_enough_for_identity_and_not_for_authorization__13_11(scene: Scene) -> None:
    assert admitted(scene, scene.with_person_token(), Require.PERSON_TOKEN).challenge is None
    assert asked(admitted(scene, scene.with_person_token()).challenge)[1] == "auth-token"
    for require in (Require.PERSON_TOKEN, Require.AUTH_TOKEN):
        assert admitted(scene, scene.with_auth_token(), require).challenge is None


@pytest.mark.conformance("11:§6.5-1", "11:§6.5-2", "11:§6.7.1-5", "RS-34")
def test_a_step_up_names_the_auth_token_the_request_carried__6_7_1(scene: Scene) -> None:
    verified = scene.verify(scene.with_auth_token(jti="t-1", scope="read", account="work"))
    status, kind, parameters = asked(step_up_challenge(verified, resource(), ["write"], now=NOW))
    claims = jws.parse(parameters["resource-token"]).claims
    assert (status, kind, claims["presented_jti"], claims["scope"]) == (401, "auth-token", "t-1", "read write")
    assert (claims["ps"], claims["sub"], claims["account"]) == (PERSON_SERVER, "person-1", "work")
    assert step_up_challenge(verified, resource(), ["read"], now=NOW) is None


@pytest.mark.conformance("11:§11.10-1")
def test_a_resource_token_has_only_scopes_the_resource_describes__11_10(scene: Scene) -> None:
    verified = scene.verify(scene.with_person_token())
    for scopes in (["admin"], ["read", "admin"], []):
        with pytest.raises(InvalidScope):
            issue_resource_token(verified, resource(), scopes, now=NOW)
    described = resource_metadata(resource())["scope_descriptions"]
    assert set(described) == {"read", "write"}


@pytest.mark.conformance("11:§6.7.1-1", "11:§11.11-1", "RS-32", "RS-35")
def test_account_and_login_hint_are_echoed_and_no_agent_is_named__6_7_1(scene: Scene) -> None:
    verified = scene.verify(scene.with_person_token())
    issued = issue_resource_token(verified, resource(), ["read"], now=NOW, account="work", login_hint="me")
    claims = jws.parse(issued.token).claims
    assert (claims["account"], claims["login_hint"]) == ("work", "me")
    assert not {"agent", "act", "cnf", "mission"} & claims.keys()


@pytest.mark.conformance("11:§6.7-3")
def test_no_resource_token_goes_to_a_person_server_that_could_not_redeem_it__6_7(scene: Scene) -> None:
    verified = scene.verify(scene.with_person_token())
    with pytest.raises(PolicyDenied):
        issue_resource_token(verified, resource(person_server=OTHER_SERVER), ["read"], now=NOW)


# Metadata


@pytest.mark.parametrize(
    ("require", "mode"),
    [(Require.IDENTITY, "agent-token"), (Require.PERSON_TOKEN, "person-token"), (Require.AUTH_TOKEN, "auth-token")],
)
@pytest.mark.conformance("11:§11.2-4", "11:§11.2.4-1", "11:§11.2.4-2", "RS-01", "RS-02", "RS-03", "RS-04")
def test_the_metadata_says_what_is_asked_and_where__11_2_4(require: Require, mode: str) -> None:
    published = resource(require=require, cover=("content-digest",))
    document = resource_metadata(published)
    assert (document["issuer"], document["access_mode"]) == (RESOURCE, mode)
    assert document["jwks_uri"].startswith(f"{RESOURCE}/")
    assert document["authorization_endpoint"].startswith(f"{RESOURCE}/")
    assert document["revocation_endpoint"].startswith(f"{RESOURCE}/")
    assert document["accept_signature_algs"] == ["Ed25519", "ES256"]
    assert document["additional_signature_components"] == ["content-digest"]
    assert not {"login_endpoint", "client_name", "scopes_supported"} & document.keys()


@pytest.mark.conformance("11:§11.4-1", "SK:§3.3-8")
def test_the_key_a_resource_publishes_names_its_algorithm__11_4() -> None:
    assert [key["alg"] for key in resource_jwks(resource())["keys"]] == ["Ed25519"]


@pytest.mark.parametrize("name", ["logo_uri", "logo_dark_uri", "documentation_uri", "tos_uri", "policy_uri"])
@pytest.mark.conformance("11:§11.1.2-2", "11:§11.2-6")
def test_addresses_for_people_are_https__11_2(name: str) -> None:
    assert resource_metadata(resource(about=About(**{name: "https://a.example/x"})))[name] == "https://a.example/x"
    for address in ("http://a.example/x", "javascript:1", "//a.example"):
        with pytest.raises(ConfigurationError):
            resource(about=About(**{name: address}))


@pytest.mark.conformance("11:§11.2.5-1", "RS-04")
def test_the_link_to_the_metadata_is_the_identifier_and_the_well_known_name__11_2_5() -> None:
    assert resource_link(resource()) == f'<{RESOURCE}/.well-known/aauth-resource.json>; rel="aauth-resource"'
