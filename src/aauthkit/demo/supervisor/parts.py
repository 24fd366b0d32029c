"""The demo's own table: each process of CONTRACT §1, how it is started, how it shows that it serves. Starts nothing."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from aauthkit.demo.supervisor.choices import (
    AGENT_DOMAIN,
    DEVELOPMENT_ISSUER,
    GATEWAY_PORT,
    HOST,
    KEYCLOAK,
    PERSON_SERVER,
    TRACES,
    Choices,
)
from aauthkit.demo.supervisor.part import Address, Health, Part, Preparation
from aauthkit.demo.supervisor.policy import REVOCATIONS, authz_file
from aauthkit.gateway import running

PERSON = "mcp-user"
PASSWORD = "user123"
UI_CLIENT = "supply-chain-ui"
INTERMEDIARIES = ("supply-chain-agent", "market-analysis-agent")
UI_ORIGIN = "http://localhost:3050"
TRACES_KEY = Path("keys") / "traces"
# -P: the directory a part works in is no place to import from.
_PYTHON = (sys.executable, "-P", "-m")
_AAUTH = (*_PYTHON, "aauthkit.cli")
# The demo is there to show what happens, so its spans say what the tokens say.
_TRACED = {"OTEL_EXPORTER_OTLP_ENDPOINT": TRACES, "AAUTH_TRACE_CLAIMS": "1"}


def demo_parts(choices: Choices) -> tuple[Part, ...]:
    """Every process for these choices, in an order in which each comes after those it waits for."""
    return (
        _traces(choices),
        *((_identity_provider(choices),) if choices.brings_people else ()),
        _person_server(choices),
        _authorization_service(choices),
        _gateway(choices),
        _tools(choices),
        _agent(choices, "market-analysis", 9998, "A2A agent: demand and inventory", _acts_as("market-analysis-agent")),
        _agent(choices, "supply-chain", 9999, "A2A agent: plans purchases", _acts_as("supply-chain-agent")),
        _agent(choices, "backend", 8000, "the API behind the page", ("--callback", UI_ORIGIN)),
        _ui(choices),
    )


def write_configuration(choices: Choices) -> None:
    """Files that parts read at start. The one secret among them lets the backend read traces, in this run only."""
    (choices.state / "keys").mkdir(mode=0o700, exist_ok=True)
    (choices.state / "authz.yaml").write_text(authz_file(choices))
    key = choices.state / TRACES_KEY
    key.touch(mode=0o600)
    key.write_text(secrets.token_urlsafe(32))


def _part(
    name: str,
    port: int,
    argv: tuple[str, ...],
    about: str,
    *,
    env: Mapping[str, str] | None = None,
    after: tuple[str, ...] = (),
    prepare: tuple[Preparation, ...] = (),
    more_ports: tuple[int, ...] = (),
    health: str | None = None,
) -> Part:
    url = f"http://{HOST}:{port}"
    return Part(
        name=name,
        argv=argv,
        listens=tuple(Address(host=HOST, port=number) for number in (port, *more_ports)),
        health=Health(url=health or f"{url}/health"),
        env={**_TRACED, "OTEL_SERVICE_NAME": name, **(env or {})},
        after=after,
        prepare=prepare,
        url=url,
        about=about,
    )


def _identity_provider(choices: Choices) -> Part:
    if choices.idp == KEYCLOAK:
        return _part(
            "idp",
            8080,
            (*_PYTHON, "aauthkit.demo.keycloak", "serve", "--state", str(choices.state / "keycloak")),
            "Keycloak (its console is at /admin/aauth-test/console)",
            health=DEVELOPMENT_ISSUER.replace("localhost", HOST),
        )
    return _part(
        "idp",
        8080,
        (*_PYTHON, "aauthkit.demo.idp", "--listen", f"{HOST}:8080", "--state", str(choices.state / "idp")),
        "identity provider for development",
    )


def _person_server(choices: Choices) -> Part:
    argv = (
        *_AAUTH,
        *("person", "serve", "--development", "--listen", f"{HOST}:8765", "--issuer", PERSON_SERVER),
        *("--state", str(choices.state / "person"), "--agent-domain", AGENT_DOMAIN),
        *("--oidc-issuer", choices.issuer, "--oidc-client", "aauth-person-server", "--admin-role", "admin"),
        # Whoever disables somebody at the provider to see what happens does not want to wait a minute for it.
        *("--oidc-recheck", "2"),
        # Test harnesses act for the person with the token the page got; newcomers add resources of their own.
        *("--bearer-client", UI_CLIENT, "--trust-resource", "any"),
        # The company's agents may go to the company's resources as the person; what they may do there is asked.
        *("--unasked-resource", "any", *_intermediaries()),
    )
    return _part(
        "person",
        8765,
        (*argv, "--open-consent") if choices.open_consent else argv,
        "person server and agent provider",
        env={"AAUTH_CONSENT_SCOPES": _consent_scopes(choices)},
    )


def _intermediaries() -> tuple[str, ...]:
    """The agents that call others for their callers (draft 11: as the resources they are)."""
    resources = (f"http://{name}.localhost:{GATEWAY_PORT}" for name in INTERMEDIARIES)
    return tuple(word for resource in resources for word in ("--trust-intermediary", resource))


def _consent_scopes(choices: Choices) -> str:
    """What always asks the person; a person who set the variable knows better."""
    own = ["supply-chain:optimize"] if choices.mode == "user-consent" else []
    return os.environ.get("AAUTH_CONSENT_SCOPES") or json.dumps([*own, "require:user"])


def _authorization_service(choices: Choices) -> Part:
    return _part(
        "authz",
        8081,
        (*_AAUTH, "authz", "--config", str(choices.state / "authz.yaml")),
        "authorization service (gRPC on 7070)",
        more_ports=(7070,),
    )


def _gateway(choices: Choices) -> Part:
    rendered = choices.state / "envoy.json"
    configuration = str(choices.state / "authz.yaml")
    render = (*_AAUTH, "gateway", "render", "--for", "envoy", "--config", configuration, "--out", str(rendered))
    return _part(
        "gateway",
        3000,
        tuple(running.command(rendered, concurrency=2)),
        "Envoy (admin page on 15000)",
        prepare=(Preparation(argv=render),),
        more_ports=(15000,),
        health=f"http://{HOST}:15000/ready",
    )


def _tools(choices: Choices) -> Part:
    return _part(
        "tools",
        9997,
        (*_PYTHON, "aauthkit.demo.tools"),
        "MCP tools: inventory, headcount, prices",
        env=_settings(choices, "tools", 9997),
    )


def _agent(choices: Choices, name: str, port: int, about: str, ticket: tuple[str, ...]) -> Part:
    state = choices.state / name
    return _part(
        name,
        port,
        (*_PYTHON, f"aauthkit.demo.{name.replace('-', '_')}"),
        about,
        env=_settings(choices, name, port),
        after=("person",),
        prepare=(_ticket(choices, ticket, unless=state / "identity.json"),),
    )


def _acts_as(resource: str) -> tuple[str, ...]:
    """The agent answers as this resource, so it may extend what callers were authorized for there."""
    return ("--resource", f"http://{resource}.localhost:{GATEWAY_PORT}")


def _ticket(choices: Choices, options: tuple[str, ...], unless: Path) -> Preparation:
    """One enrolment without a question to the person, who started the demo and so has been asked."""
    person = ("--person", PERSON, "--oidc-issuer", choices.issuer)
    argv = (*_AAUTH, "person", "ticket", "--state", str(choices.state / "person"), *person, *options)
    return Preparation(argv=argv, saves_as="AAUTH_TICKET", unless=unless)


def _traces(choices: Choices) -> Part:
    return _part(
        "traces",
        3051,
        (*_PYTHON, "aauthkit.demo.traces"),
        "receives what each part did, for the page",
        env={
            "AAUTH_LISTEN": f"{HOST}:3051",
            "AAUTH_TRACES_KEY": str(choices.state / TRACES_KEY),
            "AAUTH_TRACES_FORWARD": choices.collector or "",
        },
    )


def _ui(choices: Choices) -> Part:
    return _part(
        "ui",
        3050,
        (*_PYTHON, "aauthkit.demo.ui"),
        "the person's page: begin here",
        env=_settings(choices, "ui", 3050),
    )


def _settings(choices: Choices, name: str, port: int) -> dict[str, str]:
    return {
        "AAUTH_LISTEN": f"{HOST}:{port}",
        "AAUTH_STATE": str(choices.state / name),
        "AAUTH_PROVIDER": PERSON_SERVER,
        "AAUTH_DRAFT": choices.draft,
        "AAUTH_MODE": choices.mode,
        "AAUTH_SCHEME": choices.scheme,
        "AAUTH_GATEWAY": f"http://{HOST}:3000",
        "AAUTH_OIDC_ISSUER": choices.issuer,
        "AAUTH_REVOCATIONS": str(choices.state / REVOCATIONS),
        "AAUTH_TRACES": TRACES,
        "AAUTH_TRACES_KEY": str(choices.state / TRACES_KEY),
    }
