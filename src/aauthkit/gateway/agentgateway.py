"""Agentgateway's configuration for one authorization file; a pure function, runs nothing.

The same policy as for Envoy in Agentgateway's words: its ``authorization.rules`` read ``extauthz`` as our rules are
written, so the texts are passed on as they are. Agentgateway has no limit per agent: ``rate_limit`` has no effect.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from aauthkit.authz.config import Config, GatewayConfig, ResourceConfig, RouteConfig
from aauthkit.authz.outcome import CLAIM_HEADERS
from aauthkit.errors import ConfigurationError
from aauthkit.gateway.envoy import SERVICE_PATHS

Document = dict[str, Any]

_FIELDS = {
    "aauth.scheme": "extauthz.scheme",
    "aauth.agent": "extauthz.agent",
    "aauth.level": "extauthz.level",
    "aauth.scope": "extauthz.scope",
    "aauth.sub": "extauthz.sub",
    "aauth.ps": "extauthz.ps",
    "token_issuer": "extauthz.issuer",
    "token_audience": "extauthz.aud",
    "authorization_denied": "response.code == 403",
}


def render(config: Config) -> Document:
    """The whole document; raises ``ConfigurationError`` when the file has no ``gateway`` section."""
    gateway = config.gateway
    if gateway is None:
        raise ConfigurationError("The file has no `gateway` section; add one with at least one route.")
    listeners = [
        {"name": f"{route.resource}-{position}", "hostname": host, "routes": _routes(config, gateway, route)}
        for route in gateway.routes
        for position, host in enumerate(_hostnames(config.resource(route.resource)))
    ]
    return {"config": _reports(gateway), "binds": [{"port": gateway.listen.port, "listeners": listeners}]}


def _hostnames(resource: ResourceConfig) -> list[str]:
    return sorted({urlsplit(f"//{host}").hostname or host for host in resource.hosts})


def _routes(config: Config, gateway: GatewayConfig, route: RouteConfig) -> list[Document]:
    resource = config.resource(route.resource)
    return [
        {
            "name": "aauth-service",
            "matches": [{"path": {"exact": path}} for path in SERVICE_PATHS],
            "backends": [{"host": str(gateway.authz_http)}],
        },
        *_open(route),
        {
            "name": "protected",
            "matches": [_match(path) for path in route.protected],
            "policies": _policies(resource, route, gateway),
            "backends": [{"host": str(route.upstream)}],
        },
    ]


def _open(route: RouteConfig) -> list[Document]:
    if not route.open:
        return []
    matches = [{**_match(path), "method": method} for path in route.open for method in ("GET", "HEAD")]
    return [
        {
            "name": "open",
            "matches": matches,
            "policies": {"requestHeaderModifier": {"remove": list(CLAIM_HEADERS)}},
            "backends": [{"host": str(route.upstream)}],
        }
    ]


def _match(path: str) -> Document:
    return {"path": {"pathPrefix": path} if path.endswith("/") else {"exact": path}}


def _policies(resource: ResourceConfig, route: RouteConfig, gateway: GatewayConfig) -> Document:
    policies: Document = {
        "extAuthz": {
            "host": str(gateway.authz_grpc),
            "protocol": {"grpc": {"context": {"aauth_resource_id": resource.id}}},
            "failureMode": "deny",
            "includeRequestBody": {
                "maxRequestBytes": route.max_body_bytes,
                "allowPartialMessage": False,
                "packAsBytes": True,
            },
        }
    }
    if resource.policy.rules:
        policies["authorization"] = {"rules": [rule.text for rule in resource.policy.rules]}
    return policies


def _reports(gateway: GatewayConfig) -> Document:
    reports: Document = {"logging": {"fields": {"add": dict(_FIELDS)}}}
    if gateway.otlp:
        parts = urlsplit(gateway.otlp)
        reports["tracing"] = {
            "otlpEndpoint": f"http://{parts.netloc}",
            "otlpProtocol": "grpc" if parts.scheme == "grpc" else "http",
            "randomSampling": True,
            "fields": {"add": dict(_FIELDS)},
        }
    return reports
