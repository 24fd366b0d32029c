"""The authorization file: every fault is found at load, in words, with the path of its key."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from aauthkit.authz import resources
from aauthkit.authz.config import Config, load, parse
from aauthkit.authz.reading import Address, ConfigurationFaults
from aauthkit.trust import TrustedIssuer
from tests.authz.world import PROVIDER, RULE, document, write


def parsed(content: dict[str, Any], base: Path = Path()) -> Config:
    return parse(yaml.safe_dump(content), base=base)


def faults(content: dict[str, Any] | str, base: Path = Path()) -> tuple[str, ...]:
    text = content if isinstance(content, str) else yaml.safe_dump(content)
    with pytest.raises(ConfigurationFaults) as caught:
        parse(text, base=base)
    return caught.value.faults


def test_walkthrough_keys_are_read() -> None:
    config = parsed({**document(signature_window="90s"), "jwks_cache": {"success_ttl": "5m", "error_ttl": "30s"}})

    resource = config.resource("supply-chain-agent")
    assert resource.signature_window == timedelta(seconds=90)
    assert resource.require == "auth-token"
    assert resource.agent_servers == (TrustedIssuer(issuer=PROVIDER, domain="agent-server.example"),)
    assert resource.person_server == TrustedIssuer(issuer=PROVIDER, jwks_uri=f"{PROVIDER}/.well-known/jwks.json")
    assert [rule.text for rule in resource.policy.rules] == [RULE]
    assert config.jwks_cache.success_ttl == timedelta(minutes=5)


def test_defaults_are_the_strict_ones() -> None:
    config = parse(
        "resources: [{id: a, issuer: 'https://a.example', agent_servers: [{issuer: 'https://b.example'}]}]", base=Path()
    )

    resource = config.resource("a")
    assert config.listen.grpc == Address(host="127.0.0.1", port=7070)
    assert config.listen.http == Address(host="127.0.0.1", port=8081)
    assert config.development is False
    assert resource.draft.name == "11"
    assert resource.allow_pseudonymous is False
    assert resource.allowed_signature_key_schemes == ("jwt",)
    assert resource.allowed_jwt_types == ("aa-agent+jwt", "aa-person+jwt", "aa-auth+jwt")
    assert resource.require == "identity"
    assert resource.signature_window == timedelta(seconds=60)
    assert resource.hosts == ("a.example",)
    assert config.gateway is None


def test_key_file_is_relative_to_the_file(tmp_path: Path) -> None:
    key = load(write(tmp_path, document())).resource("supply-chain-agent").signing_key

    assert key is not None
    assert key.private_key_file == tmp_path / "spa.pem"


def test_missing_key_file_is_a_fault_unless_it_may_be_made(tmp_path: Path) -> None:
    content = document(signing_key={"kid": "k", "private_key_file": "none.pem"})

    (fault,) = faults(content, tmp_path)

    assert fault.startswith("resources[0].signing_key.private_key_file: ")
    assert "`create: true`" in fault


def test_key_file_is_made_only_at_start_and_only_for_its_owner(tmp_path: Path) -> None:
    config = load(write(tmp_path, document()))

    resources.check(config)
    assert not (tmp_path / "spa.pem").exists()

    resources.build(config)
    assert (tmp_path / "spa.pem").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"acces": {}}, "resources[0].acces: is not a known key. Did you mean access?"),
        ({"issuer": "http://sca.example"}, "resources[0].issuer: A server identifier uses https."),
        ({"issuer": "https://sca.example/"}, "resources[0].issuer: A server identifier has no path"),
        ({"draft": 11}, "resources[0].draft: must be a text"),
        ({"draft": "07"}, "resources[0].draft: There is no draft '07' here"),
        ({"signature_window": 60}, "resources[0].signature_window: must be a duration"),
        ({"signature_window": "0s"}, "resources[0].signature_window: must be a duration"),
        ({"signature_window": f"{'9' * 14}h"}, "resources[0].signature_window: must be a duration"),
        ({"signature_window": f"{'9' * 5000}h"}, "resources[0].signature_window: must be a duration"),
        ({"signature_window": "1h"}, "resources[0].signature_window: must be between 1s and 10m."),
        ({"agent_servers": []}, "resources[0].agent_servers: is required"),
        ({"agent_servers": None}, "resources[0].agent_servers: is required"),
        ({"agent_servers": [{"issuer": "x"}]}, "resources[0].agent_servers[0].issuer: "),
        ({"agent_servers": [{"issuer": PROVIDER, "domian": "d"}]}, "resources[0].agent_servers[0].domian: "),
        ({"agent_servers": [{"issuer": PROVIDER, "domain": "D x"}]}, "resources[0].agent_servers[0].domain: "),
        ({"person_server": None}, "resources[0].person_server: is required by `access.require: auth-token`."),
        ({"signing_key": None}, "resources[0].signing_key: is required by `access.require: auth-token`."),
        ({"default_resource_token_scopes": ["x"]}, "resources[0].default_resource_token_scopes: names x"),
        ({"scope_descriptions": {"x": "y"}}, "resources[0].scope_descriptions: names x"),
        ({"supported_scopes": ["a b"]}, "resources[0].supported_scopes: 'a b' is not a scope"),
        (
            {"access": {"require": "nothing"}},
            "resources[0].access.require: must be one of identity, person-token, ",
        ),
        ({"allowed_jwt_types": ["aa-agent+jwt"]}, "resources[0].allowed_jwt_types: must list aa-auth+jwt"),
        ({"allowed_jwt_types": []}, "resources[0].allowed_jwt_types: must list some of"),
        ({"allowed_signature_key_schemes": ["hwk", "jwt"]}, "resources[0].allowed_signature_key_schemes: lists hwk"),
        ({"allowed_signature_key_schemes": ["mtls"]}, "resources[0].allowed_signature_key_schemes: must list some of"),
        ({"allow_pseudonymous": "yes"}, "resources[0].allow_pseudonymous: must be true or false."),
        ({"policy": {"rules": []}}, "resources[0].policy.rules: lists no rule"),
        ({"policy": {"rules": ["true", "foo"]}}, "resources[0].policy.rules: rules[1]: not valid CEL"),
        ({"policy": {"name": "opa"}}, "resources[0].policy.name: must be one of default."),
        ({"hosts": ["a/b"]}, "resources[0].hosts: must be a host name"),
        ({"hosts": [MAA := "market-analysis-agent.localhost"]}, f"resources[1].hosts: {MAA} belongs to the resource"),
        ({"id": "market-analysis-agent"}, "resources[1].id: market-analysis-agent is used by another resource."),
    ],
)
def test_fault_is_named_by_its_path(changes: dict[str, Any], expected: str) -> None:
    assert any(fault.startswith(expected) for fault in faults(document(**changes)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "resources: is required"),
        ("- a", "the file: must be a mapping"),
        ("a: [", "line 1: not YAML"),
        ("listen: {}\nlisten: {}", "line 2: the key 'listen' is written twice."),
        ("resources: 1", "resources: must be a list."),
        ("listen: {grpc: 7070}", "listen.grpc: must be host:port"),
        ("listen: {http: 'a:99999'}", "listen.http: must be host:port"),
        ("listen: {grcp: ':1'}", "listen.grcp: is not a known key. Did you mean grpc?"),
        ("jwks_cache: {max_entries: 0}", "jwks_cache.max_entries: must be a whole number above zero."),
    ],
)
def test_broken_file_is_refused_in_words(text: str, expected: str) -> None:
    assert any(fault.startswith(expected) for fault in faults(text))


@pytest.mark.parametrize(
    ("gateway", "expected"),
    [
        ({}, "gateway.routes: is required"),
        ({"admin": "0.0.0.0:15000"}, "gateway.admin: must be a loopback address"),
        ({"rate_limit": {"requests": 0}}, "gateway.rate_limit.requests: must be a whole number"),
        ({"rate_limit": {"requests": 1, "per": "10ms"}}, "gateway.rate_limit.per: must be 50ms or more."),
        ({"otlp": "127.0.0.1:4317"}, "gateway.otlp: must be http://"),
        ({"routes": [{"resource": "x"}]}, "gateway.routes[0].resource: must be one of supply-chain-agent"),
        ({"routes": [{"resource": "x"}]}, "gateway.routes[0].upstream: is required."),
        ({"routes": [{"open": ["health"]}]}, "gateway.routes[0].open: 'health' is not a path"),
        ({"routes": [{"open": ["/a/../b//c"]}]}, "gateway.routes[0].open: '/a/../b//c' is not a path"),
        ({"routes": [{"open": ["/%2e%2e/"]}]}, "gateway.routes[0].open: "),
    ],
)
def test_gateway_fault_is_named_by_its_path(gateway: dict[str, Any], expected: str) -> None:
    assert any(fault.startswith(expected) for fault in faults({**document(), "gateway": gateway}))


def test_all_faults_are_told_at_once() -> None:
    assert len(faults(document(draft="7", signature_window=1, hosts=["*"]))) == 3


def test_several_interfaces_must_be_asked_for() -> None:
    config = parsed({**document(), "listen": {"grpc": ":7070"}})

    assert config.listen.grpc == Address(host="0.0.0.0", port=7070)
    assert config.listen.grpc.reachable() == Address(host="127.0.0.1", port=7070)
