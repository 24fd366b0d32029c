"""Names and numbers in the pages are those of the code: keys, ports, metrics, log members, limits, words to type."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from aauthkit import errors
from aauthkit.agent_provider.settings import ProviderSettings
from aauthkit.authz import config
from aauthkit.authz.check import metadata_of
from aauthkit.authz.outcome import CLAIM_HEADERS, Call, Result, refused
from aauthkit.authz.service import Decision
from aauthkit.cli import person as person_command
from aauthkit.demo.supervisor.choices import MODES, Choices
from aauthkit.demo.supervisor.parts import PASSWORD, PERSON, demo_parts
from aauthkit.drafts import DRAFT_11
from aauthkit.errors import InvalidSignature
from aauthkit.gateway import envoy
from aauthkit.httpsig.message import Message
from aauthkit.observability.decisions import line_of
from aauthkit.observability.metrics import Metrics
from aauthkit.person_server.settings import ENDPOINTS, PersonServerSettings
from aauthkit.resource.deferred import INTERACTION_PATH, PENDING_PATH
from aauthkit.resource.holding import HELD_PATH
from aauthkit.resource.protect import AUTHORIZING_PATH
from aauthkit.resource.settings import Resource
from tests.docs.pages import ROOT, Page, page

SOURCE = ROOT / "src" / "aauthkit"
OPERATIONS = page("docs/operations.md")


def section(of: Page, title: str) -> str:
    """The text under a heading, up to the next one of its level."""
    found = re.search(rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", of.text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"{of.name} has no section {title!r}"
    return found[1]


def first_column(text: str) -> set[str]:
    """What is in code in the first cells of the tables of a text."""
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| ")]
    return {code for cell in cells for code in re.findall(r"`([^`]+)`", cell)}


def code_in(text: str) -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", text))


def decision() -> Decision:
    message = Message.of("GET", "http://a.localhost:3000/", [], None)
    outcome = refused(InvalidSignature("no"), DRAFT_11, resource_id="a")
    return Decision(call=Call(message=message), outcome=outcome, at=0.0, latency=0.0, fetches=0)


# Operations


def test_ports_are_those_of_the_demo(tmp_path: Path) -> None:
    told = {
        (int(port), part.strip().partition(":")[0].partition(",")[0])
        for port, part in re.findall(
            r"^\| (\d+) \| ([^|]+) \|$", section(OPERATIONS, "Ports of the demo"), re.MULTILINE
        )
    }
    assert told == {
        (address.port, part.name) for part in demo_parts(Choices(state=tmp_path)) for address in part.listens
    }


def test_every_key_of_the_file_is_told_and_no_other() -> None:
    told = section(OPERATIONS, "Authorization service and gateway")
    words = {word for code in first_column(told) for word in re.findall(r"[a-z_]+", code)}
    assert words == keys_read_by(SOURCE / "authz" / "config.py") | {"listen", "jwks_cache", "gateway"}


def keys_read_by(path: Path) -> set[str]:
    """The literal keys that a module takes from a section of the file."""
    readers = {"take", "require", "section", "sections", "optional"}
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        arguments = node.args[1:2] if called == "_optional" else node.args[:1]
        if called in readers | {"_optional"}:
            found |= {str(a.value) for a in arguments if isinstance(a, ast.Constant)}
    return found


def test_defaults_of_the_file_are_those_told() -> None:
    cache = config.JWKSCache()
    told = section(OPERATIONS, "Authorization service and gateway")
    assert (cache.success_ttl, cache.error_ttl, cache.max_entries) == (
        timedelta(minutes=5),
        timedelta(seconds=30),
        1000,
    )
    assert "| 5m, 30s, 1000 |" in told
    minimal = config.parse(
        "resources: [{id: a, issuer: 'https://a.example', agent_servers: any}]\n"
        "gateway: {routes: [{resource: a, upstream: '127.0.0.1:1'}]}\n",
        base=Path(),
    )
    assert minimal.gateway is not None
    assert f"| {minimal.listen.grpc}, {minimal.listen.http} |" in told
    assert f"| {minimal.gateway.listen}, {minimal.gateway.admin} |" in told
    assert f"| {minimal.gateway.routes[0].max_body_bytes} |" in told
    resource = minimal.resources[0]
    assert (resource.require, resource.signature_window) == ("identity", timedelta(seconds=60))
    assert resource.allowed_signature_key_schemes == ("jwt",)
    assert resource.draft.name == "11"


def test_metrics_are_those_the_service_has() -> None:
    metrics = Metrics()
    metrics(decision())
    metrics.fetched(True)
    _, text = metrics.render()
    names = {line.split()[2] for line in text.decode().splitlines() if line.startswith("# TYPE")}
    assert first_column(section(OPERATIONS, "Metrics")) == {name for name in names if not name.endswith("_created")}
    assert {result.value for result in Result} <= code_in(section(OPERATIONS, "Metrics"))


def test_members_of_the_decision_log_are_those_written() -> None:
    assert first_column(section(OPERATIONS, "Decision log")) == set(line_of(decision()))


def test_fields_of_the_access_log_are_among_those_rendered() -> None:
    rendered = json.dumps(envoy.render(config.load(ROOT / "examples" / "gateway.yaml")))
    told = section(OPERATIONS, "Decision log").split("Envoy's access log has")[1]
    schemes = {"Jwt", "JwtPerson", "JwtAuth", "Hwk", "JwksUri"}
    names = code_in(told) - schemes
    assert len(names) == 10
    assert [name for name in names | schemes if name not in rendered] == []


def test_times_and_limits_of_the_person_server_are_those_set() -> None:
    told = section(OPERATIONS, "Person server and agent provider")
    set_to = {field.name: field.default for field in fields(PersonServerSettings)}
    assert "| a person has to decide | 10 minutes |" in told
    assert "| an approved request waits for its agent | 10 minutes |" in told
    assert set_to["decision_time"] == set_to["collection_time"] == timedelta(minutes=10)
    assert "| what a person agreed to is remembered | as they choose: " in told
    assert "24 hours for a script that names none |" in told
    assert set_to["remembered"] == timedelta(hours=24)
    assert "| a poll is held open | 45 seconds at most |" in told
    assert set_to["longest_wait"] == timedelta(seconds=45)
    assert "| a person stays signed in | 8 hours |" in told
    assert set_to["session_time"] == timedelta(hours=8)
    assert "| a session nobody uses lasts | 1 hour |" in told
    assert set_to["session_idle"] == timedelta(hours=1)
    assert "| proving who one is holds for what is risky | 5 minutes |" in told
    assert set_to["step_up_time"] == timedelta(minutes=5)
    assert "| the link to the first passkey | 1 hour, and until the next start |" in told
    assert set_to["setup_time"] == timedelta(hours=1)
    assert "| an invitation | 1 day |" in told
    assert set_to["invitation_time"] == timedelta(days=1)
    assert "20 failed passkeys an\naddress in ten minutes" in told
    assert (set_to["failed_sign_ins"], set_to["failed_sign_in_window"]) == (20, timedelta(minutes=10))
    assert "| an enrolment waits for approval | 30 minutes |" in told
    assert ProviderSettings.registration_lifetime == timedelta(minutes=30)
    assert "10 wrong codes a person in ten minutes, 60 enrolments an address in a minute" in told
    assert (set_to["wrong_codes"], set_to["wrong_code_window"]) == (10, timedelta(minutes=10))
    assert ProviderSettings.enrolments_a_minute == 60
    assert "60 agent tokens\nand 300 other tokens an agent in a minute, 100 resources an agent in a day" in told
    assert (ProviderSettings.renewals_a_minute, set_to["tokens_a_minute"]) == (60, 300)
    assert set_to["most_resources"] == 100
    assert "| an agent has to answer its person's question | 2 minutes, five questions a request |" in told
    assert (set_to["clarification_time"], set_to["clarification_rounds"]) == (timedelta(minutes=2), 5)


def test_variables_of_the_person_server_are_those_read() -> None:
    files = Path(person_command.__file__).parent.glob("*.py")
    source = "\n".join(file.read_text(encoding="utf-8") for file in files)
    told = section(OPERATIONS, "Person server and agent provider")
    named = {code for code in first_column(told) if code.startswith("AAUTH_")}
    assert named == set(re.findall(r'"(AAUTH_[A-Z_]+)"', source))


def test_options_of_the_person_server_are_those_it_takes() -> None:
    told = section(OPERATIONS, "Person server and agent provider")
    named = {code.split()[0] for code in first_column(told) if code.startswith("--")}
    taken = {option for parameter in person_command.person.commands["serve"].params for option in parameter.opts}
    assert named - taken == set()
    assert {option for option in taken if option.startswith(("--trust", "--unasked", "--open"))} - named == set()


def test_variables_of_the_demos_parts_are_those_read() -> None:
    told = section(OPERATIONS, "The demo's parts")
    files = (SOURCE / "demo").rglob("settings.py")
    read = {name for file in files for name in re.findall(r'"(AAUTH_[A-Z_]+)"', file.read_text(encoding="utf-8"))}
    assert first_column(told) == read


# Quickstarts


def test_headers_and_members_of_the_gateway_are_those_of_the_check() -> None:
    told = code_in(section(page("docs/quickstart-gateway.md"), "What the parts do"))
    assert {code for code in told if code.startswith("x-aauth-")} == set(CLAIM_HEADERS)
    assert members_of_metadata() <= told


def members_of_metadata() -> set[str]:
    """The keys of the dictionary that `metadata_of` builds, read from its source."""
    tree = ast.parse((SOURCE / "authz" / "check.py").read_text(encoding="utf-8"))
    function = next(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == metadata_of.__name__)
    values = next(n for n in ast.walk(function) if isinstance(n, ast.Dict))
    return {str(key.value) for key in values.keys if isinstance(key, ast.Constant)}


def test_errors_an_agent_meets_exist() -> None:
    told = first_column(section(page("docs/quickstart-agent.md"), "When it fails"))
    assert [name for name in told if not issubclass(getattr(errors, name), errors.AAuthError)] == []


def test_readme_says_what_to_type_and_press() -> None:
    readme = page("README.md").text
    assert f"sign in as `{PERSON}` with `{PASSWORD}`" in readme
    button = re.search(r'id="start">([^<]+)<', (SOURCE / "demo/ui/static/index.html").read_text(encoding="utf-8"))
    assert button is not None
    assert f"press **{button[1]}**" in readme
    assert [mode for mode in MODES if mode not in readme] == []


# Architecture


def test_addresses_are_those_of_the_roles() -> None:
    rows = section(page("docs/architecture.md"), "Who answers where").splitlines()
    told = {path for row in rows if row.startswith("| ") for path in re.findall(r"`(/[^`]+)`", row.split("|")[2])}
    provider = {urlsplit(url).path for url in provider_metadata().values() if "/" in str(url)}
    ours = {*ENDPOINTS.values(), "/pending/{handle}", *provider, *addresses_of_a_resource()}
    assert told == {path for path in ours if path and not path.startswith("/.well-known/")}


def provider_metadata() -> dict[str, str]:
    issuer = "https://provider.example"
    settings = ProviderSettings(issuer=issuer, agent_domain="a.example", person_server=issuer, development=False)
    return {name: str(value) for name, value in settings.metadata().items()}


def addresses_of_a_resource() -> set[str]:
    defaults = {each.name: each.default for each in fields(Resource)}
    kept = {HELD_PATH, PENDING_PATH, AUTHORIZING_PATH, INTERACTION_PATH}
    return kept | {str(defaults["authorization_path"]), str(defaults["revocation_path"])}


# Security


@pytest.mark.parametrize("number", range(1, 14))
def test_every_rule_names_tests_that_hold_it(number: int) -> None:
    rows = re.findall(rf"^\| {number} \| (.+) \| (.+) \|$", page("docs/security.md").text, re.MULTILINE)
    assert len(rows) == 1
    assert len(re.findall(r"`test_\w+`", rows[0][1])) >= 3
