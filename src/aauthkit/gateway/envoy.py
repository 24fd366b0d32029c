"""Envoy's configuration for one authorization file; a pure function from ``Config`` to a document, runs nothing.

What the numbers protect: signatures are over what the client sent, so paths, hosts and header lines are passed on
unchanged and never normalised; only the exact open paths of a route skip the check; what the check returned decides in
Envoy itself, once more, by the same rules; a check that cannot be made is 503, never a pass.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from aauthkit.authz.config import Config, GatewayConfig, RateLimit, ResourceConfig, RouteConfig
from aauthkit.authz.reading import Address
from aauthkit.errors import ConfigurationError
from aauthkit.gateway.expression import NAMESPACE, envoy_condition
from aauthkit.identifiers import is_address

Document = dict[str, Any]

EXT_AUTHZ = "envoy.filters.http.ext_authz"
RATE_LIMIT = "envoy.filters.http.local_ratelimit"
RBAC = "envoy.filters.http.rbac"

# What the authorization service itself answers under every protected host.
SERVICE_PATHS = (
    "/.well-known/aauth-resource.json",
    "/.well-known/jwks.json",
    "/resource/token",
    "/aauth/revocation",
)

# A check may have to fetch two documents of an issuer first; each fetch is cut after 3 s.
_CHECK_TIMEOUT = "8s"
# Long polls and MCP streams live for minutes; a stream on which nothing moves for this long is dead.
_STREAM_IDLE = "600s"
# Envoy holds a bucket for each agent seen; the least recently used one makes room.
_MAX_AGENTS = 10_000
_MAX_HEADERS_KIB = 60
_MAX_CONNECTIONS = 10_000
# On one HTTP/2 connection. Each may hold a body while it is checked, so one client must not open them without end.
_MAX_STREAMS = 100
# Envoy reads past stray bytes after a chunk unless told not to; whoever stands before it may read them otherwise, and
# then a request hides in another.
_STRICT = {"envoy.reloadable_features.strict_chunk_parsing": True}
# A span is sent when it ends, and not when a few more or five seconds have come together: somebody watches.
_PROMPT = {"tracing.opentelemetry.min_flush_spans": 1, "tracing.opentelemetry.flush_interval_ms": 500}
_NOWHERE = {"address_prefix": "255.255.255.255", "prefix_len": 32}
# The gateway is the edge: it says where a request came from, and what it says of the agent, nobody else says
# (DESIGN §4 rule 8).
_OURS_TO_SAY = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-real-ip")

# In CEL a missing key is an error and an error in a log is `null`, so each step is asked for first.
_RETURNED = f"metadata.filter_metadata['{NAMESPACE}']"
_DENIED = (
    "response.code == 403 && (response.code_details.startsWith('rbac_access_denied') || "
    f"('{NAMESPACE}' in metadata.filter_metadata && 'authorization_denied' in {_RETURNED} && "
    f"{_RETURNED}.authorization_denied == true))"
)


def render(config: Config) -> Document:
    """The whole bootstrap document; raises ``ConfigurationError`` when the file has no ``gateway`` section."""
    gateway = config.gateway
    if gateway is None:
        raise ConfigurationError("The file has no `gateway` section; add one with at least one route.")
    return {
        "admin": {"address": _address(gateway.admin)},
        "static_resources": {
            "listeners": [_listener(config, gateway)],
            "clusters": _clusters(gateway),
        },
        "layered_runtime": {"layers": [{"name": "strict", "static_layer": {**_STRICT, **_PROMPT}}]},
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": _typed(
                        "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                        max_active_downstream_connections=_MAX_CONNECTIONS,
                    ),
                }
            ]
        },
    }


def _listener(config: Config, gateway: GatewayConfig) -> Document:
    largest_body = max(route.max_body_bytes for route in gateway.routes)
    return {
        "name": "gateway",
        "address": _address(gateway.listen),
        "per_connection_buffer_limit_bytes": max(largest_body, 1024 * 1024),
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": _connection_manager(config, gateway),
                    }
                ]
            }
        ],
    }


def _connection_manager(config: Config, gateway: GatewayConfig) -> Document:
    manager = _typed(
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="gateway",
        codec_type="AUTO",
        http2_protocol_options={"max_concurrent_streams": _MAX_STREAMS},
        # The peer's own address and a request id of ours, whatever the client claims. No address is internal:
        # x-envoy-* headers of a client are dropped.
        use_remote_address=True,
        internal_address_config={"cidr_ranges": [_NOWHERE]},
        # A signature is over the path as sent.
        normalize_path=False,
        merge_slashes=False,
        path_with_escaped_slashes_action="KEEP_UNCHANGED",
        max_request_headers_kb=_MAX_HEADERS_KIB,
        request_headers_timeout="10s",
        request_timeout="60s",
        stream_idle_timeout=_STREAM_IDLE,
        common_http_protocol_options={
            "idle_timeout": "3600s",
            # `x_aauth_agent` is `x-aauth-agent` to some servers.
            "headers_with_underscores_action": "DROP_HEADER",
        },
        early_header_mutation_extensions=[_drop_claims_of_the_client()],
        access_log=[_access_log()],
        local_reply_config=_local_replies(config),
        route_config=_routes(config, gateway),
        http_filters=_filters(gateway),
    )
    if gateway.otlp:
        manager["tracing"] = _tracing(gateway.otlp)
    return manager


def _drop_claims_of_the_client() -> Document:
    claims = {"remove_on_match": {"key_matcher": {"prefix": "x-aauth-", "ignore_case": True}}}
    return {
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": _typed(
            "extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
            mutations=[claims, *({"remove": name} for name in _OURS_TO_SAY)],
        ),
    }


# Filters: the order is the order of judgement.


def _filters(gateway: GatewayConfig) -> list[Document]:
    filters = [{"name": EXT_AUTHZ, "typed_config": _ext_authz(gateway)}]
    if gateway.rate_limit:
        filters.append({"name": RATE_LIMIT, "typed_config": _rate_limit(gateway.rate_limit)})
    filters.append({"name": RBAC, "typed_config": _typed("extensions.filters.http.rbac.v3.RBAC")})
    filters.append(
        {
            "name": "envoy.filters.http.router",
            "typed_config": _typed("extensions.filters.http.router.v3.Router", suppress_envoy_headers=True),
        }
    )
    return filters


def _ext_authz(gateway: GatewayConfig) -> Document:
    return _typed(
        "extensions.filters.http.ext_authz.v3.ExtAuthz",
        transport_api_version="V3",
        grpc_service={"envoy_grpc": {"cluster_name": "authz_grpc"}, "timeout": _CHECK_TIMEOUT},
        failure_mode_allow=False,
        status_on_error={"code": "ServiceUnavailable"},
        # Repeated header lines and bytes that are not UTF-8 reach the check as they are.
        encode_raw_headers=True,
        with_request_body=_body(max(route.max_body_bytes for route in gateway.routes)),
    )


def _body(limit: int) -> Document:
    return {"max_request_bytes": limit, "allow_partial_message": False, "pack_as_bytes": True}


def _rate_limit(limit: RateLimit) -> Document:
    # Verified, and there in both drafts: the agent, or the key a person's token vouches for (`metadata_of`).
    caller = {"key": NAMESPACE, "path": [{"key": "caller"}]}
    bucket = {"max_tokens": limit.burst, "tokens_per_fill": limit.requests, "fill_interval": _seconds(limit)}
    return _typed(
        "extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        stat_prefix="agents",
        # For requests without a verified caller (bare keys): a key is free to make, so they share one bucket.
        token_bucket=bucket,
        always_consume_default_token_bucket=False,
        filter_enabled={"default_value": {"numerator": 100}},
        filter_enforced={"default_value": {"numerator": 100}},
        # An entry without a value stands for every value, each with a bucket of its own.
        descriptors=[{"entries": [{"key": "caller"}], "token_bucket": bucket}],
        rate_limits=[{"actions": [{"metadata": {"descriptor_key": "caller", "metadata_key": caller}}]}],
        max_dynamic_descriptors=_MAX_AGENTS,
        response_headers_to_add=[_header("retry-after", str(math.ceil(limit.per.total_seconds())))],
    )


# Routes.


def _routes(config: Config, gateway: GatewayConfig) -> Document:
    return {
        "name": "resources",
        # The Host header is kept as sent; only the choice of the virtual host ignores the port.
        "ignore_port_in_host_matching": True,
        "virtual_hosts": [_virtual_host(config.resource(route.resource), route) for route in gateway.routes],
    }


def _virtual_host(resource: ResourceConfig, route: RouteConfig) -> Document:
    return {
        "name": resource.id,
        "domains": sorted({_without_port(host) for host in resource.hosts}),
        "routes": [
            *(_service_route(path, resource) for path in SERVICE_PATHS),
            *(_open_route(path, route) for path in route.open),
            *(_protected_route(path, resource, route) for path in route.protected),
        ],
    }


def _service_route(path: str, resource: ResourceConfig) -> Document:
    return {
        "name": f"{resource.id} service",
        "match": {"path": path},
        "route": {"cluster": "authz_http", "timeout": "10s"},
        "typed_per_filter_config": _unchecked(),
    }


def _open_route(path: str, route: RouteConfig) -> Document:
    reading = {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD|OPTIONS"}}}
    return {
        "name": f"{route.resource} open",
        "match": {**_open_match(path), "headers": [reading]},
        "route": {"cluster": _cluster_name(route), **_forwarding()},
        "typed_per_filter_config": _unchecked(),
    }


def _open_match(path: str) -> Document:
    """Everything below an open folder, but nothing a server could read as a way out of it."""
    if not path.endswith("/"):
        return {"path": path}
    return {"safe_regex": {"regex": re.escape(path) + r"(?:[A-Za-z0-9_~-][A-Za-z0-9._~-]*/?)*"}}


def _protected_route(path: str, resource: ResourceConfig, route: RouteConfig) -> Document:
    return {
        "name": f"{resource.id} protected",
        "match": {"prefix": path} if path.endswith("/") else {"path": path},
        "route": {"cluster": _cluster_name(route), **_forwarding()},
        "typed_per_filter_config": {
            EXT_AUTHZ: _typed(
                "extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
                check_settings={
                    "context_extensions": {"aauth_resource_id": resource.id},
                    "with_request_body": _body(route.max_body_bytes),
                },
            ),
            **_rules(resource),
        },
    }


def _rules(resource: ResourceConfig) -> Document:
    """The rules as alternatives: a request passes when one is true; without rules RBAC does nothing."""
    if not resource.policy.rules:
        return {}
    policies = {
        f"rules[{position}]": {
            "permissions": [{"any": True}],
            "principals": [{"any": True}],
            "condition": envoy_condition(rule),
        }
        for position, rule in enumerate(resource.policy.rules)
    }
    rbac = {"rules": {"action": "ALLOW", "policies": policies}}
    return {RBAC: _typed("extensions.filters.http.rbac.v3.RBACPerRoute", rbac=rbac)}


def _unchecked() -> Document:
    disabled = _typed("config.route.v3.FilterConfig", disabled=True)
    return {EXT_AUTHZ: disabled, RATE_LIMIT: disabled, RBAC: disabled}


def _forwarding() -> Document:
    return {
        # No limit on the whole answer (`Prefer: wait`, MCP streams); the idle limit finds dead ones.
        "timeout": "0s",
        "idle_timeout": _STREAM_IDLE,
        # Only where nothing was sent yet: a request is never delivered twice.
        "retry_policy": {"retry_on": "connect-failure,refused-stream,reset-before-request", "num_retries": 2},
    }


# Clusters.


def _clusters(gateway: GatewayConfig) -> list[Document]:
    clusters = [
        _cluster("authz_grpc", gateway.authz_grpc, http2=True),
        _cluster("authz_http", gateway.authz_http),
        *(_cluster(_cluster_name(route), route.upstream) for route in gateway.routes),
    ]
    if gateway.otlp:
        parts = urlsplit(gateway.otlp)
        collector = Address(host=parts.hostname or "", port=parts.port or 0)
        clusters.append(_cluster("otlp", collector, http2=parts.scheme == "grpc"))
    return clusters


def _cluster(name: str, address: Address, *, http2: bool = False) -> Document:
    protocol: Document = {"http2_protocol_options": {}} if http2 else {"http_protocol_options": {}}
    options = _typed(
        "extensions.upstreams.http.v3.HttpProtocolOptions",
        explicit_http_config=protocol,
        # Below the 5 s after which a Python server closes an idle connection: ours is given up first.
        common_http_protocol_options={"idle_timeout": "300s" if http2 else "4s"},
    )
    return {
        "name": name,
        "type": "STATIC" if is_address(address.host) else "STRICT_DNS",
        "connect_timeout": "2s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(address)}}]}],
        },
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
    }


def _cluster_name(route: RouteConfig) -> str:
    return f"upstream_{route.resource}"


# What Envoy answers itself, in the words of the rest of the system.

_CHECKED = "response.code_details == 'ext_authz_denied'"


@dataclass(frozen=True, kw_only=True)
class _Reply:
    """An answer of Envoy's own. ``status`` replaces the one Envoy chose."""

    when: str
    error: str
    description: str
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int | None = None


