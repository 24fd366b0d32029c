"""What `aauth person serve` was told, checked together before anything starts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aauthkit.errors import ConfigurationError
from aauthkit.identifiers import is_loopback
from aauthkit.person_server.notification.mail import MailSettings
from aauthkit.person_server.sign_in.passkeys import has_a_name


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """What `serve` was told, checked together before anything starts."""

    listen: str
    issuer: str
    state: Path
    agent_domain: str
    oidc_issuer: str | None = None
    oidc_client: str | None = None
    bearer_clients: tuple[str, ...] = ()
    admin_role: str | None = None
    role_claims: tuple[str, ...] = ()
    oidc_recheck: int = 60
    oidc_outage: int = 900
    trusted_resources: tuple[str, ...] = ("any",)
    trusted_intermediaries: tuple[str, ...] = ()
    unasked_resources: tuple[str, ...] = ()
    step_up: tuple[str, ...] = ()
    """Scopes, or prefixes before `*`, that need a fresh sign-in, beside those of `AAUTH_STEP_UP_SCOPES`."""
    step_up_minutes: int = 5
    session_minutes: int = 480
    idle_minutes: int = 60
    longest_remembered: str | None = None
    """A duration such as `8h`; None lets people say until they take it back."""
    smtp: str | None = None
    """The mail server; None sends no mail."""
    smtp_sender: str | None = None
    database: str | None = None
    development: bool = False
    open_consent: bool = False
    retention_days: int = 90
    """How long what is over can still be looked up; a quarter, since people ask about last month."""
    list_enrolments: bool | None = None
    """Whether everybody is shown the agents that wait; None is yes in development and no otherwise."""

    @property
    def address(self) -> tuple[str, int]:
        host, colon, port = self.listen.rpartition(":")
        if not colon or not port.isdigit() or not host:
            raise ConfigurationError("--listen takes HOST:PORT, for example 127.0.0.1:8765.")
        return host.strip("[]"), int(port)

    @property
    def mail(self) -> MailSettings | None:
        """Raises ``ConfigurationError`` when it is not whole."""
        if self.smtp is None:
            if self.smtp_sender is not None:
                raise ConfigurationError("--smtp-sender says whom mail comes from; name the mail server with --smtp.")
            return None
        return MailSettings.of(self.smtp, sender=self.smtp_sender, password=os.environ.get("AAUTH_SMTP_PASSWORD"))

    @property
    def lists_enrolments(self) -> bool:
        # Who sees a stranger's agent can let it in as theirs; on one's own machine there are no strangers.
        return self.development if self.list_enrolments is None else self.list_enrolments

    def check(self) -> None:
        host, _ = self.address
        _ = self.mail
        if (self.oidc_issuer is None) != (self.oidc_client is None):
            raise ConfigurationError(
                "--oidc-issuer and --oidc-client belong together; without both, people use passkeys."
            )
        if self.oidc_issuer is None and self.bearer_clients:
            raise ConfigurationError("--bearer-client needs the identity provider whose tokens are meant.")
        if self.oidc_issuer is None and not has_a_name(self.issuer):
            raise ConfigurationError(
                f"Browsers make no passkeys for the IP address in {self.issuer}. Use a name, such as "
                "http://localhost:8765 in development, or name an identity provider with --oidc-issuer."
            )
        if not self.development and urlsplit(self.issuer).scheme != "https":
            raise ConfigurationError("An http issuer is for development on loopback only; add --development.")
        if self.open_consent and not (is_loopback(host) and is_loopback(urlsplit(self.issuer).hostname or "")):
            raise ConfigurationError(
                "--open-consent lets anybody decide, so it needs loopback for --listen and --issuer."
            )


# For a try: a name that browsers make passkeys for, and the domain the examples expect.
DEVELOPMENT_ISSUER, _DEVELOPMENT_DOMAIN = "http://localhost:8765", "agent-server.example"


def with_defaults(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with what follows from others; raises `ConfigurationError` where nothing does."""
    development = bool(options["development"])
    issuer = options["issuer"] or (DEVELOPMENT_ISSUER if development else None)
    if issuer is None:
        raise ConfigurationError("Say with --issuer what this server is called, or add --development for a try.")
    domain = options["agent_domain"] or (_DEVELOPMENT_DOMAIN if development else urlsplit(issuer).hostname or "")
    return {**options, "issuer": issuer, "agent_domain": domain}
