"""What the development identity provider is told at start. Never read again afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from aauthkit.errors import ConfigurationError

DEFAULT_ISSUER = "http://localhost:8080/realms/aauth-test"
# The two names a browser on this machine uses for it: a person types either, and cookies and redirects tell them apart.
DEFAULT_UI_ORIGINS = ("http://localhost:3050", "http://127.0.0.1:3050")
DEFAULT_PERSON_SERVER_ORIGINS = ("http://127.0.0.1:8765", "http://localhost:8765")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one realm; the origins decide which redirects and which cross-origin calls are accepted."""

    state: Path
    issuer: str = DEFAULT_ISSUER
    ui_origins: tuple[str, ...] = DEFAULT_UI_ORIGINS
    person_server_origins: tuple[str, ...] = DEFAULT_PERSON_SERVER_ORIGINS
    # An hour, as the demo's auth tokens: long enough for a walk through, short enough to see a renewal.
    token_lifetime: timedelta = timedelta(hours=1)
    # RFC 6749 §4.1.2 allows ten minutes; the browser comes back within a second.
    code_lifetime: timedelta = timedelta(minutes=1)
    # A working day: signing in again in the middle of one teaches nothing.
    session_lifetime: timedelta = timedelta(hours=10)
    # As Keycloak's offline sessions when nobody uses them.
    offline_lifetime: timedelta = timedelta(days=30)
    # Failed logins a minute an account (CONTRACT §6).
    failed_logins_per_minute: int = 20

    def __post_init__(self) -> None:
        parts = urlsplit(self.issuer)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
            raise ConfigurationError("The issuer is an absolute http(s) URL without query or fragment.")
        if not parts.path.startswith("/realms/") or parts.path.endswith("/"):
            raise ConfigurationError("The issuer's path is /realms/<name>, without a trailing slash.")
        for origin in (*self.ui_origins, *self.person_server_origins):
            if urlsplit(origin).netloc == "" or urlsplit(origin).path:
                raise ConfigurationError(f"{origin!r} is not an origin; write scheme://host:port.")

    @property
    def realm_path(self) -> str:
        return urlsplit(self.issuer).path

    @property
    def origin(self) -> str:
        parts = urlsplit(self.issuer)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def secure(self) -> bool:
        return self.issuer.startswith("https:")
