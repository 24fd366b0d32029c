"""The one YAML file of the authorization service and the gateway (CONTRACT §7): read, checked, frozen.

Keys are the walkthrough's and keep their meaning. Unknown keys are refused with the nearest known name and every fault
carries the path of its key, so one run of ``aauth authz --check`` lists all there is to mend. Nothing is trusted
because a list was left empty: ``agent_servers`` is a list or the word ``any``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import urlsplit

from aauthkit import drafts, identifiers
from aauthkit.authz import reading
from aauthkit.authz.reading import Address, ConfigurationFaults, Section
from aauthkit.drafts import Draft
from aauthkit.errors import ConfigurationError, InvalidRequest
from aauthkit.resource.policy import Policy
from aauthkit.resource.settings import About
from aauthkit.trust import TrustedIssuer

T = TypeVar("T")

SCHEMES = ("hwk", "jwks_uri", "jwt")
AGENT_TOKEN, PERSON_TOKEN, AUTH_TOKEN = "aa-agent+jwt", "aa-person+jwt", "aa-auth+jwt"
# A session is between a resource and its agents: what stands behind the proxy keeps it, not the proxy.
Access = Literal["identity", "person-token", "auth-token"]
_ACCESS: tuple[Access, ...] = ("identity", "person-token", "auth-token")


@dataclass(frozen=True, kw_only=True)
class Listen:
    """Where the service listens."""

    grpc: Address
    http: Address


@dataclass(frozen=True, kw_only=True)
class JWKSCache:
    """How long what was fetched is remembered, and how many documents of each kind."""

    # Shorter than any key rotation should overlap, long enough that a fetch is rare.
    success_ttl: timedelta = timedelta(minutes=5)
    # A failing issuer is asked again soon, but not by every request.
    error_ttl: timedelta = timedelta(seconds=30)
    max_entries: int = 1000


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """The resource's own key; ``create`` allows the service to make it (0600) at first start."""

    kid: str
    algorithm: str
    private_key_file: Path
    create: bool = False


@dataclass(frozen=True, kw_only=True)
class ResourceConfig:
    """One protected resource."""

    id: str
    issuer: str
    hosts: tuple[str, ...]
    draft: Draft
    name: str | None
    about: About
    supported_scopes: tuple[str, ...]
    scope_descriptions: dict[str, str]
    default_resource_token_scopes: tuple[str, ...]
    signing_key: SigningKey | None
    signature_window: timedelta
    additional_signature_components: tuple[str, ...]
    allow_pseudonymous: bool
    strip_signature_headers: bool
    authority_override: str | None
    require: Access
    person_server: TrustedIssuer | None
    auth_servers: tuple[TrustedIssuer, ...]
    agent_servers: tuple[TrustedIssuer, ...] | Literal["any"]
    allowed_signature_key_schemes: tuple[str, ...]
    allowed_jwt_types: tuple[str, ...]
    accept_signature_algs: tuple[str, ...] | None
    policy: Policy


@dataclass(frozen=True, kw_only=True)
class RateLimit:
    """A token bucket for each verified agent: ``burst`` at once, ``requests`` more every ``per``."""

    requests: int
    per: timedelta
    burst: int


@dataclass(frozen=True, kw_only=True)
class RouteConfig:
    """What stands behind the gateway under one resource's hosts."""

    resource: str
    upstream: Address
    open: tuple[str, ...]
    protected: tuple[str, ...]
    max_body_bytes: int


@dataclass(frozen=True, kw_only=True)
class GatewayConfig:
    """The proxy in front: read by ``aauth gateway render``, not by the service."""

    listen: Address
    admin: Address
    authz_grpc: Address
    authz_http: Address
    otlp: str | None
    rate_limit: RateLimit | None
    routes: tuple[RouteConfig, ...]


@dataclass(frozen=True, kw_only=True)
class Config:
    """A whole file. ``development`` admits http and ports for loopback names (DESIGN §1)."""

    listen: Listen
    development: bool
    jwks_cache: JWKSCache
    resources: tuple[ResourceConfig, ...]
    gateway: GatewayConfig | None
    revocations: Path | None = None
    """Where withdrawn tokens are kept over a restart and shared by several processes; in memory without it."""

    def resource(self, identifier: str) -> ResourceConfig:
        """The resource with this id; a gateway route was checked to name an existing one."""
        return next(resource for resource in self.resources if resource.id == identifier)