_REPLIES: tuple[_Reply, ...] = (
    _Reply(
        when="response.code_details.startsWith('rbac_access_denied')",
        error="authorization_denied",
        description="The request is verified, but the resource's policy does not allow it.",
    ),
    _Reply(
        when="response.code_details.startsWith('ext_authz_error')",
        error="temporarily_unavailable",
        description="The authorization service does not answer; try again shortly.",
        headers={"retry-after": "5"},
    ),
    _Reply(
        when="response.code == 413",
        error="payload_too_large",
        description="The body is larger than this resource takes; send less.",
    ),
    _Reply(
        when="response.code == 429",
        error="rate_limited",
        description="This agent sent too many requests; wait for the seconds in Retry-After.",
    ),
    _Reply(
        when="response.code_details == 'route_not_found'",
        error="not_found",
        description="The gateway knows no such host or path.",
    ),
    _Reply(
        when="response.code == 431",
        error="headers_too_large",
        description="The request headers are too large; send fewer or shorter ones.",
    ),
    # What the check answered stays as it is, here and below.
    _Reply(
        when=f"response.code == 400 && !({_CHECKED})",
        error="invalid_request",
        description="This is not a well-formed HTTP request.",
    ),
    _Reply(
        when="response.code == 426",
        error="http_version_not_supported",
        description="Speak HTTP/1.1 or HTTP/2.",
    ),
    # Envoy's 501 blames itself for what a client made up.
    _Reply(
        when="response.code == 501",
        error="invalid_request",
        description="Say the length of the body with Content-Length or Transfer-Encoding: chunked.",
        status=400,
    ),
    _Reply(
        when=f"response.code == 503 && !({_CHECKED})",
        error="upstream_unavailable",
        description="The service behind the gateway does not answer; try again shortly.",
        headers={"retry-after": "5"},
    ),
    _Reply(
        when="response.code == 504",
        error="upstream_timeout",
        description="The service behind the gateway took too long; try again.",
    ),
)


