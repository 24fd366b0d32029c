"""What one file becomes for either proxy: Agentgateway's to the letter, Envoy's where it protects something."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from aauthkit.authz.config import Config, load, parse
from aauthkit.cli.gateway import gateway
from aauthkit.errors import ConfigurationError
from aauthkit.gateway import agentgateway, envoy, running
from aauthkit.gateway.expression import envoy_condition
from aauthkit.resource.policy import Rule

HERE = Path(__file__).parent
EXAMPLE = HERE / "example.yaml"
NATIVE = HERE / "example_11.yaml"


@pytest.fixture
def config() -> Config:
    return load(EXAMPLE)


def without_gateway() -> Config:
    content = yaml.safe_load(EXAMPLE.read_text())
    del content["gateway"]
    return parse(yaml.safe_dump(content), base=HERE)


@pytest.mark.parametrize(("example", "golden"), [(EXAMPLE, "agentgateway.yaml"), (NATIVE, "agentgateway_11.yaml")])
def test_agentgateway_is_rendered_to_the_letter(example: Path, golden: str) -> None:
    result = CliRunner().invoke(gateway, ["render", "--for", "agentgateway", "--config", str(example)])

    assert result.exit_code == 0
    assert result.output == (HERE / "golden" / golden).read_text()


def test_agentgateway_gets_the_rules_as_they_are_written(config: Config) -> None:
    document = agentgateway.render(config)

    protected = document["binds"][0]["listeners"][0]["routes"][-1]
    assert protected["policies"]["authorization"]["rules"] == [
        rule.text for rule in config.resource("supply-chain-agent").policy.rules
    ]


@pytest.mark.parametrize("example", [EXAMPLE, NATIVE])
def test_rendered_envoy_is_valid_to_envoy(tmp_path: Path, example: Path) -> None:
    out = tmp_path / "envoy.json"
    result = CliRunner().invoke(gateway, ["render", "--config", str(example), "--out", str(out)])
    assert (result.exit_code, result.output) == (0, "")

    command = [str(running.envoy_binary()), "--mode", "validate", "--config-path", str(out), "--log-level", "warning"]
    validated = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert validated.returncode == 0, validated.stderr
    assert "warning" not in validated.stderr


def test_collector_over_grpc_is_valid_to_envoy(tmp_path: Path) -> None:
    content = yaml.safe_load(EXAMPLE.read_text())
    content["gateway"]["otlp"] = "grpc://127.0.0.1:4317"
    out = tmp_path / "envoy.json"
    out.write_text(json.dumps(envoy.render(parse(yaml.safe_dump(content), base=HERE))))

    command = [str(running.envoy_binary()), "--mode", "validate", "--config-path", str(out), "--log-level", "warning"]
    validated = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert validated.returncode == 0, validated.stderr


def manager_of(document: dict[str, Any]) -> dict[str, Any]:
    manager: dict[str, Any] = document["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
    typed: dict[str, Any] = manager["typed_config"]
    return typed


def test_envoy_changes_nothing_a_signature_covers_and_fails_closed(config: Config) -> None:
    manager = manager_of(envoy.render(config))

    assert manager["normalize_path"] is False
    assert manager["merge_slashes"] is False
    check = manager["http_filters"][0]["typed_config"]
    assert check["encode_raw_headers"] is True
    assert check["failure_mode_allow"] is False
    assert check["with_request_body"]["pack_as_bytes"] is True
    assert check["with_request_body"]["allow_partial_message"] is False


def test_every_route_but_open_and_service_ones_is_checked(config: Config) -> None:
    hosts = manager_of(envoy.render(config))["route_config"]["virtual_hosts"]

    for host in hosts:
        for route in host["routes"]:
            check = route["typed_per_filter_config"][envoy.EXT_AUTHZ]
            if route["name"].endswith("protected"):
                assert check["check_settings"]["context_extensions"] == {"aauth_resource_id": host["name"]}
            else:
                assert check["disabled"] is True
                assert "path" in route["match"]


@pytest.mark.attack
def test_one_connection_holds_a_bounded_number_of_bodies(config: Config) -> None:
    assert manager_of(envoy.render(config))["http2_protocol_options"] == {"max_concurrent_streams": 100}


def test_long_polls_and_streams_are_not_cut_off(config: Config) -> None:
    hosts = manager_of(envoy.render(config))["route_config"]["virtual_hosts"]

    protected = [route for host in hosts for route in host["routes"] if route["name"].endswith("protected")]
    assert {route["route"]["timeout"] for route in protected} == {"0s"}
    assert {route["route"]["idle_timeout"] for route in protected} == {"600s"}


def replies_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    mappers: list[dict[str, Any]] = manager_of(document)["local_reply_config"]["mappers"]
    return [mapper["body_format_override"] for mapper in mappers]


def test_envoys_own_answers_are_problems_where_every_resource_speaks_draft_11(config: Config) -> None:
    problems = replies_of(envoy.render(load(NATIVE)))
    assert {body["content_type"] for body in problems} == {"application/problem+json"}
    assert all(set(body["json_format"]) == {"error", "detail"} for body in problems)
    assert all(set(body["json_format"]) == {"error", "error_description"} for body in replies_of(envoy.render(config)))


@pytest.mark.attack
def test_the_limit_is_by_what_a_check_verified(config: Config) -> None:
    for document in (envoy.render(config), envoy.render(load(NATIVE))):
        limit = manager_of(document)["http_filters"][1]["typed_config"]
        (action,) = limit["rate_limits"][0]["actions"]
        assert action["metadata"]["metadata_key"] == {
            "key": "envoy.filters.http.ext_authz",
            "path": [{"key": "caller"}],
        }


def test_admin_page_is_on_loopback(config: Config) -> None:
    admin = envoy.render(config)["admin"]["address"]["socket_address"]

    assert admin == {"address": "127.0.0.1", "port_value": 15000}


@pytest.mark.parametrize("render", [envoy.render, agentgateway.render])
def test_file_without_a_gateway_is_told(render: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        render(without_gateway())

    assert "`gateway` section" in caught.value.detail


def test_faulty_file_is_told_by_the_command(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("resources: []\nfrobnicate: 1\n")

    result = CliRunner().invoke(gateway, ["render", "--config", str(path)])

    assert result.exit_code == 1
    assert f"{path}: frobnicate: is not a known key." in result.output


def test_rule_names_envoys_metadata_wherever_it_says_extauthz() -> None:
    text = json.dumps(envoy_condition(Rule('extauthz.a == "x" && has(extauthz.b)')))

    assert "extauthz" not in text.replace("ext_authz", "")
    assert text.count('"envoy.filters.http.ext_authz"') == 2
    assert text.count('"filter_metadata"') == 2


def test_text_that_says_extauthz_stays_text() -> None:
    condition = json.dumps(envoy_condition(Rule('extauthz.a == "extauthz"')))

    assert condition.count('"extauthz"') == 1


def test_nodes_of_a_condition_have_ids_of_their_own() -> None:
    def ids(node: Any) -> list[str]:
        if isinstance(node, list):
            return [found for item in node for found in ids(item)]
        if isinstance(node, dict):
            own = [node["id"]] if "id" in node else []
            return own + [found for value in node.values() for found in ids(value)]
        return []

    found = ids(envoy_condition(Rule('extauthz.a == extauthz.b && extauthz.c in {"x": [1, 2u, 1.5, b"y", null]}')))

    assert len(found) == len(set(found))


@pytest.mark.parametrize("rule", ['extauthz.scopes.exists(s, s == "a")', "extauthz.scopes.all(s, true)"])
def test_macro_envoy_does_not_evaluate_is_refused_in_words(rule: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        envoy_condition(Rule(rule))

    assert caught.value.detail.startswith("Envoy evaluates no macros")
    assert rule in caught.value.detail
