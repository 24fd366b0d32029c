"""What the UI is told at start: where backend, identity provider and person server are, in which mode and draft the
demo was started. Never read again afterwards."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from aauthkit.errors import ConfigurationError
from aauthkit.identifiers import origin_of

# The names the two servers are known by in the demo (CONTRACT §1).
_ISSUER = "http://localhost:8080/realms/aauth-test"
_BACKEND = "http://localhost:8000"
_PERSON_SERVER = "http://127.0.0.1:8765"
# Passes the person on to the person server when an agent behind it needs them.
_SUPPLY_CHAIN = "http://supply-chain-agent.localhost:3000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Addresses the page may talk to; everything else is refused by its content security policy."""

    host: str = "127.0.0.1"
    port: int = 3050
    issuer: str = _ISSUER
    client_id: str = "supply-chain-ui"
    backend: str = _BACKEND
    person_server: str = _PERSON_SERVER
    supply_chain: str = _SUPPLY_CHAIN
    mode: str = "autonomous"
    draft: str = "01"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        host, port = _listen(environment.get("AAUTH_LISTEN", "127.0.0.1:3050"))
        return cls(
            host=host,
            port=port,
            issuer=_url("AAUTH_OIDC_ISSUER", environment.get("AAUTH_OIDC_ISSUER", _ISSUER)),
            client_id=environment.get("AAUTH_OIDC_CLIENT", "supply-chain-ui"),
            backend=_origin("AAUTH_BACKEND", environment.get("AAUTH_BACKEND", _BACKEND)),
            person_server=_origin("AAUTH_PERSON_SERVER", environment.get("AAUTH_PERSON_SERVER", _PERSON_SERVER)),
            supply_chain=_origin("AAUTH_SUPPLY_CHAIN", environment.get("AAUTH_SUPPLY_CHAIN", _SUPPLY_CHAIN)),
            mode=_word("AAUTH_MODE", environment.get("AAUTH_MODE", "autonomous")),
            draft=_word("AAUTH_DRAFT", environment.get("AAUTH_DRAFT", "01")),
        )

    def for_page(self) -> dict[str, str]:
        """What ``/config.json`` tells the scripts; public by nature."""
        return {
            "issuer": self.issuer,
            "client_id": self.client_id,
            "backend": self.backend,
            "person_server": self.person_server,
            "supply_chain": self.supply_chain,
            "mode": self.mode,
            "draft": self.draft,
        }


def _listen(value: str) -> tuple[str, int]:
    host, _, port = value.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ConfigurationError(f"AAUTH_LISTEN is host:port, for example 127.0.0.1:3050; it is {value!r}.")
    return host.strip("[]"), int(port)


def _word(name: str, value: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]{1,32}", value):
        raise ConfigurationError(f"{name} is one word, such as user-consent or 11; it is {value!r}.")
    return value


def _url(name: str, value: str) -> str:
    value = value.rstrip("/")
    # Printable ASCII without what ends a directive: the origin becomes part of a policy header.
    plain = value.isascii() and value.isprintable() and not any(mark in value for mark in " ;,'\"\\")
    if not plain or urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname:
        raise ConfigurationError(f"{name} is an http or https URL; it is {value!r}.")
    return value


def _origin(name: str, value: str) -> str:
    value = _url(name, value)
    if origin_of(value) != value:
        raise ConfigurationError(f"{name} is an origin without a path; it is {value!r}.")
    return value
