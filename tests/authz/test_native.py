"""The check in draft 11: what each token gets, what the upstream and the rules are told, and what a file may say."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aauthkit import jwt as jws
from aauthkit.authz.outcome import CLAIM_HEADERS, Outcome, Result
from aauthkit.authz.service import AuthorizationService, Decision
from aauthkit.drafts import DRAFT_11
from aauthkit.errors import Challenge, InvalidAccount, InvalidRequest, InvalidScope
from aauthkit.headers import parse_requirement
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.sign import sign_message
from aauthkit.observability.decisions import line_of
from aauthkit.resource.metadata import resource_metadata
from aauthkit.sigkey.hwk import HeaderWebKey
from tests.authz.native import PERSON, PERSON_RULE, NativeAgent, NativeIssuers, native_document
from tests.authz.test_check import call, error_of
from tests.authz.test_config import faults, parsed
from tests.authz.world import MAA_HOST, PROVIDER, READ, SCA, SCA_HOST, write

pytestmark = pytest.mark.anyio

Start = Callable[..., AuthorizationService]
IDENTITY: dict[str, Any] = {"access": {"require": "identity"}, "policy": None}
BY_AGENT = {"access": {"require": "identity"}, "policy": {"rules": ['extauthz.sub.endsWith("@agent-server.example")']}}
BY_PERSON = {
    "access": {"require": "person-token"},
    "policy": {"rules": [f'extauthz.typ == "aa-person+jwt" && extauthz.sub == "{PERSON}"']},
}


@pytest.fixture
def issuers() -> NativeIssuers:
    return NativeIssuers()


@pytest.fixture
def agent(issuers: NativeIssuers) -> NativeAgent:
    return NativeAgent(issuers)


@pytest.fixture
def decisions() -> list[Decision]:
    return []


@pytest.fixture
def start(tmp_path: Path, issuers: NativeIssuers, decisions: list[Decision]) -> Start:
    def started(**changes: Any) -> AuthorizationService:
        path = write(tmp_path, native_document(**changes))
        return AuthorizationService(path, observers=[decisions.append], fetcher=issuers)

    return started


def requirement_of(outcome: Outcome) -> str:
    value = outcome.headers.get("AAuth-Requirement")
    return parse_requirement(value).kind if value else ""


def claims_in(outcome: Outcome) -> dict[str, Any]:
    token = parse_requirement(outcome.headers["AAuth-Requirement"]).parameters["resource-token"]
    return dict(jws.parse(token).claims)


# ---- each token at each requirement ----


@pytest.mark.conformance("11:§6.5-1", "11:§6.7-2", "11:§7.1.4-3", "RS-11", "RS-12", "RS-13")
@pytest.mark.parametrize(
    ("changes", "kind", "outcome"),
    [
        (BY_AGENT, "agent", "allowed"),
        (BY_AGENT, "person", "agent-token"),
        (BY_AGENT, "auth", "agent-token"),
        (BY_PERSON, "agent", "person-token"),
        (BY_PERSON, "person", "allowed"),
        ({}, "agent", "person-token"),
        ({}, "person", "auth-token"),
        ({}, "auth", "allowed"),
    ],
)
async def test_each_token_meets_each_requirement_in_its_own_way(
    start: Start, agent: NativeAgent, changes: dict[str, Any], kind: str, outcome: str
) -> None:
    tokens = {"agent": agent.agent_token, "person": agent.person_token, "auth": agent.granted}
    decided = await start(**changes).decide(call(agent.signed(tokens[kind]())))
    if outcome == "allowed":
        assert decided.result is Result.ALLOWED
        return
    assert (decided.result, decided.status, requirement_of(decided)) == (Result.CHALLENGED, 401, outcome)
    assert decided.headers["Content-Type"] == "application/problem+json"
    assert "Signature-Error" not in decided.headers


@pytest.mark.parametrize(
    ("changes", "first"), [(IDENTITY, "agent-token"), (BY_PERSON, "person-token"), ({}, "person-token")]
)
async def test_an_unsigned_request_is_told_what_to_sign_with(start: Start, changes: dict[str, Any], first: str) -> None:
    outcome = await start(**changes).decide(call([]))
    assert (outcome.status, error_of(outcome), requirement_of(outcome)) == (401, "invalid_signature", first)
    assert outcome.headers["Signature-Error"] == "error=invalid_signature"
    assert outcome.headers["Accept-Signature-Scheme"] == "jwt"
    assert outcome.headers["Accept-Signature-Alg"] == "Ed25519, ES256"


@pytest.mark.conformance("11:§6.7.1-3", "11:§6.7.1-5", "RS-30", "RS-31", "RS-32")
async def test_the_resource_token_is_for_the_person_of_the_person_token(start: Start, agent: NativeAgent) -> None:
    outcome = await start().decide(call(agent.signed(agent.person_token(jti="person-1", tenant="acme"))))
    claims = claims_in(outcome)
    assert {name: claims[name] for name in ("aud", "ps", "sub", "presented_jti", "tenant", "scope")} == {
        "aud": PROVIDER,
        "ps": PROVIDER,
        "sub": PERSON,
        "presented_jti": "person-1",
        "tenant": "acme",
        "scope": READ,
    }
    assert outcome.facts["resource_token_jti"] == claims["jti"]


@pytest.mark.conformance("RS-34")
async def test_a_token_with_too_little_scope_is_asked_to_step_up(start: Start, agent: NativeAgent) -> None:
    token = agent.granted(scope="supply-chain:check", jti="small")
    outcome = await start().decide(call(agent.signed(token)))
    claims = claims_in(outcome)
    assert (outcome.result, claims["presented_jti"]) == (Result.CHALLENGED, "small")
    assert claims["scope"] == "supply-chain:check supply-chain:read"


async def test_a_token_that_satisfies_the_rules_is_not_asked_for_more(start: Start, agent: NativeAgent) -> None:
    """A person server may grant less than was asked for; what the rules need is what counts."""
    outcome = await start().decide(call(agent.signed(agent.granted(scope="supply-chain:read"))))
    assert outcome.result is Result.ALLOWED


async def test_without_rules_the_default_scopes_are_needed(start: Start, agent: NativeAgent) -> None:
    service = start(policy=None)
    outcome = await service.decide(call(agent.signed(agent.granted(scope="supply-chain:read"))))
    assert (outcome.result, requirement_of(outcome)) == (Result.CHALLENGED, "auth-token")
    assert (await service.decide(call(agent.signed(agent.granted())))).result is Result.ALLOWED


@pytest.mark.conformance("11:§11.3.4-8")
async def test_a_token_with_every_scope_that_the_rules_forbid_is_denied(start: Start, agent: NativeAgent) -> None:
    service = start(policy={"rules": ['extauthz.tenant == "acme"']})
    outcome = await service.decide(call(agent.signed(agent.granted())))
    assert (outcome.result, outcome.status, outcome.metadata["authorization_denied"]) == (Result.DENIED, 403, True)
    assert not [name for name in outcome.headers if name.startswith(("Accept-Signature", "Signature-Error"))]


@pytest.mark.attack
async def test_an_auth_token_of_another_resource_is_refused(start: Start, agent: NativeAgent) -> None:
    token = agent.granted(audience="http://market-analysis-agent.localhost:3000")
    outcome = await start().decide(call(agent.signed(token)))
    assert (outcome.status, outcome.headers["Signature-Error"]) == (401, "error=invalid_jwt")
    assert requirement_of(outcome) == ""


@pytest.mark.attack
async def test_a_draft_01_token_is_none_in_draft_11(start: Start, agent: NativeAgent) -> None:
    old = super(NativeAgent, agent).agent_token()
    outcome = await start(**BY_AGENT).decide(call(agent.signed(old)))
    assert (outcome.status, outcome.result) == (401, Result.DENIED)


# ---- what the upstream, the rules and the log are told ----


async def test_the_upstream_learns_the_person_and_no_agent(start: Start, agent: NativeAgent) -> None:
    outcome = await start().decide(call(agent.signed(agent.granted(account="work", tenant="acme"))))
    assert outcome.set_headers == {
        "x-aauth-level": "authorized",
        "x-aauth-scheme": "jwt",
        "x-aauth-scope": READ,
        "x-aauth-sub": PERSON,
        "x-aauth-ps": PROVIDER,
        "x-aauth-account": "work",
        "x-aauth-jkt": agent.key.thumbprint,
    }
    assert outcome.remove_headers == ("x-aauth-agent", "x-aauth-agent-server")
    assert dict(outcome.metadata) == {
        "level": "authorized",
        "scheme": "jwt",
        "token_type": "aa-auth+jwt",
        "typ": "aa-auth+jwt",
        "issuer": PROVIDER,
        "key_id": "ap-1",
        "jkt": agent.key.thumbprint,
        "caller": agent.key.thumbprint,
        "aud": SCA,
        "scope": READ,
        "scopes": READ.split(),
        "sub": PERSON,
        "ps": PROVIDER,
        "account": "work",
        "tenant": "acme",
    }


async def test_with_a_person_token_the_upstream_learns_the_person(start: Start, agent: NativeAgent) -> None:
    outcome = await start(**BY_PERSON).decide(call(agent.signed(agent.person_token())))
    assert outcome.set_headers == {
        "x-aauth-level": "identified",
        "x-aauth-scheme": "jwt",
        "x-aauth-sub": PERSON,
        "x-aauth-ps": PROVIDER,
        "x-aauth-jkt": agent.key.thumbprint,
    }
    assert set(outcome.remove_headers) | set(outcome.set_headers) == set(CLAIM_HEADERS)
    assert (outcome.metadata["sub"], outcome.metadata["typ"], "scopes" in outcome.metadata) == (
        PERSON,
        "aa-person+jwt",
        False,
    )


async def test_with_an_agent_token_the_upstream_learns_the_agent(start: Start, agent: NativeAgent) -> None:
    outcome = await start(**BY_AGENT).decide(call(agent.signed(agent.agent_token())))
    assert (outcome.set_headers["x-aauth-agent"], "x-aauth-sub" in outcome.set_headers) == (agent.identifier, False)
    assert (outcome.metadata["sub"], outcome.metadata["caller"]) == (agent.identifier, agent.identifier)


@pytest.mark.attack
async def test_a_bare_key_is_no_caller_to_count_by(start: Start, agent: NativeAgent) -> None:
    """Keys are free to make: whoever has only one shares the limit of all who have."""
    service = start(
        access={"require": "identity"},
        allow_pseudonymous=True,
        allowed_signature_key_schemes=["hwk", "jwt"],
        policy=None,
    )
    message = Message.of("GET", f"http://{SCA_HOST}/", [], b"")
    scheme = str(HeaderWebKey(key=agent.key.public, draft=DRAFT_11))
    headers = [("host", SCA_HOST), *sign_message(message, agent.key, signature_key=scheme, created=int(time.time()))]
    outcome = await service.decide(call(headers, method="GET", body=b""))
    assert (outcome.result, outcome.metadata["level"]) == (Result.ALLOWED, "pseudonymous")
    assert "caller" not in outcome.metadata


async def test_the_decision_line_names_the_person_server_and_no_token(
    start: Start, agent: NativeAgent, decisions: list[Decision]
) -> None:
    await start().decide(call(agent.signed(agent.granted(jti="grant-1"))))
    line = line_of(decisions[0])
    assert (line["sub"], line["agent"], line["jti"], line["rule"]) == (PERSON, None, "grant-1", PERSON_RULE)
    assert "eyJ" not in json.dumps(line)
    assert decisions[0].outcome.facts["ps"] == PROVIDER


# ---- the authorization endpoint ----


def wish(agent: NativeAgent, token: str, body: bytes) -> Any:
    return call(agent.signed(token, target="/resource/token", body=body), target="/resource/token", body=body)


@pytest.mark.conformance("11:§6.6-2", "RS-20")
async def test_a_person_token_gets_a_resource_token(start: Start, agent: NativeAgent) -> None:
    body = b'{"scope": "supply-chain:optimize"}'
    token = await start().resource_token(wish(agent, agent.person_token(), body))
    claims = jws.parse(token).claims
    assert (claims["scope"], claims["sub"], claims["aud"]) == ("supply-chain:optimize", PERSON, PROVIDER)


@pytest.mark.conformance("11:§6.4-1", "RS-20")
@pytest.mark.parametrize("kind", ["agent", "auth"])
async def test_no_other_token_does__6_6(start: Start, agent: NativeAgent, kind: str) -> None:
    token = agent.agent_token() if kind == "agent" else agent.granted()
    with pytest.raises(Challenge) as caught:
        await start().resource_token(wish(agent, token, b'{"scope": "supply-chain:read"}'))
    assert caught.value.requirement == "requirement=person-token"


@pytest.mark.attack
@pytest.mark.conformance("11:§6.6.3-1", "RS-21")
@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"{}", InvalidRequest),
        (b'{"scope": "supply-chain:read", "scope": "supply-chain:optimize"}', InvalidRequest),
        (b'{"scope": "supply-chain:read\\tsupply-chain:optimize"}', InvalidRequest),
        (b'{"scope": "supply-chain:everything"}', InvalidScope),
        (b'{"scope": "supply-chain:read", "account": "work"}', InvalidAccount),
    ],
)
async def test_a_wrong_wish_is_refused_by_the_table(
    start: Start, agent: NativeAgent, body: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await start().resource_token(wish(agent, agent.person_token(), body))


# ---- the file ----


@pytest.mark.conformance("11:§11.2.4-1", "11:§11.2.4-2", "RS-01", "RS-03", "RS-04")
async def test_the_metadata_of_a_draft_11_file(start: Start) -> None:
    service = start(
        client_name=None,
        name="Supply Chain",
        description="Plans purchases",
        documentation_uri="https://docs.example/sca",
        accept_signature_algs=["Ed25519"],
    )
    resource = service.resource_at(SCA_HOST)
    assert resource is not None
    document = resource_metadata(resource.settings)
    assert document == {
        "issuer": SCA,
        "jwks_uri": f"{SCA}/.well-known/jwks.json",
        "access_mode": "auth-token",
        "name": "Supply Chain",
        "description": "Plans purchases",
        "documentation_uri": "https://docs.example/sca",
        "authorization_endpoint": f"{SCA}/resource/token",
        "scope_descriptions": {
            "supply-chain:check": "supply-chain:check",
            "supply-chain:optimize": "supply-chain:optimize",
            "supply-chain:read": "Read the supply chain",
        },
        "accept_signature_algs": ["Ed25519"],
        "revocation_endpoint": f"{SCA}/aauth/revocation",
    }


def test_any_trusted_person_server_will_do() -> None:
    config = parsed(native_document(person_server=None, auth_servers=[{"issuer": PROVIDER}]))
    assert config.resource("supply-chain-agent").require == "auth-token"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"person_server": None}, "resources[0].person_server: is required by `access.require: auth-token`"),
        ({**BY_PERSON, "person_server": None}, "resources[0].person_server: is required by `access.require: person"),
        ({"draft": "01", "access": {"require": "person-token"}}, "resources[0].access.require: cannot be person-token"),
        (
            {"access": {"require": "session-token"}},
            "resources[0].access.require: must be one of identity, ",
        ),
        ({"allowed_jwt_types": ["aa-agent+jwt", "aa-auth+jwt"]}, "resources[0].allowed_jwt_types: must list aa-person"),
        ({"draft": "01", "allowed_jwt_types": ["aa-person+jwt"]}, "resources[0].allowed_jwt_types: must list some of"),
        ({"accept_signature_algs": ["EdDSA"]}, "resources[0].accept_signature_algs: must list some of Ed25519, ES256"),
        ({"accept_signature_algs": []}, "resources[0].accept_signature_algs: must list some of Ed25519, ES256"),
        ({"name": "A", "client_name": "B"}, "resources[0].client_name: is the older word for name"),
        ({"descripton": "x"}, "resources[0].descripton: is not a known key. Did you mean description?"),
    ],
)
def test_a_fault_is_named_by_its_path(changes: dict[str, Any], expected: str) -> None:
    assert any(fault.startswith(expected) for fault in faults(native_document(**changes)))


async def test_the_other_draft_beside_it_stays_as_it_was(start: Start, agent: NativeAgent) -> None:
    outcome = await start().decide(call([], host=MAA_HOST))
    assert (json.loads(outcome.body)["error"], requirement_of(outcome)) == ("invalid_request", "agent-token")
    assert "Accept-Signature-Scheme" not in outcome.headers
    assert outcome.headers["Accept-Signature"].endswith(";sigkey=uri")


@pytest.mark.attack
@pytest.mark.parametrize("claim", [{"account": "é"}, {"account": " work"}, {"account": "work "}, {"sub": f" {PERSON}"}])
async def test_a_claim_that_no_header_carries_as_it_is_lets_nobody_in__11_11(
    start: Start, agent: NativeAgent, claim: dict[str, str]
) -> None:
    """Left out, a grant for one account looks like one for any; trimmed, it is for another's."""
    outcome = await start().decide(call(agent.signed(agent.granted(**claim))))
    assert (outcome.result, outcome.status, dict(outcome.set_headers)) == (Result.DENIED, 403, {})
