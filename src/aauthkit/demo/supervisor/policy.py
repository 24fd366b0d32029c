"""The authorization service's file for the demo: which resources stand behind the gateway, who may call them in each
mode (CONTRACT §3, §7). Only says; `aauth authz` and `aauth gateway` read, check and enforce.
"""

from __future__ import annotations

from typing import Any

import yaml

from aauthkit.agent.own_provider import JWKS_PATH as AGENT_JWKS_PATH
from aauthkit.agent.own_provider import METADATA_PATH as AGENT_METADATA_PATH
from aauthkit.demo.supervisor.choices import (
    AGENT_DOMAIN,
    BACKEND_IDENTIFIER,
    GATEWAY_PORT,
    HOST,
    PERSON_SERVER,
    TRACES,
    Choices,
)
from aauthkit.drafts import draft_named
from aauthkit.resource.deferred import INTERACTION_PATH

# Beside the file: what the person server withdrew, for the authorization service and the agents behind it.
REVOCATIONS = "revocations.db"

_SUPPLY_CHAIN_SCOPES = {
    "supply-chain:check": "Look up stock and orders",
    "supply-chain:read": "Read supply-chain data",
    "supply-chain:optimize": "Plan purchases on your behalf",
}
_MARKET_ANALYSIS_SCOPES = {"market-analysis:analyze": "Analyse demand and inventory"}

# Anchored and whole: a scope is an element of the list, a domain follows the one @ of an agent identifier.
_OUR_AGENT = f'extauthz.agent.endsWith("@{AGENT_DOMAIN}")'
_OUR_SUBJECT = f'extauthz.sub.endsWith("@{AGENT_DOMAIN}")'
_CALLS_FOR_ITSELF = "extauthz.act.sub == extauthz.agent"
# Draft 11 tells a resource no agent: what was allowed counts, and which person server says so.
_ALLOWED_BY_OUR_PERSON_SERVER = f'extauthz.typ == "aa-auth+jwt" && extauthz.ps == "{PERSON_SERVER}"'
_BACKEND_BY_ITS_KEYS = f'extauthz.scheme == "jwks_uri" && extauthz.agent_server == "{BACKEND_IDENTIFIER}"'


def authz_file(choices: Choices) -> str:
    """The YAML text; relative key files lie beside it."""
    document = {
        "development": True,
        "listen": {"grpc": f"{HOST}:7070", "http": f"{HOST}:8081"},
        "revocations": REVOCATIONS,
        "resources": [_supply_chain(choices), _market_analysis(choices), _tools(choices)],
        "gateway": _gateway(choices),
    }
    heading = (
        "# Written by `aauth demo` at each start. To change it, copy it and run `aauth authz --config` on the copy.\n"
    )
    return heading + yaml.safe_dump(document, sort_keys=False, width=110)


def _supply_chain(choices: Choices) -> dict[str, Any]:
    asked = ["supply-chain:check", "supply-chain:read"]
    if choices.mode == "user-consent":
        asked.append("supply-chain:optimize")
    if choices.mode == "identity":
        rules = [_OUR_SUBJECT] if choices.scheme == "jwt" else [_OUR_SUBJECT, _BACKEND_BY_ITS_KEYS]
    else:
        rules = [f'{_caller(choices)} && "supply-chain:read" in extauthz.scopes']
    return {
        **_agent(choices, "supply-chain-agent", "Supply-Chain Agent", _SUPPLY_CHAIN_SCOPES, asked),
        "policy": {"rules": rules},
    }


def _market_analysis(choices: Choices) -> dict[str, Any]:
    asked = list(_MARKET_ANALYSIS_SCOPES)
    if choices.mode == "identity":
        rules = [_OUR_SUBJECT]
    else:
        rules = [f'{_caller(choices)} && "market-analysis:analyze" in extauthz.scopes']
    return {
        **_agent(choices, "market-analysis-agent", "Market-Analysis Agent", _MARKET_ANALYSIS_SCOPES, asked),
        "policy": {"rules": rules},
    }


def _caller(choices: Choices) -> str:
    """Who may call with an auth token, in the claims its draft has."""
    if draft_named(choices.draft).auth_token_names_agent:
        return f"{_CALLS_FOR_ITSELF} && {_OUR_AGENT}"
    return _ALLOWED_BY_OUR_PERSON_SERVER


def _tools(choices: Choices) -> dict[str, Any]:
    """The tools hold the company's data, not a person's: who calls is asked in every mode, on whose behalf in none."""
    return {
        **_resource(choices, "tools", "Supply-Chain Tools"),
        "access": {"require": "identity"},
        "policy": {"rules": [_OUR_AGENT]},
    }


def _agent(choices: Choices, name: str, title: str, scopes: dict[str, str], asked: list[str]) -> dict[str, Any]:
    return {
        **_resource(choices, name, title),
        "supported_scopes": list(scopes),
        "scope_descriptions": scopes,
        "default_resource_token_scopes": asked,
        "access": {"require": "identity" if choices.mode == "identity" else "auth-token"},
    }


def _resource(choices: Choices, name: str, title: str) -> dict[str, Any]:
    host = f"{name}.localhost"
    return {
        "id": name,
        "issuer": f"http://{host}:{GATEWAY_PORT}",
        "hosts": [f"{host}:{GATEWAY_PORT}", host],
        "client_name": title,
        "draft": choices.draft,
        "signing_key": {
            "kid": f"{name}-1",
            "alg": "EdDSA" if choices.draft == "01" else "Ed25519",
            "private_key_file": f"keys/{name}.pem",
            "create": True,
        },
        "person_server": {"issuer": PERSON_SERVER},
        "auth_servers": [{"issuer": PERSON_SERVER}],
        "agent_servers": _agent_servers(choices),
    }


def _agent_servers(choices: Choices) -> list[dict[str, str]]:
    provider = {"issuer": PERSON_SERVER, "domain": AGENT_DOMAIN}
    return [provider] if choices.scheme == "jwt" else [provider, {"issuer": BACKEND_IDENTIFIER}]


def _gateway(choices: Choices) -> dict[str, Any]:
    # The card says how to call an agent, so it is open to callers that cannot yet.
    card = ["/.well-known/agent-card.json"]
    # Where an agent that calls another sends the person on when that one needs them; and, in draft 11, where it
    # publishes the keys it signs with as the resource it is.
    onward = [*card, INTERACTION_PATH]
    if draft_named(choices.draft).person_tokens:
        onward += [AGENT_METADATA_PATH, AGENT_JWKS_PATH]
    return {
        "listen": f"{HOST}:{GATEWAY_PORT}",
        "admin": f"{HOST}:15000",
        # Far above what a run needs (one request a hop), far below what slows the others.
        "rate_limit": {"requests": 50, "per": "1s", "burst": 100},
        "routes": [
            {"resource": "supply-chain-agent", "upstream": f"{HOST}:9999", "open": [*onward]},
            {"resource": "market-analysis-agent", "upstream": f"{HOST}:9998", "open": [*onward]},
            {"resource": "tools", "upstream": f"{HOST}:9997"},
        ],
        "otlp": TRACES,
    }
