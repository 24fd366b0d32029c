"""A browser and an application in one, over httpx: walks the authorization code flow step by step. Asserts nothing."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import secrets
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import httpx

ORIGIN = "http://localhost:8080"
ISSUER = f"{ORIGIN}/realms/aauth-test"
PROTOCOL = f"{ISSUER}/protocol/openid-connect"
UI = "http://localhost:3050"


@dataclass(kw_only=True)
class Visitor:
    """One browser (its cookies) using one application (client, redirect, PKCE verifier)."""

    http: httpx.Client
    client_id: str = "supply-chain-ui"
    redirect_uri: str = f"{UI}/callback"
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    def authorization(self, **changes: str | None) -> dict[str, str]:
        """The parameters of an authorization request; None takes one away."""
        parameters: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": "openid profile email",
            "state": "the-state",
            "nonce": "the-nonce",
            "code_challenge": challenge_of(self.verifier),
            "code_challenge_method": "S256",
            **changes,
        }
        return {name: value for name, value in parameters.items() if value is not None}

    def ask(self, **changes: str | None) -> httpx.Response:
        return self.http.get(f"{PROTOCOL}/auth", params=self.authorization(**changes))

    def submit(self, page: httpx.Response, username: str, password: str, **form: str) -> httpx.Response:
        fields = {"csrf": csrf_in(page), "username": username, "password": password, **form}
        return self.http.post(str(page.request.url), data=fields)

    def sign_in(self, username: str = "mcp-user", password: str = "user123", **changes: str | None) -> dict[str, str]:
        """The parameters the application is sent back with."""
        return answer_in(self.submit(self.ask(**changes), username, password))

    def redeem(self, code: str, **changes: str) -> httpx.Response:
        form = {
            "grant_type": "authorization_code",
            "client_id": self.client_id,
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": self.verifier,
            **changes,
        }
        return self.http.post(f"{PROTOCOL}/token", data=form)

    def tokens(self) -> dict[str, str]:
        tokens: dict[str, str] = self.redeem(self.sign_in()["code"]).json()
        return tokens

    def password_grant(self, username: str, password: str, **changes: str) -> httpx.Response:
        form = {"grant_type": "password", "client_id": self.client_id, "scope": "openid profile email"}
        return self.http.post(f"{PROTOCOL}/token", data={**form, "username": username, "password": password, **changes})


def challenge_of(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def csrf_in(page: httpx.Response) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    return html.unescape(found[1]) if found else ""


def answer_in(response: httpx.Response) -> dict[str, str]:
    query = urlsplit(response.headers.get("Location", "")).query
    return {name: values[0] for name, values in parse_qs(query).items()}