def _local_replies(config: Config) -> Document:
    """In the form of the draft that every resource speaks; where they differ, in the one all clients know."""
    problem = all(resource.draft.problem_details for resource in config.resources)
    return {"mappers": [_local_reply(reply, problem=problem) for reply in _REPLIES]}


def _local_reply(reply: _Reply, *, problem: bool) -> Document:
    body: Document = {"json_format": {"error": reply.error, "error_description": reply.description}}
    if problem:
        body = {
            "json_format": {"error": reply.error, "detail": reply.description},
            "content_type": "application/problem+json",
        }
    mapper: Document = {
        "filter": _when(reply.when),
        "body_format_override": body,
        "headers_to_add": [_header(name, value) for name, value in reply.headers.items()],
    }
    return mapper if reply.status is None else {**mapper, "status_code": reply.status}


def _when(condition: str) -> Document:
    return {
        "extension_filter": {
            "name": "envoy.access_loggers.extension_filters.cel",
            "typed_config": _typed("extensions.access_loggers.filters.cel.v3.ExpressionFilter", expression=condition),
        }
    }


# What Envoy reports.


def _access_log() -> Document:
    scheme, token = f"{_RETURNED}.scheme", f"{_RETURNED}.token_type"
    names = (
        f"{scheme} == 'jwt' ? ({token} == 'aa-auth+jwt' ? 'JwtAuth' : "
        f"({token} == 'aa-person+jwt' ? 'JwtPerson' : 'Jwt')) : "
        f"({scheme} == 'jwks_uri' ? 'JwksUri' : ({scheme} == 'hwk' ? 'Hwk' : {scheme}))"
    )
    fields = {
        "time": "%START_TIME%",
        "request_id": "%REQ(X-REQUEST-ID)%",
        "trace_id": "%TRACE_ID%",
        "aauth.scheme": f"%CEL({names})%",
        "aauth.agent": _metadata("agent"),
        "aauth.level": _metadata("level"),
        "aauth.sub": _metadata("sub"),
        "aauth.ps": _metadata("ps"),
        "aauth.jkt": _metadata("jkt"),
        "aauth.scope": _metadata("scope"),
        "token_audience": _metadata("aud"),
        "http.method": "%REQ(:METHOD)%",
        "http.host": "%REQ(:AUTHORITY)%",
        # Without the query: it may carry what does not belong into a log.
        "http.path": "%PATH(NQ:PATH)%",
        "http.status": "%RESPONSE_CODE%",
        "duration": "%DURATION%",
        "authorization_denied": f"%TYPED_CEL({_DENIED})%",
        "route": "%ROUTE_NAME%",
        "details": "%RESPONSE_CODE_DETAILS%",
        "flags": "%RESPONSE_FLAGS%",
    }
    return {
        "name": "envoy.access_loggers.stdout",
        "typed_config": _typed(
            "extensions.access_loggers.stream.v3.StdoutAccessLog",
            log_format={"json_format": fields},
        ),
    }


