"""What the backend is told at start, read once from the environment.

It never reads the environment again and never guesses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit


class BadSetting(ValueError):
    """A setting that cannot work; raised at start, in words, never at the first request."""


SCHEMES = ("jwt", "jwks_uri")
MODES = ("identity", "autonomous", "user-consent")
DRAFTS = ("01", "11")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting with its default. The defaults are the demo's own ports (CONTRACT §1)."""

    host: str = "127.0.0.1"
    port: int = 8000
    state: Path = Path(".aauth/backend")
    provider: str = "http://127.0.0.1:8765"
    draft: str = "01"
    mode: str = "autonomous"
    scheme: str = "jwt"
    ticket: str | None = field(default=None, repr=False)
    oidc_issuer: str = "http://localhost:8080/realms/aauth-test"
    oidc_client: str = "supply-chain-ui"
    gateway: str = "http://127.0.0.1:3000"
    supply_chain: str = "http://supply-chain-agent.localhost:3000"
    ui_origins: tuple[str, ...] = ("http://localhost:3050", "http://127.0.0.1:3050")
    traces: str | None = None
    """Where spans are received and read again (`aauthkit.demo.traces`); without it runs have no trace."""
    traces_key: str = field(default="", repr=False)

    @property
    def market_analysis(self) -> str:
        """Where the market-analysis agent answers: behind the same gateway, by its own host name."""
        return f"http://market-analysis-agent.localhost:{urlsplit(self.gateway).port or 80}"

    @property
    def names(self) -> dict[str, str]:
        """What people call the parts that this one calls, by address."""
        behind_gateway = (self.supply_chain, self.market_analysis)
        addresses = {urlsplit(url).netloc: "the gateway" for url in behind_gateway}
        return {urlsplit(self.provider).netloc: "the person server", **addresses}

    @property
    def published_identifier(self) -> str:
        """The backend's own server identifier under the scheme jwks_uri."""
        return f"http://backend.localhost:{self.port}"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        default = cls()
        host, port = _listen(environment.get("AAUTH_LISTEN", f"{default.host}:{default.port}"))
        return cls(
            host=host,
            port=port,
            state=Path(environment.get("AAUTH_STATE", str(default.state))),
            provider=_origin(environment, "AAUTH_PROVIDER", default.provider),
            draft=_one_of(environment, "AAUTH_DRAFT", default.draft, DRAFTS),
            mode=_one_of(environment, "AAUTH_MODE", default.mode, MODES),
            scheme=_one_of(environment, "AAUTH_SCHEME", default.scheme, SCHEMES),
            ticket=environment.get("AAUTH_TICKET") or None,
            oidc_issuer=_url(environment, "AAUTH_OIDC_ISSUER", default.oidc_issuer),
            oidc_client=environment.get("AAUTH_OIDC_CLIENT", default.oidc_client),
            gateway=_origin(environment, "AAUTH_GATEWAY", default.gateway),
            supply_chain=_origin(environment, "AAUTH_SUPPLY_CHAIN", default.supply_chain),
            ui_origins=_origins(environment.get("AAUTH_UI_ORIGINS")) or default.ui_origins,
            **_traces(environment),
        )


def _traces(environment: Mapping[str, str]) -> dict[str, str]:
    if not environment.get("AAUTH_TRACES"):
        return {}
    file = Path(environment.get("AAUTH_TRACES_KEY", ""))
    try:
        key = file.read_text().strip()
    except OSError:
        raise BadSetting(f"AAUTH_TRACES_KEY must name the file with the receiver's key; it is {str(file)!r}.") from None
    return {"traces": _origin(environment, "AAUTH_TRACES", ""), "traces_key": key}


def _listen(value: str) -> tuple[str, int]:
    host, _, port = value.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise BadSetting(f"AAUTH_LISTEN must be host:port, for example 127.0.0.1:8000; it is {value!r}.")
    return host.strip("[]"), int(port)


def _one_of(environment: Mapping[str, str], name: str, default: str, known: tuple[str, ...]) -> str:
    value = environment.get(name, default)
    if value not in known:
        raise BadSetting(f"{name} must be one of {', '.join(known)}; it is {value!r}.")
    return value


def _url(environment: Mapping[str, str], name: str, default: str) -> str:
    value = environment.get(name, default).rstrip("/")
    if urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname:
        raise BadSetting(f"{name} must be an http or https URL; it is {value!r}.")
    return value


def _origin(environment: Mapping[str, str], name: str, default: str) -> str:
    value = _url(environment, name, default)
    if urlsplit(value).path:
        raise BadSetting(f"{name} must be an origin without a path; it is {value!r}.")
    return value


def _origins(value: str | None) -> tuple[str, ...]:
    """A JSON list, or origins separated by commas: both are easy to write in an environment variable."""
    if not value:
        return ()
    if value.lstrip().startswith("["):
        try:
            names = json.loads(value)
        except ValueError:
            raise BadSetting("AAUTH_UI_ORIGINS is not a JSON list of origins.") from None
    else:
        names = value.split(",")
    return tuple(_origin({"AAUTH_UI_ORIGINS": str(name).strip()}, "AAUTH_UI_ORIGINS", "") for name in names)
