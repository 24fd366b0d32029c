"""The person server's settings, checked when they are made. Each default is argued here."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlsplit

from aauthkit.errors import ConfigurationError, InvalidRequest
from aauthkit.identifiers import endpoint_url, server_identifier
from aauthkit.trust import Trust

# Whatever the rules say, this scope asks the person every time (CONTRACT §3).
ALWAYS_ASK = frozenset({"require:user"})


@dataclass(frozen=True, kw_only=True)
class OpenIDSettings:
    """The identity provider at which people sign in."""

    issuer: str
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    """None for a public client, which PKCE protects."""
    accepted_clients: frozenset[str] = frozenset()
    """Further clients whose access tokens of a person are accepted as that person's, for automation."""


@dataclass(frozen=True, kw_only=True)
class PersonServerSettings:
    """Who the server is, whom it believes, and how long it waits."""

    issuer: str
    development: bool
    openid: OpenIDSettings
    resources: Trust
    """Whose resource tokens are judged: a list, or explicitly any (then fetched under egress admission)."""
    open_consent: bool = False
    """Anybody on this machine decides for the person. For test harnesses; loopback only."""
    decision_time: timedelta = timedelta(minutes=10)
    """A person has at least this long (CONTRACT §6)."""
    collection_time: timedelta = timedelta(minutes=10)
    """How long an approved request waits for its agent, for instance while this server restarts."""
    remembered: timedelta = timedelta(hours=24)
    """How long a person is not asked again for what they agreed to. A day: the life of an agent token."""
    longest_wait: timedelta = timedelta(seconds=45)
    """The longest answer to `Prefer: wait`: below the minute at which proxies give up."""
    poll_interval: timedelta = timedelta(seconds=1)
    """Polling without waiting more often than this is told to slow down."""
    session_time: timedelta = timedelta(hours=8)
    """A working day; then the identity provider is asked again."""
    login_time: timedelta = timedelta(minutes=10)
    wrong_codes: int = 10
    wrong_code_window: timedelta = timedelta(minutes=10)

    def __post_init__(self) -> None:
        try:
            server_identifier(self.issuer, development=self.development)
            endpoint_url(self.openid.issuer, development=self.development)
        except InvalidRequest as error:
            raise ConfigurationError(f"The person server cannot start: {error.detail}") from error

    @property
    def authority(self) -> str:
        return urlsplit(self.issuer).netloc

    @property
    def consent_page(self) -> str:
        """Where agents send people: `{url}?code={code}` (draft 01, User Interaction)."""
        return f"{self.issuer}/ui/consent.html"

    def metadata(self) -> dict[str, object]:
        """`/.well-known/aauth-person.json` (draft 01, Person Server Metadata)."""
        return {
            "issuer": self.issuer,
            "token_endpoint": f"{self.issuer}/token",
            "interaction_endpoint": self.consent_page,
            "jwks_uri": f"{self.issuer}/.well-known/jwks.json",
            "scopes_supported": sorted(ALWAYS_ASK),
            "claims_supported": ["sub"],
        }
