"""The check itself: what the proxy is told for each kind of request, without any front."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from aauthkit import jwt as jws
from aauthkit.authz.outcome import CLAIM_HEADERS, Call, Outcome, Result
from aauthkit.authz.reading import ConfigurationFaults
from aauthkit.authz.service import AuthorizationService, Decision
from aauthkit.headers import parse_requirement
from aauthkit.httpsig.message import Message
from aauthkit.observability.decisions import DecisionLog
from aauthkit.observability.metrics import Metrics
from tests.authz.world import MAA_HOST, PROVIDER, RULE, SCA, SCA_HOST, Agent, Issuers, document, write

pytestmark = pytest.mark.anyio

BODY = b'{"jsonrpc":"2.0"}'


@pytest.fixture
def issuers() -> Issuers:
    return Issuers()


@pytest.fixture
def decisions() -> list[Decision]:
    return []


@pytest.fixture
def service(tmp_path: Path, issuers: Issuers, decisions: list[Decision]) -> AuthorizationService:
    return AuthorizationService(write(tmp_path, document()), observers=[decisions.append], fetcher=issuers)


def call(
    headers: Iterable[tuple[str, str]],
    *,
    method: str = "POST",
    target: str = "/",
    host: str = SCA_HOST,
    body: bytes | None = BODY,
    resource_id: str | None = None,
) -> Call:
    message = Message.of(method, f"http://{host}{target}", headers, body)
    return Call(message=message, resource_id=resource_id, request_id="r-1", traceparent=f"00-{'7' * 32}-{'1' * 16}-01")


def error_of(outcome: Outcome) -> str:
    code: str = json.loads(outcome.body)["error"]
    return code


async def test_auth_token_is_allowed_with_claims_and_metadata(service: AuthorizationService, issuers: Issuers) -> None:
    agent = Agent(issuers)

    outcome = await service.decide(call(agent.signed(agent.auth_token(sub="person-7"))))

    assert outcome.result is Result.ALLOWED
    assert outcome.set_headers == {
        "x-aauth-level": "authorized",
        "x-aauth-scheme": "jwt",
        "x-aauth-agent": agent.identifier,
        "x-aauth-scope": "supply-chain:check supply-chain:read",
        "x-aauth-sub": "person-7",
        "x-aauth-jkt": agent.key.thumbprint,
    }
    assert outcome.remove_headers == ("x-aauth-agent-server", "x-aauth-ps", "x-aauth-account")
    assert dict(outcome.metadata) == {
        "level": "authorized",
        "scheme": "jwt",
        "token_type": "aa-auth+jwt",
        "typ": "aa-auth+jwt",
        "issuer": PROVIDER,
        "key_id": "ap-1",
        "jkt": agent.key.thumbprint,
        "agent": agent.identifier,
        "caller": agent.identifier,
        "aud": SCA,
        "scope": "supply-chain:check supply-chain:read",
        "scopes": ["supply-chain:check", "supply-chain:read"],
        "act": {"sub": agent.identifier},
        "sub": "person-7",
    }


async def test_agent_token_is_challenged_with_a_resource_token(
    service: AuthorizationService, issuers: Issuers, decisions: list[Decision]
) -> None:
    agent = Agent(issuers)

    outcome = await service.decide(call(agent.signed(agent.agent_token())))

    assert (outcome.result, outcome.status, error_of(outcome)) == (Result.CHALLENGED, 401, "insufficient_scope")
    assert outcome.headers["WWW-Authenticate"] == "AAuth"
    asked = parse_requirement(outcome.headers["AAuth-Requirement"])
    assert asked.kind == "auth-token"
    token = jws.parse(asked.parameters["resource-token"])
    assert token.claims["aud"] == PROVIDER
    assert token.claims["scope"] == "supply-chain:check supply-chain:read"
    assert decisions[0].outcome.facts["resource_token_jti"] == token.claims["jti"]


async def test_unsigned_request_is_asked_to_sign_and_gets_no_resource_token(service: AuthorizationService) -> None:
    outcome = await service.decide(call([]))

    assert outcome.status == 401
    assert outcome.headers["AAuth-Requirement"] == "requirement=agent-token"


async def test_bad_signature_gets_signature_error_and_no_resource_token(
    service: AuthorizationService, issuers: Issuers
) -> None:
    agent, thief = Agent(issuers), Agent(issuers)

    outcome = await service.decide(call(thief.signed(agent.agent_token())))

    assert (outcome.result, outcome.status) == (Result.DENIED, 401)
    assert outcome.headers["Signature-Error"] == "error=invalid_signature"
    assert "AAuth-Requirement" not in outcome.headers


async def test_look_alike_scope_is_denied_by_policy(service: AuthorizationService, issuers: Issuers) -> None:
    agent = Agent(issuers)

    outcome = await service.decide(call(agent.signed(agent.auth_token(scope="supply-chain:readonly"))))

    assert (outcome.status, error_of(outcome)) == (403, "authorization_denied")
    assert outcome.metadata["authorization_denied"] is True
    assert outcome.metadata["agent"] == agent.identifier
    assert outcome.facts["detail"] == "rules[0] false"
    assert "Signature-Error" not in outcome.headers


async def test_identity_mode_names_the_agent_as_sub(tmp_path: Path, issuers: Issuers) -> None:
    rule = 'extauthz.sub.endsWith("@agent-server.example")'
    content = document(access={"require": "identity"}, policy={"rules": [rule]})
    service = AuthorizationService(write(tmp_path, content), fetcher=issuers)
    agent = Agent(issuers)

    outcome = await service.decide(call(agent.signed(agent.agent_token())))

    assert outcome.result is Result.ALLOWED
    assert outcome.metadata["sub"] == agent.identifier
    assert outcome.metadata["agent_server"] == PROVIDER
    assert outcome.facts["rule"] == rule
    assert "x-aauth-sub" in outcome.remove_headers


async def test_context_extension_chooses_the_resource_before_the_host(
    service: AuthorizationService, issuers: Issuers
) -> None:
    agent = Agent(issuers)
    headers = agent.signed(agent.agent_token())

    outcome = await service.decide(call(headers, resource_id="market-analysis-agent"))

    assert outcome.resource_id == "market-analysis-agent"
    assert outcome.status == 401, "signed for another host than this resource's"


@pytest.mark.parametrize(("resource_id", "host"), [("nobody", SCA_HOST), (None, "unknown.localhost"), (None, "")])
async def test_unknown_resource_is_403(service: AuthorizationService, resource_id: str | None, host: str) -> None:
    message = Message(method="GET", scheme="http", authority=host, path="/", query=None, headers=(), body=b"")

    outcome = await service.decide(Call(message=message, resource_id=resource_id))

    assert (outcome.result, outcome.status, error_of(outcome)) == (Result.DENIED, 403, "unknown_resource")


async def test_untrusted_issuer_is_refused_without_any_fetch(service: AuthorizationService, issuers: Issuers) -> None:
    agent = Agent(issuers, issuer="http://127.0.0.1:6666", domain="127.0.0.1")

    outcome = await service.decide(call(agent.signed(agent.agent_token())))

    assert outcome.status == 401
    assert outcome.headers["Signature-Error"] == "error=invalid_jwt"
    assert issuers.asked == []


async def test_agent_of_another_domain_is_refused(service: AuthorizationService, issuers: Issuers) -> None:
    agent = Agent(issuers, domain="evil.example")

    outcome = await service.decide(call(agent.signed(agent.agent_token())))

    assert outcome.headers["Signature-Error"] == "error=invalid_jwt"


async def test_silent_issuer_is_503_and_an_error(service: AuthorizationService, issuers: Issuers) -> None:
    agent = Agent(issuers)
    issuers.silent = True

    outcome = await service.decide(call(agent.signed(agent.agent_token())))

    assert (outcome.result, outcome.status) == (Result.ERROR, 503)
    assert "Retry-After" in outcome.headers


async def test_bare_key_passes_where_pseudonyms_are_allowed_and_signature_headers_are_stripped(
    service: AuthorizationService, issuers: Issuers
) -> None:
    agent = Agent(issuers)

    outcome = await service.decide(call(agent.signed(None, host=MAA_HOST), host=MAA_HOST))

    assert outcome.result is Result.ALLOWED
    assert outcome.set_headers["x-aauth-level"] == "pseudonymous"
    assert {"signature", "signature-input", "signature-key", "x-aauth-agent"} <= set(outcome.remove_headers)
    assert set(outcome.set_headers) | set(outcome.remove_headers) >= set(CLAIM_HEADERS)


async def test_swapped_body_is_refused(service: AuthorizationService, issuers: Issuers) -> None:
    agent = Agent(issuers)

    outcome = await service.decide(call(agent.signed(agent.auth_token()), body=b'{"jsonrpc":"3.0"}'))

    assert outcome.headers["Signature-Error"] == "error=invalid_signature"


async def test_body_the_proxy_did_not_send_cannot_be_vouched_for(
    service: AuthorizationService, issuers: Issuers
) -> None:
    agent = Agent(issuers)

    outcome = await service.decide(call(agent.signed(agent.auth_token()), body=None))

    assert outcome.headers["Signature-Error"] == "error=invalid_signature"


async def test_replay_is_refused_also_after_a_reload(service: AuthorizationService, issuers: Issuers) -> None:
    agent = Agent(issuers)
    request = call(agent.signed(agent.auth_token()))

    assert (await service.decide(request)).result is Result.ALLOWED
    service.reload()

    assert (await service.decide(request)).headers["Signature-Error"] == "error=invalid_signature"


async def test_warm_check_fetches_nothing(
    service: AuthorizationService, issuers: Issuers, decisions: list[Decision]
) -> None:
    agent = Agent(issuers)

    for _ in range(2):
        await service.decide(call(agent.signed(agent.auth_token())))

    assert [decision.fetches for decision in decisions] == [1, 0]


async def test_bad_file_keeps_the_old_one(service: AuthorizationService, issuers: Issuers, tmp_path: Path) -> None:
    write(tmp_path, document(policy={"rules": ["nonsense ("]}))
    agent = Agent(issuers)

    with pytest.raises(ConfigurationFaults) as caught:
        service.reload()

    assert caught.value.faults[0].startswith("resources[0].policy.rules: rules[0]: ")
    assert (await service.decide(call(agent.signed(agent.auth_token())))).result is Result.ALLOWED


async def test_good_file_is_in_force_at_once(service: AuthorizationService, issuers: Issuers, tmp_path: Path) -> None:
    write(tmp_path, document(policy={"rules": ["false"]}))
    agent = Agent(issuers)

    service.reload()

    assert (await service.decide(call(agent.signed(agent.auth_token())))).status == 403


@pytest.mark.parametrize(
    "headers",
    [
        [("signature", "x")],
        [("signature-input", 'sig=("@method");created=99999999999999999999'), ("signature", "sig=:AA==:")],
        [("signature-key", "sig=jwt;jwt=" + "a" * 100_000), ("signature-input", "sig=()"), ("signature", "sig=::")],
        [("signature-key", 'sig=jwt;jwt="' + "." * 5000 + '"'), ("signature-input", "sig=()"), ("signature", "sig=::")],
        [("signature-key", "\x00\xff"), ("signature-input", "(" * 5000), ("signature", "\xff" * 5000)],
        [("signature-key", 'sig=hwk;kty="OKP";crv="Ed25519";x="AA"')] * 3,
    ],
)
async def test_garbage_is_4xx(service: AuthorizationService, headers: list[tuple[str, str]]) -> None:
    outcome = await service.decide(call(headers))

    assert 400 <= outcome.status < 500


async def test_decision_line_has_the_members_and_no_token(tmp_path: Path, issuers: Issuers) -> None:
    stream = io.StringIO()
    service = AuthorizationService(write(tmp_path, document()), observers=[DecisionLog(stream)], fetcher=issuers)
    agent = Agent(issuers)
    token = agent.auth_token()

    await service.decide(call(agent.signed(token, target="/a?secret=1"), target="/a?secret=1"))
    await service.decide(call(agent.signed(agent.agent_token(), target="/\n" + "x" * 900), target="/x" * 900))
    challenge = await service.decide(call(agent.signed(agent.agent_token())))

    text = stream.getvalue()
    allowed, second, challenged = [json.loads(line) for line in text.splitlines()]
    assert allowed["result"] == "allowed"
    assert allowed["resource_id"] == "supply-chain-agent"
    assert allowed["level"] == "authorized"
    assert allowed["delegate"] == agent.identifier
    assert allowed["jti"] == jws.parse(token).claims["jti"]
    assert allowed["rule"] == RULE
    assert (allowed["request_id"], allowed["trace_id"]) == ("r-1", "7" * 32)
    assert allowed["latency_ms"] > 0
    # CONTRACT §7, and what DESIGN §7 adds.
    contract = {"time", "resource_id", "level", "agent_server", "delegate", "resource_token_jti", "result", "reason"}
    added = {"request_id", "trace_id", "method", "host", "path", "scheme", "agent", "sub", "ps", "scope", "jti", "rule"}
    assert set(allowed) == set(second) == contract | added | {"latency_ms", "detail"}
    assert datetime.fromisoformat(allowed["time"]).tzinfo is not None
    assert (challenged["result"], challenged["reason"]) == ("challenged", "insufficient_scope")
    assert (challenged["level"], challenged["agent_server"]) == ("identified", PROVIDER)
    asked = parse_requirement(challenge.headers["AAuth-Requirement"]).parameters["resource-token"]
    assert challenged["resource_token_jti"] == jws.parse(asked).claims["jti"]
    assert len(second["path"]) == 256
    assert "secret" not in text
    assert "eyJ" not in text


async def test_metrics_count_by_our_own_labels_only(tmp_path: Path, issuers: Issuers) -> None:
    metrics = Metrics()
    service = AuthorizationService(
        write(tmp_path, document()), observers=[metrics], on_fetch=metrics.fetched, fetcher=issuers
    )
    agent = Agent(issuers)

    for _ in range(2):
        await service.decide(call(agent.signed(agent.auth_token())))
    await service.decide(call([], host="attacker-chosen.example"))

    text = metrics.render()[1].decode()
    assert 'aauth_checks_total{resource="supply-chain-agent",result="allowed"} 2.0' in text
    assert 'aauth_checks_total{resource="unknown",result="denied"} 1.0' in text
    assert 'aauth_jwks_fetches_total{outcome="ok"} 1.0' in text
    assert "aauth_jwks_cache_hits_total 1.0" in text
    assert "attacker-chosen" not in text


async def test_old_signature_is_refused(service: AuthorizationService, issuers: Issuers) -> None:
    agent = Agent(issuers)

    outcome = await service.decide(call(agent.signed(agent.auth_token(), created=int(time.time()) - 62)))

    assert outcome.headers["Signature-Error"] == "error=invalid_signature"


async def test_claims_cover_every_value_of_an_outcome(service: AuthorizationService, issuers: Issuers) -> None:
    agent = Agent(issuers)

    outcome = await service.decide(call(agent.signed(agent.auth_token(scope="supply-chain:read"))))

    told: set[Any] = set(outcome.set_headers) | set(outcome.remove_headers)
    assert told == set(CLAIM_HEADERS)
