"""The demo's own table keeps the names and ports of CONTRACT §1, and gives each part what its choices mean."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aauthkit.authz import config
from aauthkit.demo.supervisor.choices import MODES, TRACES, Choices
from aauthkit.demo.supervisor.part import Address, Health, Part, check_table, listening_elsewhere
from aauthkit.demo.supervisor.parts import demo_parts, write_configuration
from aauthkit.demo.supervisor.policy import authz_file
from aauthkit.errors import ConfigurationError


def parts(choices: Choices) -> dict[str, Part]:
    return {part.name: part for part in demo_parts(choices)}


def test_ports_are_those_of_the_contract(tmp_path: Path) -> None:
    found = {name: [address.port for address in part.listens] for name, part in parts(Choices(state=tmp_path)).items()}
    assert found == {
        "traces": [3051],
        "idp": [8080],
        "person": [8765],
        "authz": [8081, 7070],
        "gateway": [3000, 15000],
        "tools": [9997],
        "market-analysis": [9998],
        "supply-chain": [9999],
        "backend": [8000],
        "ui": [3050],
    }


def test_everything_listens_on_loopback_and_can_be_started_in_order(tmp_path: Path) -> None:
    table = demo_parts(Choices(state=tmp_path))
    check_table(table)
    assert listening_elsewhere(table) == []


def test_a_named_identity_provider_replaces_the_development_one(tmp_path: Path) -> None:
    found = parts(Choices(state=tmp_path, idp="https://id.example/realms/r"))
    assert "idp" not in found
    assert "https://id.example/realms/r" in found["person"].argv
    assert found["ui"].env["AAUTH_OIDC_ISSUER"] == "https://id.example/realms/r"


def test_open_consent_is_told_to_the_person_server_only_when_chosen(tmp_path: Path) -> None:
    assert "--open-consent" not in parts(Choices(state=tmp_path))["person"].argv
    assert "--open-consent" in parts(Choices(state=tmp_path, open_consent=True))["person"].argv


@pytest.mark.parametrize(
    ("mode", "scopes"),
    [
        ("identity", ["require:user"]),
        ("autonomous", ["require:user"]),
        ("user-consent", ["supply-chain:optimize", "require:user"]),
    ],
)
def test_consent_scopes_by_mode__contract_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, scopes: list[str]
) -> None:
    monkeypatch.delenv("AAUTH_CONSENT_SCOPES", raising=False)
    person = parts(Choices(state=tmp_path, mode=mode))["person"]
    assert json.loads(person.env["AAUTH_CONSENT_SCOPES"]) == scopes


@pytest.mark.parametrize("said", ["[]", '["market-analysis:analyze"]'])
def test_consent_scopes_that_were_set_win_over_those_of_the_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setenv("AAUTH_CONSENT_SCOPES", said)
    person = parts(Choices(state=tmp_path, mode="user-consent"))["person"]
    assert person.env["AAUTH_CONSENT_SCOPES"] == said


def test_agents_enrol_with_tickets_unless_they_have_an_identity(tmp_path: Path) -> None:
    found = parts(Choices(state=tmp_path))
    with_tickets = {
        name for name, part in found.items() if any(step.saves_as == "AAUTH_TICKET" for step in part.prepare)
    }
    assert with_tickets == {"backend", "supply-chain", "market-analysis"}
    assert found["backend"].prepare[0].unless == tmp_path / "backend" / "identity.json"


@pytest.mark.parametrize(("mode", "scheme"), [*((mode, "jwt") for mode in MODES), ("identity", "jwks_uri")])
def test_the_authorization_file_is_one_the_service_accepts(tmp_path: Path, mode: str, scheme: str) -> None:
    read = config.parse(authz_file(Choices(state=tmp_path, mode=mode, scheme=scheme)), base=tmp_path)
    assert [resource.id for resource in read.resources] == ["supply-chain-agent", "market-analysis-agent", "tools"]
    required = {resource.id: resource.require for resource in read.resources}
    agents = "identity" if mode == "identity" else "auth-token"
    assert required == {"supply-chain-agent": agents, "market-analysis-agent": agents, "tools": "identity"}


@pytest.mark.parametrize(
    ("mode", "asked"),
    [
        ("autonomous", ("supply-chain:check", "supply-chain:read")),
        ("user-consent", ("supply-chain:check", "supply-chain:read", "supply-chain:optimize")),
    ],
)
def test_the_challenge_asks_for_the_scopes_of_the_mode__contract_3(
    tmp_path: Path, mode: str, asked: tuple[str, ...]
) -> None:
    read = config.parse(authz_file(Choices(state=tmp_path, mode=mode)), base=tmp_path)
    assert read.resource("supply-chain-agent").default_resource_token_scopes == asked


BACKEND, CHAIN = "aauth:b@agent-server.example", "aauth:s@agent-server.example"
GOOD = {"agent": BACKEND, "act": {"sub": BACKEND}, "scopes": ["supply-chain:check", "supply-chain:read"]}


@pytest.mark.parametrize(
    ("change", "allowed"),
    [
        ({}, True),
        ({"scopes": ["supply-chain:readonly"]}, False),
        ({"scopes": ["supply-chain:check"]}, False),
        ({"agent": "aauth:b@evil-agent-server.example", "act": {"sub": "aauth:b@evil-agent-server.example"}}, False),
        ({"act": {"sub": CHAIN}}, False),
        ({"act": None}, False),
    ],
)
def test_the_supply_chain_rule_admits_what_it_means_and_no_look_alike(
    tmp_path: Path, change: dict[str, object], allowed: bool
) -> None:
    read = config.parse(authz_file(Choices(state=tmp_path)), base=tmp_path)
    metadata = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    assert read.resource("supply-chain-agent").policy.decide(metadata).allowed is allowed


@pytest.mark.parametrize(
    ("scheme", "server", "allowed"),
    [
        ("jwks_uri", "http://backend.localhost:8000", True),
        ("jwks_uri", "http://other.localhost:8000", False),
        ("jwt", "http://backend.localhost:8000", False),
    ],
)
def test_a_backend_known_by_its_keys_is_admitted_under_that_scheme_alone(
    tmp_path: Path, scheme: str, server: str, allowed: bool
) -> None:
    choices = Choices(state=tmp_path, mode="identity", scheme="jwks_uri")
    policy = config.parse(authz_file(choices), base=tmp_path).resource("supply-chain-agent").policy
    assert policy.decide({"scheme": scheme, "agent_server": server}).allowed is allowed


def test_every_part_tells_the_receiver_and_the_receiver_whoever_was_named_besides(tmp_path: Path) -> None:
    choices = Choices(state=tmp_path, collector="http://127.0.0.1:4318")
    read = config.parse(authz_file(choices), base=tmp_path)
    assert read.gateway is not None
    assert read.gateway.otlp == TRACES
    found = parts(choices)
    assert {part.env["OTEL_EXPORTER_OTLP_ENDPOINT"] for part in found.values()} == {TRACES}
    assert found["traces"].env["AAUTH_TRACES_FORWARD"] == "http://127.0.0.1:4318"


def test_what_is_written_holds_no_key_but_the_one_that_reads_traces(tmp_path: Path) -> None:
    write_configuration(Choices(state=tmp_path))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["authz.yaml", "keys", "traces"]
    key = tmp_path / "keys" / "traces"
    assert key.stat().st_mode & 0o777 == 0o600
    before = key.read_text()
    write_configuration(Choices(state=tmp_path))
    assert key.read_text() != before


@pytest.mark.parametrize("mode", ["autonomous", "user-consent"])
def test_the_scheme_jwks_uri_belongs_to_identity(tmp_path: Path, mode: str) -> None:
    with pytest.raises(ConfigurationError):
        Choices(state=tmp_path, mode=mode, scheme="jwks_uri")


def test_an_identity_provider_is_one_of_ours_or_a_url(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        Choices(state=tmp_path, idp="okta")


def test_keycloak_serves_the_realm_where_the_development_provider_does(tmp_path: Path) -> None:
    development, keycloak = parts(Choices(state=tmp_path)), parts(Choices(state=tmp_path, idp="keycloak"))
    assert keycloak["idp"].listens == development["idp"].listens
    assert keycloak["idp"].health.url == "http://127.0.0.1:8080/realms/aauth-test"
    assert str(tmp_path / "keycloak") in keycloak["idp"].argv
    assert {name: part for name, part in keycloak.items() if name != "idp"} == {
        name: part for name, part in development.items() if name != "idp"
    }


def fake(name: str, *after: str) -> Part:
    address = Address(host="127.0.0.1", port=1)
    return Part(name=name, argv=("true",), listens=(address,), health=Health(url="http://127.0.0.1:1/"), after=after)


@pytest.mark.parametrize("table", [(fake("a"), fake("a")), (fake("a", "b"), fake("b")), (fake("a", "a"),)])
def test_a_table_that_could_never_start_is_refused(table: tuple[Part, ...]) -> None:
    with pytest.raises(ConfigurationError):
        check_table(table)
