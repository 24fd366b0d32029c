"""What a resource is configured with: one frozen value, checked at start; it verifies nothing itself.

A resource speaks one draft. Whom it trusts and what it requires have no defaults, since each would fail open when
forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from urllib.parse import urlsplit

from aauthkit.drafts import Draft
from aauthkit.errors import ConfigurationError, InvalidRequest, UntrustedIssuer
from aauthkit.identifiers import server_identifier
from aauthkit.keys import PrivateKey
from aauthkit.tokens import agent as agent_tokens
from aauthkit.tokens import auth as auth_tokens
from aauthkit.trust import Trust
from aauthkit.verify import DEFAULT_WINDOW, Requirements

# RFC 6749 §3.3 `scope-token`.
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_NO_DESCRIPTIONS: Mapping[str, str] = MappingProxyType({})


class Require(StrEnum):
    """What a request must show (CONTRACT §7 `access.require`): who calls, or also what a person or policy allowed."""

    IDENTITY = "identity"
    AUTH_TOKEN = "auth-token"


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One protected resource.

    ``issuer`` is its server identifier, ``default_scopes`` are what a challenge asks for, ``person_server`` pins the
    audience of resource tokens (otherwise the agent's own `ps` claim decides).
    """

    issuer: str
    require: Require
    draft: Draft
    agent_providers: Trust
    auth_issuers: Trust
    development: bool = False
    hosts: tuple[str, ...] = ()
    """Further authorities it answers to, besides that of ``issuer``."""
    signing_key: PrivateKey | None = None
    person_server: str | None = None
    client_name: str | None = None
    scopes: tuple[str, ...] = ()
    scope_descriptions: Mapping[str, str] = field(default_factory=lambda: _NO_DESCRIPTIONS)
    default_scopes: tuple[str, ...] = ()
    schemes: frozenset[str] = frozenset({"jwt"})
    allow_pseudonymous: bool = False
    """Whether a bare key (`hwk`, `jkt-jwt`) is identity enough; without it such callers are asked who they are."""
    token_types: frozenset[str] = frozenset({agent_tokens.TYP, auth_tokens.TYP})
    cover: tuple[str, ...] = ()
    window: timedelta = DEFAULT_WINDOW
    authority_override: str | None = None
    authorization_path: str = "/resource/token"

    def __post_init__(self) -> None:
        server_identifier(self.issuer, development=self.development)
        unknown = [scope for scope in self.default_scopes if scope not in self.known_scopes]
        if unknown:
            raise ConfigurationError(f"{self.issuer} asks by default for scopes it does not describe: {unknown}.")
        wrong = [scope for scope in self.known_scopes if not _SCOPE.fullmatch(scope)]
        if wrong:
            raise ConfigurationError(f"{self.issuer} names scopes that cannot be scopes: {wrong}.")
        if self.person_server is not None:
            self._check_person_server(self.person_server)
        if self.require is Require.AUTH_TOKEN:
            self._check_auth_token_settings()

    def _check_person_server(self, person_server: str) -> None:
        try:
            server_identifier(person_server, development=self.development)
            self.auth_issuers.admit(person_server)
        except (InvalidRequest, UntrustedIssuer) as error:
            raise ConfigurationError(
                f"{self.issuer} sends agents to {person_server} but would not accept its auth tokens: {error.detail}"
            ) from error

    def _check_auth_token_settings(self) -> None:
        """What would otherwise refuse every caller, one challenge after the other."""
        needs = {
            "a signing key": self.signing_key is not None,
            "default scopes to ask for": bool(self.default_scopes),
            "issuers of auth tokens to trust": self.auth_issuers != Trust.nobody(),
            "the scheme jwt": "jwt" in self.schemes,
            "agent tokens and auth tokens among its token types": {agent_tokens.TYP, auth_tokens.TYP}
            <= self.token_types,
        }
        missing = [need for need, there in needs.items() if not there]
        if missing:
            raise ConfigurationError(f"{self.issuer} requires auth tokens, so it needs {' and '.join(missing)}.")

    @cached_property
    def known_scopes(self) -> frozenset[str]:
        """Every scope this resource may put in a resource token."""
        return frozenset(self.scopes) | frozenset(self.scope_descriptions)

    @cached_property
    def requirements(self) -> Requirements:
        """What ``verify_request`` is asked for."""
        own = urlsplit(self.issuer).netloc
        return Requirements(
            authorities=frozenset({own, *(host.lower() for host in self.hosts)}),
            drafts=(self.draft,),
            schemes=self.schemes,
            token_types=self.token_types,
            agent_providers=self.agent_providers,
            auth_issuers=self.auth_issuers,
            audience=self.issuer,
            development=self.development,
            cover=self.cover,
            window=self.window,
            authority=self.authority_override,
        )
