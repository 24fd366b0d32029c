"""What `aauth person serve` was told, checked together before anything starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from aauthkit.errors import ConfigurationError
from aauthkit.identifiers import is_loopback


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """What `serve` was told, checked together before anything starts."""

    listen: str
    issuer: str
    state: Path
    agent_domain: str
    oidc_issuer: str
    oidc_client: str
    bearer_clients: tuple[str, ...] = ()
    trusted_resources: tuple[str, ...] = ("any",)
    trusted_intermediaries: tuple[str, ...] = ()
    unasked_resources: tuple[str, ...] = ()
    longest_remembered: str | None = None
    """A duration such as `8h`; None lets people say until they take it back."""
    database: str | None = None
    development: bool = False
    open_consent: bool = False

    @property
    def address(self) -> tuple[str, int]:
        host, colon, port = self.listen.rpartition(":")
        if not colon or not port.isdigit() or not host:
            raise ConfigurationError("--listen takes HOST:PORT, for example 127.0.0.1:8765.")
        return host.strip("[]"), int(port)

    def check(self) -> None:
        host, _ = self.address
        if not self.development and urlsplit(self.issuer).scheme != "https":
            raise ConfigurationError("An http issuer is for development on loopback only; add --development.")
        if self.open_consent and not (is_loopback(host) and is_loopback(urlsplit(self.issuer).hostname or "")):
            raise ConfigurationError(
                "--open-consent lets anybody decide, so it needs loopback for --listen and --issuer."
            )
