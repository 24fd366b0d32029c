"""The applications that may send people here, and where they may be sent back to. None has a secret: all are public."""

from __future__ import annotations

from dataclasses import dataclass

from aauthkit.demo.idp.settings import Settings

# OpenID Connect Core §11: a refresh token that outlives the login, for whoever asks for it.
OFFLINE = "offline_access"
SCOPES = ("openid", "profile", "email", OFFLINE)
# As in Keycloak: granted to every client whatever it asks for, so an access token always has the person's name.
DEFAULT_SCOPES = ("profile", "email")
PERSON_SERVER_CLIENT = "aauth-person-server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A registered application, with the method names Authlib asks its clients for."""

    client_id: str
    name: str
    # Compared as whole strings.
    redirect_uris: tuple[str, ...] = ()
    # "scheme://host:port/": any path of that application. The closing slash fixes the authority: no other host matches.
    redirect_prefixes: tuple[str, ...] = ()
    # Where it may have browsers sent after signing out, beside those.
    signed_out_uris: tuple[str, ...] = ()
    grants: tuple[str, ...] = ("authorization_code", "refresh_token")

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> None:
        """None: a request names its redirect, so that it is bound to the code."""

    def get_allowed_scope(self, scope: str | None) -> str:
        asked = {*scope.split(), *DEFAULT_SCOPES} if scope else {"openid", *DEFAULT_SCOPES}
        return " ".join(name for name in SCOPES if name in asked)

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        if redirect_uri in self.redirect_uris:
            return True
        return _is_plain(redirect_uri) and redirect_uri.startswith(self.redirect_prefixes)

    def check_signed_out_uri(self, uri: str) -> bool:
        return uri in self.signed_out_uris or self.check_redirect_uri(uri)

    def check_client_secret(self, client_secret: str) -> bool:
        return False

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "none"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.grants


def clients(settings: Settings) -> dict[str, Client]:
    """The realm's clients by id (CONTRACT §1)."""
    registered = (
        Client(
            client_id="supply-chain-ui",
            name="Supply Chain",
            redirect_prefixes=tuple(f"{origin}/" for origin in settings.ui_origins),
            # The password grant is here for test harnesses, and only because these passwords are public knowledge.
            grants=("authorization_code", "refresh_token", "password"),
        ),
        Client(
            client_id=PERSON_SERVER_CLIENT,
            name="Person Server",
            redirect_uris=tuple(f"{origin}/ui/callback" for origin in settings.person_server_origins),
            signed_out_uris=tuple(f"{origin}/ui/signed-out" for origin in settings.person_server_origins),
        ),
    )
    return {client.client_id: client for client in registered}


def _is_plain(uri: str) -> bool:
    # RFC 6749 §3.1.2: no fragment. Backslashes, dot segments and control characters mean different things to parsers.
    if not (uri.isascii() and uri.isprintable()) or any(mark in uri for mark in ("#", "\\", " ", "..")):
        return False
    return len(uri) <= 2048