def _metadata(name: str) -> str:
    return f"%DYNAMIC_METADATA({NAMESPACE}:{name})%"


def _tracing(otlp: str) -> Document:
    parts = urlsplit(otlp)
    if parts.scheme == "grpc":
        exporter = {"grpc_service": {"envoy_grpc": {"cluster_name": "otlp"}, "timeout": "2s"}}
    else:
        uri = {"uri": f"{otlp}/v1/traces", "cluster": "otlp", "timeout": "2s"}
        exporter = {"http_service": {"http_uri": uri}}
    tags = ("level", "scheme", "token_type", "agent", "agent_server", "scope", "sub", "ps")
    return {
        "provider": {
            "name": "envoy.tracers.opentelemetry",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
                "service_name": "gateway",
                **exporter,
            },
        },
        "random_sampling": {"value": 100},
        "spawn_upstream_span": True,
        "custom_tags": [
            {
                "tag": f"aauth.{name}",
                "metadata": {"kind": {"request": {}}, "metadata_key": {"key": NAMESPACE, "path": [{"key": name}]}},
            }
            for name in tags
        ],
    }


# Small forms.


def _typed(name: str, **members: Any) -> Document:
    return {"@type": f"type.googleapis.com/envoy.{name}", **members}


def _address(address: Address) -> Document:
    return {"socket_address": {"address": address.host, "port_value": address.port}}


def _header(name: str, value: str) -> Document:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def _seconds(limit: RateLimit) -> str:
    return f"{limit.per.total_seconds():g}s"


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host
