"""The names of the protocol: server identifiers, agent identifiers, endpoint URLs; parsed strictly, never resolved.

AAuth-11 §11.1: a server identifier is an https origin without port, path, query or fragment, in lower case.
With ``development`` on, ``http`` and ports are accepted for loopback names only (DESIGN §1).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

from aauthkit.errors import InvalidRequest

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_LOCAL_PART = re.compile(r"[A-Za-z0-9\-_+.]{1,255}")
_MAX_URL = 2048


def is_address(host: str) -> bool:
    """Whether a host is an address literal, without brackets."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether a host name or address literal means this machine: localhost, *.localhost, 127.0.0.0/8, ::1."""
    bare = host.strip("[]").rstrip(".").lower()
    if bare == "localhost" or bare.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return False


def server_identifier(value: object, *, development: bool) -> str:
    """Return ``value`` when it is a server identifier; raises ``InvalidRequest`` otherwise."""
    return _server_identifier(_printable(value, "server identifier"), development)


def endpoint_url(value: object, *, development: bool) -> str:
    """Return ``value`` when it may be called as an endpoint: https, no query, no fragment, no user name."""
    return _endpoint_url(_printable(value, "endpoint URL"), development)


# A server meets the same few issuers and endpoints in every request. Errors are not remembered.
@lru_cache(maxsize=1024)
def _server_identifier(value: str, development: bool) -> str:
    parts = _split(value, "server identifier")
    _check_scheme_and_host(parts, development=development, kind="server identifier")
    if value != value.lower():
        raise InvalidRequest("A server identifier is written in lower case.")
    if parts.path or parts.query or parts.fragment or value.endswith(("?", "#")):
        raise InvalidRequest("A server identifier has no path, query or fragment, and no trailing slash.")
    return value


@lru_cache(maxsize=1024)
def _endpoint_url(value: str, development: bool) -> str:
    parts = _split(value, "endpoint URL")
    _check_scheme_and_host(parts, development=development, kind="endpoint URL")
    if parts.query or parts.fragment or value.endswith(("?", "#")):
        raise InvalidRequest("An endpoint URL has no query and no fragment.")
    return value


def origin_of(url: str) -> str:
    """The origin (scheme, host, port as written) of an absolute URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


@lru_cache(maxsize=1024)
def host_of(identifier: str) -> str:
    """The host of a server identifier, without a port."""
    return urlsplit(identifier).hostname or ""


@dataclass(frozen=True, slots=True)
class AgentIdentifier:
    """``aauth:local@domain`` (AAuth-11 §5.2); compared as an exact string, upper and lower case kept apart."""

    local: str
    domain: str

    def __str__(self) -> str:
        return f"aauth:{self.local}@{self.domain}"

    @classmethod
    def parse(cls, value: object) -> AgentIdentifier:
        """Read an agent identifier; raises ``InvalidRequest`` with what is wrong."""
        if not isinstance(value, str) or not value.startswith("aauth:"):
            raise InvalidRequest("An agent identifier has the form aauth:local@domain.")
        local, at, domain = value.removeprefix("aauth:").partition("@")
        if not at or not _LOCAL_PART.fullmatch(local):
            raise InvalidRequest("The local part of an agent identifier is 1 to 255 of A-Z a-z 0-9 - _ + . characters.")
        if len(domain) > 253 or not _HOST_NAME.fullmatch(domain):
            raise InvalidRequest("The domain of an agent identifier is a lower-case host name without scheme or port.")
        return cls(local, domain)


def _printable(value: object, kind: str) -> str:
    if isinstance(value, str) and 0 < len(value) <= _MAX_URL and value.isascii() and value.isprintable():
        return str(value)
    raise InvalidRequest(f"A {kind} is a printable ASCII URL of at most {_MAX_URL} characters.")


def _split(value: str, kind: str) -> SplitResult:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError as error:
        raise InvalidRequest(f"The {kind} is not a URL.") from error
    if not parts.hostname or "\\" in value or " " in value:
        raise InvalidRequest(f"The {kind} is not an absolute URL.")
    return parts


def _check_scheme_and_host(parts: SplitResult, *, development: bool, kind: str) -> None:
    host = parts.hostname or ""
    if "@" in parts.netloc:
        raise InvalidRequest(f"A {kind} carries no user name.")
    # One spelling: no upper case, no empty port or leading zeros, nothing around the brackets of an address.
    if parts.netloc != _netloc(host, parts.port):
        raise InvalidRequest(f"The host of a {kind} is written in lower case, its port as a plain number.")
    relaxed = development and is_loopback(host)
    if not relaxed:
        if parts.scheme != "https":
            raise InvalidRequest(f"A {kind} uses https.")
        if kind == "server identifier" and ":" in parts.netloc:
            raise InvalidRequest("A server identifier has no port.")
    if parts.scheme not in ("https", "http"):
        raise InvalidRequest(f"A {kind} uses https.")
    if not _HOST_NAME.fullmatch(host) and not is_address(host):
        raise InvalidRequest(f"The host of the {kind} is not a valid name.")


def _netloc(host: str, port: int | None) -> str:
    literal = f"[{host}]" if ":" in host else host
    return literal if port is None else f"{literal}:{port}"
