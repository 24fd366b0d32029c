"""What a resource is configured with: one frozen value, checked at start; it verifies nothing itself.

A resource speaks one draft. Whom it trusts and what it requires have no defaults, since each would fail open when
forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from urllib.parse import urlsplit

from aauthkit.drafts import NATIVE, Draft
from aauthkit.errors import ConfigurationError, InvalidRequest, UntrustedIssuer
from aauthkit.identifiers import endpoint_url, server_identifier
from aauthkit.keys import PrivateKey
from aauthkit.tokens import agent as agent_tokens
from aauthkit.tokens import auth as auth_tokens
from aauthkit.tokens import person as person_tokens
from aauthkit.trust import Trust
from aauthkit.verify import DEFAULT_WINDOW, Requirements

# RFC 6749 §3.3 `scope-token`.
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_NO_DESCRIPTIONS: Mapping[str, str] = MappingProxyType({})


class Require(StrEnum):
    """What a request must show (AAuth-11 §6; CONTRACT §7 `access.require`), in the order they ask more of an agent."""

    IDENTITY = "identity"
    """Who calls: an agent token."""
    SESSION = "session-token"
    """Who calls, and what the resource itself remembers having settled with the person (§6.2, §6.3)."""
    PERSON_TOKEN = "person-token"
    """For whom: a person token, or an auth token, which names the person too."""
    AUTH_TOKEN = "auth-token"
    """What the person or a policy allowed."""


@dataclass(frozen=True, kw_only=True)
class About:
    """What a resource says of itself to people (AAuth-11 §11.2); every address is https."""

    description: str | None = None
    """Markdown."""
    logo_uri: str | None = None
    logo_dark_uri: str | None = None
    documentation_uri: str | None = None
    tos_uri: str | None = None
    policy_uri: str | None = None

    @property
    def members(self) -> dict[str, str]:
        """The members of the metadata document."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One protected resource.

    ``issuer`` is its server identifier, ``default_scopes`` are what a challenge asks for, ``person_server`` pins whose
    people it serves (otherwise any of ``auth_issuers``).
    """

    issuer: str
    require: Require
    agent_providers: Trust
    auth_issuers: Trust
    """Who may issue person tokens and auth tokens."""
    draft: Draft = NATIVE
    development: bool = False
    hosts: tuple[str, ...] = ()
    """Further authorities it answers to, besides that of ``issuer``."""
    signing_key: PrivateKey | None = None
    person_server: str | None = None
    name: str | None = None
    """For people; the draft says what it is called in the metadata."""
    about: About = field(default_factory=About)
    scopes: tuple[str, ...] = ()
    scope_descriptions: Mapping[str, str] = field(default_factory=lambda: _NO_DESCRIPTIONS)
    default_scopes: tuple[str, ...] = ()
    schemes: frozenset[str] = frozenset({"jwt"})
    algorithms: tuple[str, ...] | None = None
    """JOSE names of the algorithms accepted of a caller's key, preferred first; ``None`` is every one of the draft."""
    allow_pseudonymous: bool = False
    """Whether a bare key (`hwk`, `jkt-jwt`) is identity enough; without it such callers are asked who they are."""
    token_types: frozenset[str] = frozenset({agent_tokens.TYP, person_tokens.TYP, auth_tokens.TYP})
    cover: tuple[str, ...] = ()
    window: timedelta = DEFAULT_WINDOW
    authority_override: str | None = None
    authorization_path: str = "/resource/token"
    revocation_path: str | None = "/aauth/revocation"
    """Where issuers revoke tokens for this resource; ``None`` where nobody can (§11.12)."""

    def __post_init__(self) -> None:
        server_identifier(self.issuer, development=self.development)
        unknown = [scope for scope in self.default_scopes if scope not in self.known_scopes]
        if unknown:
            raise ConfigurationError(f"{self.issuer} asks by default for scopes it does not describe: {unknown}.")
        wrong = [scope for scope in self.known_scopes if not _SCOPE.fullmatch(scope)]
        if wrong:
            raise ConfigurationError(f"{self.issuer} names scopes that cannot be scopes: {wrong}.")
        self._check_algorithms()
        self._check_about()
        if self.person_server is not None:
            self._check_person_server(self.person_server)
        if self.require is Require.PERSON_TOKEN:
            self._check_person_token_settings()
        if self.require is Require.AUTH_TOKEN:
            self._check_auth_token_settings()

    def _check_algorithms(self) -> None:
        spoken = set(self.draft.jose_algorithms.values())
        if self.algorithms is not None and not (self.algorithms and spoken.issuperset(self.algorithms)):
            raise ConfigurationError(f"{self.issuer} can accept these algorithms: {', '.join(sorted(spoken))}.")

    def _check_about(self) -> None:
        for name, value in self.about.members.items():
            if name == "description":
                continue
            try:
                # §11.1.2: https; unlike an endpoint's, its query may say something.
                endpoint_url(value.partition("?")[0].partition("#")[0], development=False)
            except InvalidRequest as error:
                raise ConfigurationError(f"{self.issuer}: {name} must be an https address.") from error

    def _check_person_server(self, person_server: str) -> None:
        try:
            server_identifier(person_server, development=self.development)
            self.auth_issuers.admit(person_server)
        except (InvalidRequest, UntrustedIssuer) as error:
            raise ConfigurationError(
                f"{self.issuer} sends agents to {person_server} but would not accept its auth tokens: {error.detail}"
            ) from error

    def _check_person_token_settings(self) -> None:
        self._check_needs(
            "person tokens",
            {
                "a draft that has them": self.draft.person_tokens,
                "issuers of person tokens to trust": self.auth_issuers != Trust.nobody(),
                "the scheme jwt": "jwt" in self.schemes,
                "person tokens among its token types": person_tokens.TYP in self.token_types,
            },
        )

    def _check_auth_token_settings(self) -> None:
        """What would otherwise refuse every caller, one challenge after the other."""
        first = person_tokens.TYP if self.draft.person_tokens else agent_tokens.TYP
        self._check_needs(
            "auth tokens",
            {
                "a signing key": self.signing_key is not None,
                "default scopes to ask for": bool(self.default_scopes),
                "issuers of auth tokens to trust": self.auth_issuers != Trust.nobody(),
                "the scheme jwt": "jwt" in self.schemes,
                f"{first} and {auth_tokens.TYP} among its token types": {first, auth_tokens.TYP} <= self.token_types,
            },
        )

    def _check_needs(self, required: str, needs: Mapping[str, bool]) -> None:
        missing = [need for need, there in needs.items() if not there]
        if missing:
            raise ConfigurationError(f"{self.issuer} requires {required}, so it needs {' and '.join(missing)}.")

    @cached_property
    def known_scopes(self) -> frozenset[str]:
        """Every scope this resource may put in a resource token."""
        return frozenset(self.scopes) | frozenset(self.scope_descriptions)

    @cached_property
    def is_revocable(self) -> bool:
        """Whether tokens are taken here that an issuer may revoke here: not agent tokens (§11.12.2)."""
        return self.auth_issuers != Trust.nobody() and bool({person_tokens.TYP, auth_tokens.TYP} & self.token_types)

    @cached_property
    def issues(self) -> bool:
        """Whether it can issue resource tokens: it then has an authorization endpoint."""
        redeemable = self.auth_issuers != Trust.nobody() or not self.draft.person_tokens
        return self.signing_key is not None and bool(self.known_scopes) and redeemable

    @cached_property
    def authorization_require(self) -> Require:
        """What the authorization endpoint asks for: nobody who comes there has an auth token yet (§6.6)."""
        return Require.PERSON_TOKEN if self.draft.person_tokens else Require.IDENTITY

    @cached_property
    def accepted_algorithms(self) -> tuple[str, ...]:
        """JOSE names of the algorithms accepted of a caller's key, preferred first."""
        return self.algorithms or tuple(self.draft.jose_algorithms.values())

    @cached_property
    def requirements(self) -> Requirements:
        """What ``verify_request`` is asked for."""
        own = urlsplit(self.issuer).netloc
        names = {jose: name for name, jose in self.draft.jose_algorithms.items()}
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
            algorithms=frozenset(names[jose] for jose in self.accepted_algorithms),
            window=self.window,
            authority=self.authority_override,
        )

    @cached_property
    def requirements_with_session(self) -> Requirements:
        """The same for a request that shows a session token, which is worth nothing unless it is signed (§6.3)."""
        return replace(self.requirements, cover=tuple(dict.fromkeys((*self.cover, "authorization"))))
