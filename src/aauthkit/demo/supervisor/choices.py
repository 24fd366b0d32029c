"""What a person chooses when starting the demo, and where its parts live. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aauthkit.drafts import draft_named
from aauthkit.errors import ConfigurationError

MODES = ("identity", "autonomous", "user-consent")
DRAFTS = ("01", "11")
SCHEMES = ("jwt", "jwks_uri")
DEVELOPMENT_IDP = "dev"
KEYCLOAK = "keycloak"

HOST = "127.0.0.1"
PERSON_SERVER = f"http://{HOST}:8765"
TRACES = f"http://{HOST}:3051"
AGENT_DOMAIN = "agent-server.example"
GATEWAY_PORT = 3000
BACKEND_IDENTIFIER = "http://backend.localhost:8000"
DEVELOPMENT_ISSUER = "http://localhost:8080/realms/aauth-test"


@dataclass(frozen=True, kw_only=True)
class Choices:
    """One way to run the demo; raises `ConfigurationError` for a combination that has no meaning."""

    state: Path
    mode: str = "autonomous"
    draft: str = "01"
    scheme: str = "jwt"
    idp: str = DEVELOPMENT_IDP
    open_consent: bool = False
    # Where traces go besides to the page, if anywhere: OTLP over HTTP.
    collector: str | None = None

    def __post_init__(self) -> None:
        draft_named(self.draft)
        if self.scheme == "jwks_uri" and (self.mode != "identity" or self.draft != "01"):
            raise ConfigurationError("--scheme jwks_uri belongs to --mode identity on draft 01 (nothing is exchanged)")
        if not self.brings_people and not self.idp.startswith(("http://", "https://")):
            raise ConfigurationError(
                f"--idp is '{DEVELOPMENT_IDP}', '{KEYCLOAK}' or the URL of an OpenID Connect issuer"
            )

    @property
    def brings_people(self) -> bool:
        """Whether the demo starts the identity provider itself; both kinds serve the same realm and people."""
        return self.idp in (DEVELOPMENT_IDP, KEYCLOAK)

    @property
    def issuer(self) -> str:
        """The OpenID Connect issuer people sign in at."""
        return DEVELOPMENT_ISSUER if self.brings_people else self.idp
