"""The protected resources of one file as the check needs them: keys loaded, trust decided, chosen by id or by host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aauthkit.authz.config import Config, ResourceConfig, SigningKey
from aauthkit.authz.reading import ConfigurationFaults
from aauthkit.errors import AAuthError
from aauthkit.keys import PrivateKey
from aauthkit.resource.policy import Policy
from aauthkit.resource.settings import Require, Resource
from aauthkit.trust import Trust, TrustedIssuer

KeyOf = Callable[[SigningKey], PrivateKey]


@dataclass(frozen=True, kw_only=True)
class ProtectedResource:
    """A resource, its policy, and what the proxy strips for it."""

    id: str
    settings: Resource
    policy: Policy
    strip_signature_headers: bool


class Resources:
    """All resources of a file."""

    def __init__(self, resources: tuple[ProtectedResource, ...], hosts: dict[str, ProtectedResource]) -> None:
        self._by_id = {resource.id: resource for resource in resources}
        self._by_host = hosts

    def find(self, identifier: str | None, authority: str) -> ProtectedResource | None:
        """CONTRACT §7: by the context extension when the proxy sends one, else by host; ``None`` when unknown."""
        if identifier is not None:
            return self._by_id.get(identifier)
        return self.at(authority)

    def at(self, authority: str) -> ProtectedResource | None:
        """The resource that answers to a Host value, as written or without its port."""
        host = authority.strip().lower()
        return self._by_host.get(host) or self._by_host.get(_without_port(host))


def check(config: Config) -> None:
    """Everything ``build`` would find wrong, without making a key file; raises ``ConfigurationFaults``."""
    _build(config, _key_or_stand_in)


def build(config: Config) -> Resources:
    """Load keys and settings; raises ``ConfigurationFaults``, so a wrong file is refused before anything changes."""
    return _build(config, _private_key)


def _build(config: Config, key_of: KeyOf) -> Resources:
    faults: list[str] = []
    resources: list[ProtectedResource] = []
    hosts: dict[str, ProtectedResource] = {}
    for position, entry in enumerate(config.resources):
        try:
            resource = _resource(entry, config.development, key_of)
        except AAuthError as error:
            faults.append(f"resources[{position}]: {error.detail}")
            continue
        resources.append(resource)
        hosts.update(dict.fromkeys(entry.hosts, resource))
    if faults:
        raise ConfigurationFaults(faults)
    return Resources(tuple(resources), hosts)


def _resource(entry: ResourceConfig, development: bool, key_of: KeyOf) -> ProtectedResource:
    settings = Resource(
        issuer=entry.issuer,
        require=Require(entry.require),
        draft=entry.draft,
        agent_providers=Trust.any() if entry.agent_servers == "any" else Trust.only(entry.agent_servers),
        auth_issuers=_auth_issuers(entry),
        development=development,
        hosts=entry.hosts,
        signing_key=key_of(entry.signing_key) if entry.signing_key else None,
        person_server=entry.person_server.issuer if entry.person_server else None,
        name=entry.name,
        about=entry.about,
        scopes=entry.supported_scopes,
        scope_descriptions=entry.scope_descriptions,
        default_scopes=entry.default_resource_token_scopes,
        schemes=frozenset(entry.allowed_signature_key_schemes),
        allow_pseudonymous=entry.allow_pseudonymous,
        algorithms=entry.accept_signature_algs,
        token_types=frozenset(entry.allowed_jwt_types),
        cover=entry.additional_signature_components,
        window=entry.signature_window,
        authority_override=entry.authority_override,
    )
    return ProtectedResource(
        id=entry.id,
        settings=settings,
        policy=entry.policy,
        strip_signature_headers=entry.strip_signature_headers,
    )


def _auth_issuers(entry: ResourceConfig) -> Trust:
    """The person server is one of them; with neither, nobody's auth tokens count."""
    person_server: tuple[TrustedIssuer, ...] = (entry.person_server,) if entry.person_server else ()
    return Trust.only((*entry.auth_servers, *person_server))


def _private_key(key: SigningKey) -> PrivateKey:
    if key.create:
        return PrivateKey.load_or_create(key.private_key_file, kid=key.kid)
    return PrivateKey.load(key.private_key_file, kid=key.kid)


def _key_or_stand_in(key: SigningKey) -> PrivateKey:
    if key.create and not key.private_key_file.exists():
        return PrivateKey.generate(kid=key.kid)
    return PrivateKey.load(key.private_key_file, kid=key.kid)


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host