def load(path: Path) -> Config:
    """Read and check a file; raises ``ConfigurationFaults`` with one line a fault."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigurationFaults([f"{path}: cannot be read ({reason})."]) from error
    return parse(text, base=path.parent)


def parse(text: str, *, base: Path) -> Config:
    """Check the text of a file; relative key files are relative to ``base``, the folder of the file."""
    faults: list[str] = []
    try:
        document = reading.load_yaml(text)
    except ConfigurationError as error:
        raise ConfigurationFaults([error.detail]) from error
    config = _file(Section(document, "", faults), base)
    if faults:
        raise ConfigurationFaults(faults)
    return config


def _file(top: Section, base: Path) -> Config:
    development = top.take("development", reading.boolean, False)
    listen = _listen(top.section("listen"))
    jwks_cache = _jwks_cache(top.section("jwks_cache"))
    resources = tuple(_resource(section, base, development) for section in top.sections("resources"))
    if not resources:
        top.fault("resources", "is required and lists at least one resource.")
    _check_unique(top, resources)
    gateway = _optional(top, "gateway", lambda section: _gateway(section, listen, resources))
    revocations = top.take("revocations", lambda value: base / reading.text(value), None)
    top.close()
    return Config(
        listen=listen,
        development=development,
        jwks_cache=jwks_cache,
        resources=resources,
        gateway=gateway,
        revocations=revocations,
    )


def _optional(section: Section, key: str, read: Callable[[Section], T]) -> T | None:
    found = section.optional(key)
    return None if found is None else read(found)


def _listen(section: Section) -> Listen:
    # Loopback unless the file says otherwise.
    listen = Listen(
        grpc=section.take("grpc", reading.address, Address(host="127.0.0.1", port=7070)),
        http=section.take("http", reading.address, Address(host="127.0.0.1", port=8081)),
    )
    section.close()
    return listen


def _jwks_cache(section: Section) -> JWKSCache:
    defaults = JWKSCache()
    cache = JWKSCache(
        success_ttl=section.take("success_ttl", reading.duration, defaults.success_ttl),
        error_ttl=section.take("error_ttl", reading.duration, defaults.error_ttl),
        max_entries=section.take("max_entries", reading.positive, defaults.max_entries),
    )
    section.close()
    return cache


def _resource(section: Section, base: Path, development: bool) -> ResourceConfig:
    identifier = _identifier(development)
    issuer = section.require("issuer", identifier, "https://resource.invalid")
    draft = section.take("draft", _draft, drafts.NATIVE)
    token_types = (AGENT_TOKEN, PERSON_TOKEN, AUTH_TOKEN) if draft.person_tokens else (AGENT_TOKEN, AUTH_TOKEN)
    algorithms = tuple(draft.jose_algorithms.values())
    allow_pseudonymous = section.take("allow_pseudonymous", reading.boolean, False)
    # AAuth-11 §11.3.2: agents use jwt and nothing else; draft 01 lets them publish their keys, too.
    usual = {"jwt"} if draft.person_tokens else {"jwt", "jwks_uri"}
    signed_schemes = tuple(name for name in SCHEMES if name in usual or (name == "hwk" and allow_pseudonymous))
    resource = ResourceConfig(
        id=section.require("id", reading.text, "?"),
        issuer=issuer,
        hosts=section.take("hosts", _hosts, _hosts_of(issuer)),
        draft=draft,
        name=_name(section),
        about=_about(section),
        supported_scopes=section.take("supported_scopes", _scopes, ()),
        scope_descriptions=section.take("scope_descriptions", _descriptions, {}),
        default_resource_token_scopes=section.take("default_resource_token_scopes", _scopes, ()),
        signing_key=_optional(section, "signing_key", lambda key: _signing_key(key, base)),
        # AAuth-01 "Verification (Server)": 60 seconds unless the resource says otherwise.
        signature_window=section.take("signature_window", _window, timedelta(seconds=60)),
        additional_signature_components=section.take("additional_signature_components", _components, ()),
        allow_pseudonymous=allow_pseudonymous,
        strip_signature_headers=section.take("strip_signature_headers", reading.boolean, False),
        authority_override=section.take("authority_override", _host, None),
        require=_access(section.section("access")),
        person_server=_optional(section, "person_server", lambda item: _server(item, development, domain=False)),
        auth_servers=tuple(_server(item, development, domain=False) for item in section.sections("auth_servers")),
        agent_servers=_agent_servers(section, development),
        allowed_signature_key_schemes=section.take(
            "allowed_signature_key_schemes", reading.some_of(*SCHEMES), signed_schemes
        ),
        allowed_jwt_types=section.take("allowed_jwt_types", reading.some_of(*token_types), token_types),
        accept_signature_algs=section.take("accept_signature_algs", reading.some_of(*algorithms), None),
        policy=_policy(section.section("policy")),
    )
    _check_resource(section, resource)
    section.close()
    return resource


def _name(section: Section) -> str | None:
    """The display name, under the name either draft gives it."""
    old, new = section.take("client_name", reading.text, None), section.take("name", reading.text, None)
    if old is not None and new is not None:
        section.fault("client_name", "is the older word for name; write one of them.")
    return new or old


def _about(section: Section) -> About:
    return About(
        description=section.take("description", reading.text, None),
        logo_uri=section.take("logo_uri", reading.text, None),
        logo_dark_uri=section.take("logo_dark_uri", reading.text, None),
        documentation_uri=section.take("documentation_uri", reading.text, None),
        tos_uri=section.take("tos_uri", reading.text, None),
        policy_uri=section.take("policy_uri", reading.text, None),
    )


def _access(section: Section) -> Access:
    require = section.take("require", reading.one_of(*_ACCESS), "identity")
    section.close()
    return next(known for known in _ACCESS if known == require)


def _signing_key(section: Section, base: Path) -> SigningKey:
    key = SigningKey(
        kid=section.require("kid", reading.text, "?"),
        algorithm=section.take("alg", reading.one_of("EdDSA", "Ed25519"), "Ed25519"),
        private_key_file=base / section.require("private_key_file", reading.text, "?"),
        create=section.take("create", reading.boolean, False),
    )
    if section.has("private_key_file") and not key.create and not key.private_key_file.is_file():
        section.fault("private_key_file", f"{key.private_key_file} does not exist; `create: true` makes it at start.")
    section.close()
    return key


def _policy(section: Section) -> Policy:
    # The walkthrough's files say `name: default`; there is one engine.
    section.take("name", reading.one_of("default"), "default")
    rules = section.take("rules", _rules, Policy(()))
    section.close()
    return rules


def _agent_servers(section: Section, development: bool) -> tuple[TrustedIssuer, ...] | Literal["any"]:
    if section.take("agent_servers", lambda value: value == "any", False):
        return "any"
    return tuple(_server(item, development, domain=True) for item in section.sections("agent_servers"))


def _server(section: Section, development: bool, *, domain: bool) -> TrustedIssuer:
    server = TrustedIssuer(
        issuer=section.require("issuer", _identifier(development), "https://issuer.invalid"),
        domain=section.take("domain", _domain, None) if domain else None,
        jwks_uri=section.take("jwks_uri", _endpoint(development), None),
    )
    section.close()
    return server


def _check_resource(section: Section, resource: ResourceConfig) -> None:
    """What has to agree between the keys of one resource."""
    schemes = resource.allowed_signature_key_schemes
    if "hwk" in schemes and not resource.allow_pseudonymous:
        section.fault("allowed_signature_key_schemes", "lists hwk, which needs `allow_pseudonymous: true`.")
    if not resource.agent_servers and {"jwt", "jwks_uri"} & set(schemes):
        section.fault("agent_servers", "is required: list the agent providers to trust, or write `any`.")
    for name in ("default_resource_token_scopes", "scope_descriptions"):
        unknown = sorted(set(getattr(resource, name)) - set(resource.supported_scopes))
        if unknown:
            section.fault(name, f"names {', '.join(unknown)}, which supported_scopes does not list.")
    if resource.require == "person-token" and not resource.draft.person_tokens:
        section.fault("access.require", f"cannot be person-token in draft {resource.draft.name}, which has none.")
    if resource.require != "identity":
        _check_token_resource(section, resource)
    if resource.require == "auth-token":
        _check_auth_token_resource(section, resource)


def _check_token_resource(section: Section, resource: ResourceConfig) -> None:
    """What both a required person token and a required auth token need."""
    because = f"`access.require: {resource.require}`"
    # Draft 01 needs the one server that tokens are asked of; draft 11 learns it from the person token.
    listed = resource.draft.person_tokens and resource.auth_servers
    if resource.person_server is None and not listed:
        section.fault("person_server", f"is required by {because}.")
    first = PERSON_TOKEN if resource.draft.person_tokens else AUTH_TOKEN
    needed = {first, AUTH_TOKEN} if resource.require == "auth-token" else {first}
    for name in sorted(needed - set(resource.allowed_jwt_types)):
        section.fault("allowed_jwt_types", f"must list {name} for {because}.")
    if "jwt" not in resource.allowed_signature_key_schemes:
        section.fault("allowed_signature_key_schemes", f"must list jwt for {because}.")


def _check_auth_token_resource(section: Section, resource: ResourceConfig) -> None:
    if resource.signing_key is None:
        section.fault("signing_key", "is required by `access.require: auth-token`.")
    if not resource.default_resource_token_scopes:
        section.fault("default_resource_token_scopes", "is required by `access.require: auth-token`.")


def _check_unique(top: Section, resources: tuple[ResourceConfig, ...]) -> None:
    seen_ids: set[str] = set()
    seen_hosts: dict[str, str] = {}
    for position, resource in enumerate(resources):
        if resource.id in seen_ids:
            top.fault(f"resources[{position}].id", f"{resource.id} is used by another resource.")
        seen_ids.add(resource.id)
        for host in resource.hosts:
            if seen_hosts.setdefault(host, resource.id) != resource.id:
                top.fault(f"resources[{position}].hosts", f"{host} belongs to the resource {seen_hosts[host]}.")


def _gateway(section: Section, listen: Listen, resources: tuple[ResourceConfig, ...]) -> GatewayConfig:
    max_body_bytes = section.take("max_body_bytes", reading.positive, 1024 * 1024)
    gateway = GatewayConfig(
        listen=section.take("listen", reading.address, Address(host="127.0.0.1", port=3000)),
        admin=section.take("admin", _loopback, Address(host="127.0.0.1", port=15000)),
        authz_grpc=section.take("authz_grpc", reading.address, listen.grpc.reachable()),
        authz_http=section.take("authz_http", reading.address, listen.http.reachable()),
        otlp=section.take("otlp", _collector, None),
        rate_limit=_optional(section, "rate_limit", _rate_limit),
        routes=tuple(_route(item, resources, max_body_bytes) for item in section.sections("routes")),
    )
    if not gateway.routes:
        section.fault("routes", "is required and lists at least one route.")
    section.close()
    return gateway


def _rate_limit(section: Section) -> RateLimit:
    requests = section.require("requests", reading.positive, 1)
    limit = RateLimit(
        requests=requests,
        per=section.take("per", reading.duration, timedelta(seconds=1)),
        burst=section.take("burst", reading.positive, requests),
    )
    # Envoy refills no bucket more often than every 50 ms.
    if limit.per < timedelta(milliseconds=50):
        section.fault("per", "must be 50ms or more.")
    section.close()
    return limit


def _route(section: Section, resources: tuple[ResourceConfig, ...], max_body_bytes: int) -> RouteConfig:
    route = RouteConfig(
        resource=section.require("resource", reading.one_of(*(resource.id for resource in resources)), ""),
        upstream=section.require("upstream", _upstream, Address(host="127.0.0.1", port=1)),
        open=section.take("open", _paths, ()),
        protected=section.take("protected", _paths, ("/",)),
        max_body_bytes=section.take("max_body_bytes", reading.positive, max_body_bytes),
    )
    section.close()
    return route


# Values: each reads one, or raises ConfigurationError / InvalidRequest with what it must be.


def _identifier(development: bool) -> Callable[[object], str]:
    def read(value: object) -> str:
        return _development_hint(lambda: identifiers.server_identifier(value, development=development), development)

    return read


def _endpoint(development: bool) -> Callable[[object], str]:
    def read(value: object) -> str:
        return _development_hint(lambda: identifiers.endpoint_url(value, development=development), development)

    return read


def _development_hint(read: Callable[[], str], development: bool) -> str:
    try:
        return read()
    except InvalidRequest as error:
        hint = "" if development else " For loopback names, `development: true` admits http and ports."
        raise ConfigurationError(f"{error.detail}{hint}") from error


def _host(value: object) -> str:
    host = reading.text(value).lower()
    if not host.isascii() or any(character in host for character in " /?#@\\,*"):
        raise ConfigurationError("must be a host name, with :port where the port belongs to it.")
    return host


def _hosts(value: object) -> tuple[str, ...]:
    return tuple(_host(item) for item in reading.texts(value))


def _hosts_of(issuer: str) -> tuple[str, ...]:
    parts = urlsplit(issuer)
    return tuple(dict.fromkeys((parts.hostname or "", parts.netloc)))


def _domain(value: object) -> str:
    return identifiers.AgentIdentifier.parse(f"aauth:any@{value}").domain


def _draft(value: object) -> Draft:
    return drafts.draft_named(reading.text(value))


def _window(value: object) -> timedelta:
    window = reading.duration(value)
    # A longer window would have to be remembered by the replay cache, and clocks are better than that.
    if not timedelta(seconds=1) <= window <= timedelta(minutes=10):
        raise ConfigurationError("must be between 1s and 10m.")
    return window


def _scopes(value: object) -> tuple[str, ...]:
    scopes = reading.texts(value)
    for scope in scopes:
        # RFC 6749 §3.3: visible ASCII without the double quote and the backslash.
        if not scope.isascii() or not scope.isprintable() or any(character in scope for character in ' "\\'):
            raise ConfigurationError(f"{scope!r} is not a scope: visible ASCII without spaces and quotes.")
    return scopes


def _descriptions(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ConfigurationError("must map each scope to a sentence.")
    return {reading.text(scope): reading.text(sentence) for scope, sentence in value.items()}


def _components(value: object) -> tuple[str, ...]:
    components = reading.texts(value)
    for component in components:
        if component != component.lower() or not component.isascii() or '"' in component or " " in component:
            raise ConfigurationError(f"{component!r} is not a component name; write it in lower case.")
    return components


def _rules(value: object) -> Policy:
    rules = reading.texts(value)
    if not rules:
        raise ConfigurationError("lists no rule; leave it out to admit every verified request.")
    return Policy.compile(rules)


_PATH = re.compile(r"/|(?:/[A-Za-z0-9._~!$&'()*+,;=:@-]+)+/?")


def _paths(value: object) -> tuple[str, ...]:
    """Exact paths; one that ends in ``/`` stands for everything below it."""
    paths = reading.texts(value)
    for path in paths:
        if not _PATH.fullmatch(path):
            raise ConfigurationError(f"{path!r} is not a path: it starts with / and has no query, no %, no empty part.")
    return paths


def _upstream(value: object) -> Address:
    upstream = reading.address(value)
    if upstream.port == 0:
        raise ConfigurationError("must name a port.")
    return upstream.reachable()


def _loopback(value: object) -> Address:
    found = reading.address(value)
    if not identifiers.is_loopback(found.host):
        raise ConfigurationError("must be a loopback address: whoever reaches the admin page controls the gateway.")
    return found


def _collector(value: object) -> str:
    url = reading.text(value)
    parts = urlsplit(url)
    if parts.scheme not in ("http", "grpc") or not parts.hostname or not parts.port:
        raise ConfigurationError("must be http://host:4318 (OTLP over HTTP) or grpc://host:4317.")
    return url.rstrip("/")
