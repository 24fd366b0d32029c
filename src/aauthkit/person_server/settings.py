"""The person server's settings, checked when they are made. Each default is argued here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from urllib.parse import urlsplit

from aauthkit.drafts import SIGNATURE_ALGORITHMS
from aauthkit.errors import ConfigurationError, InvalidRequest
from aauthkit.identifiers import endpoint_url, server_identifier
from aauthkit.trust import Trust

# Whatever the rules say, this scope asks the person every time (CONTRACT §3).
ALWAYS_ASK = frozenset({"require:user"})

# AAuth-11 §11.10: identity scopes put claims about the person into an auth token, and only after they agreed to that.
# `sub` is in every token of that draft, so `openid` adds none.
IDENTITY_SCOPES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"openid": (), "profile": ("preferred_username",), "email": ("email",)}
)

# Where agents send what, by metadata member. Draft 01's `token_endpoint` and draft 11's `auth_token_endpoint` are one.
ENDPOINTS: Mapping[str, str] = MappingProxyType(
    {
        "token_endpoint": "/token",
        "auth_token_endpoint": "/token",
        "person_token_endpoint": "/person",
        "revocation_endpoint": "/revoke",
        "interaction_endpoint": "/interaction",
        "permission_endpoint": "/permission",
    }
)

# Metadata and keys together: whoever aims us at a slow server holds a request no longer than this.
DISCOVERY_SECONDS = 2.8


@dataclass(frozen=True, kw_only=True)
class OpenIDSettings:
    """The identity provider at which people sign in."""

    issuer: str
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    """None for a public client, which PKCE protects."""
    accepted_clients: frozenset[str] = frozenset()
    """Further clients whose access tokens of a person are accepted as that person's, for automation."""
    role_claims: tuple[str, ...] = ("realm_access.roles", "roles", "groups")
    """Where a token says which roles and groups its person has: Keycloak's, and the usual names elsewhere."""
    admin_role: str | None = None
    """Whoever has this role or is in this group is an administrator; without a name nobody is."""
    recheck: timedelta = timedelta(minutes=1)
    """For how long a look at the provider is believed: whoever is disabled there loses their agents' next token after
    it. A minute, so that an agent that asks for many tokens costs the provider one request a minute."""
    outage: timedelta = timedelta(minutes=15)
    """For how long the last look stands while the provider does not answer; then agents get nothing until it does.
    Long enough for a restart, shorter than a token lives. Zero lets nothing pass that was not looked at."""


@dataclass(frozen=True, kw_only=True)
class PersonServerSettings:
    """Who the server is, whom it believes, and how long it waits."""

    issuer: str
    development: bool
    openid: OpenIDSettings | None
    """Without an identity provider people sign in with passkeys alone."""
    resources: Trust
    """Whose resource tokens are judged: a list, or explicitly any (then fetched under egress admission)."""
    intermediaries: Trust = field(default_factory=Trust.nobody)
    """Which resources may act onwards for the people whose tokens they were shown (AAuth-11 §10.1).

    Not the list of resources: whoever is believed about its own scopes is not thereby let in to ask for tokens, and an
    intermediary is its own agent provider, so that `any` would let everybody's keys through the first door.
    """
    name: str = "aauthkit person server"
    most_resources: int = 100
    """At how many resources one agent may ask to act within ``remembered``; each keeps a directed `sub` (§7.1)."""
    tokens_a_minute: int = 300
    """Person and auth tokens of one agent: one holds for an hour, so this is hundreds of resources at once.

    Each is a row in the audit log, which is one chain.
    """
    open_consent: bool = False
    """Anybody on this machine decides for the person. For test harnesses; loopback only."""
    decision_time: timedelta = timedelta(minutes=10)
    """A person has at least this long (CONTRACT §6)."""
    collection_time: timedelta = timedelta(minutes=10)
    """How long an approved request waits for its agent, for instance while this server restarts."""
    remembered: timedelta = timedelta(hours=24)
    """How long a person is not asked again for what they agreed to without saying how long. A day: the life of an agent
    token."""
    longest_remembered: timedelta | None = None
    """The longest a person may choose. None: until they take it back, as their agents are theirs."""
    left_out: timedelta = timedelta(minutes=10)
    """How long an agent hears `denied` when it asks again for a scope its person left out; then they are asked anew.
    As long as they had to decide; they can end it at once in the page."""
    longest_wait: timedelta = timedelta(seconds=45)
    """The longest answer to `Prefer: wait`: below the minute at which proxies give up."""
    poll_interval: timedelta = timedelta(seconds=1)
    """Polling without waiting more often than this is told to slow down."""
    session_time: timedelta = timedelta(hours=8)
    """A working day; then the person signs in again, whatever they do meanwhile."""
    session_idle: timedelta = timedelta(hours=1)
    """How long a browser may be left alone: a lunch, not a night. An open page that looks for news is no use of it."""
    login_time: timedelta = timedelta(minutes=10)
    step_up_time: timedelta = timedelta(minutes=5)
    """For how long somebody who proved who they are may do what is risky: one sitting, not a coffee."""
    challenge_time: timedelta = timedelta(minutes=5)
    """How long a browser has to answer: finding the telephone that holds the passkey takes a minute or two."""
    setup_time: timedelta = timedelta(hours=1)
    """How long the link printed at start is good; a new start prints a new one."""
    invitation_time: timedelta = timedelta(days=1)
    """An invitation is passed on by message, and read the next morning."""
    failed_sign_ins: int = 20
    """Failed passkeys an address, before it is told to wait; a good one is let in all the same."""
    failed_sign_in_window: timedelta = timedelta(minutes=10)
    clarification_time: timedelta = timedelta(minutes=2)
    """How long an agent has to answer a question of its person, who sits and waits for it."""
    clarification_rounds: int = 5
    """How often a person may ask an agent about one request (AAuth-11 §7.5.3 recommends five)."""
    wrong_codes: int = 10
    wrong_code_window: timedelta = timedelta(minutes=10)

    def __post_init__(self) -> None:
        try:
            server_identifier(self.issuer, development=self.development)
            if self.openid is not None:
                endpoint_url(self.openid.issuer, development=self.development)
        except InvalidRequest as error:
            raise ConfigurationError(f"The person server cannot start: {error.detail}") from error
        if self.longest_remembered is not None and self.remembered > self.longest_remembered:
            raise ConfigurationError("The person server cannot start: remembered is longer than longest_remembered.")

    @property
    def authority(self) -> str:
        return urlsplit(self.issuer).netloc

    @property
    def consent_page(self) -> str:
        """Where agents send people: `{url}?code={code}` (draft 01, User Interaction)."""
        return f"{self.issuer}/ui/consent.html"

    def metadata(self) -> dict[str, object]:
        """`/.well-known/aauth-person.json` (AAuth-11 §11.2.2, with the members of draft 01 beside)."""
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/.well-known/jwks.json",
            "name": self.name,
            "accept_signature_algs": list(SIGNATURE_ALGORITHMS),
            **{member: f"{self.issuer}{path}" for member, path in ENDPOINTS.items()},
            "scopes_supported": sorted({*ALWAYS_ASK, *IDENTITY_SCOPES}),
            "claims_supported": ["sub", *(claim for claims in IDENTITY_SCOPES.values() for claim in claims)],
        }
