"""What an agent or the tools are told at start, read once from the environment. A mistake ends the start, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from aauthkit.errors import ConfigurationError
from aauthkit.identifiers import is_loopback

MODES = ("identity", "autonomous", "user-consent")
DRAFTS = ("01", "11")
SCHEMES = ("jwt", "jwks_uri")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One process's settings. `name` is also its host name before `.localhost` and the folder of its state.

    `publisher` is the one agent that may sign with a key it publishes itself (scheme `jwks_uri`): the backend.
    """

    name: str
    host: str
    port: int
    state: Path
    provider: str
    agent_domain: str
    draft: str
    mode: str
    scheme: str
    gateway: str
    publisher: str
    ticket: str | None = field(default=None, repr=False)
    revocations: Path | None = None
    """What the gateway's authorization service was told is withdrawn; nothing is known where it is not given."""

    @property
    def issuer(self) -> str:
        """This process's own identifier: its name at the gateway, which is what callers sign."""
        return self.peer(self.name)

    @property
    def loopback_only(self) -> bool:
        return is_loopback(self.host)

    @property
    def needs_auth_token(self) -> bool:
        return self.mode != "identity"

    def peer(self, name: str) -> str:
        """The origin of another part behind the same gateway."""
        return f"http://{name}.localhost:{urlsplit(self.gateway).port or 80}"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], *, name: str, port: int) -> Settings:
        host, chosen = _listen(environment.get("AAUTH_LISTEN") or f"127.0.0.1:{port}")
        return cls(
            name=name,
            host=host,
            port=chosen,
            state=Path(environment.get("AAUTH_STATE") or f".aauth/{name}"),
            provider=_origin(environment, "AAUTH_PROVIDER", "http://127.0.0.1:8765"),
            agent_domain=environment.get("AAUTH_AGENT_DOMAIN") or "agent-server.example",
            draft=_one_of(environment, "AAUTH_DRAFT", DRAFTS, "01"),
            mode=_one_of(environment, "AAUTH_MODE", MODES, "autonomous"),
            scheme=_one_of(environment, "AAUTH_SCHEME", SCHEMES, "jwt"),
            gateway=_origin(environment, "AAUTH_GATEWAY", "http://127.0.0.1:3000"),
            publisher=_origin(environment, "AAUTH_BACKEND", "http://backend.localhost:8000"),
            ticket=environment.get("AAUTH_TICKET") or None,
            revocations=Path(revocations) if (revocations := environment.get("AAUTH_REVOCATIONS")) else None,
        )


def _listen(value: str) -> tuple[str, int]:
    host, _, port = value.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise ConfigurationError(f"AAUTH_LISTEN must be host:port, for example 127.0.0.1:9999; it is {value!r}.")
    return host.strip("[]"), int(port)


def _one_of(environment: Mapping[str, str], name: str, known: tuple[str, ...], default: str) -> str:
    value = environment.get(name) or default
    if value not in known:
        raise ConfigurationError(f"{name} must be one of {', '.join(known)}; it is {value!r}.")
    return value


def _origin(environment: Mapping[str, str], name: str, default: str) -> str:
    value = (environment.get(name) or default).rstrip("/")
    try:
        parts = urlsplit(value)
        usable = (
            parts.scheme in ("http", "https") and parts.hostname and not (parts.path or parts.query) and parts.port != 0
        )
    except ValueError:
        usable = False
    if not usable:
        raise ConfigurationError(f"{name} must be an origin such as {default}; it is {value!r}.")
    return value
