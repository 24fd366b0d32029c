"""The realm over HTTP: Keycloak-shaped addresses, login form, headers of every answer. Never shows a stack trace."""

from __future__ import annotations

import logging
import secrets
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, jsonify, make_response, redirect, render_template, request
from werkzeug.exceptions import HTTPException

from aauthkit.clock import Clock, SystemClock
from aauthkit.demo.idp.administration import Administration
from aauthkit.demo.idp.failed_logins import TooManyFailures
from aauthkit.demo.idp.login import Login, Logins
from aauthkit.demo.idp.oauth import OAuth2Error, Provider, supported
from aauthkit.demo.idp.people import People
from aauthkit.demo.idp.settings import Settings
from aauthkit.demo.idp.signing import RealmKey

log = logging.getLogger(__name__)

SESSION_COOKIE = "idp_session"
CSRF_COOKIE = "idp_csrf"
# A login form and a token request are a few kilobytes; nothing here is bigger.
_MAX_BODY = 64 * 1024
_PAGE_POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action {}"
_PREFLIGHT_SECONDS = "600"
_SHOWN_CLAIMS = (
    *("sub", "name", "given_name", "family_name", "preferred_username"),
    *("email", "email_verified", "realm_access"),
)
_UNSERVED = "The request cannot be served as it was sent."


def create_app(settings: Settings, clock: Clock | None = None) -> Flask:
    """The WSGI application of one realm; makes the realm's key when the state directory has none."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _MAX_BODY
    app.config["MAX_FORM_MEMORY_SIZE"] = _MAX_BODY
    clock = clock or SystemClock()
    key = RealmKey.load_or_create(settings.state)
    people = People.shipped(settings.state)
    logins = Logins(settings, people, clock)
    provider = Provider(app, settings, key, logins, clock)
    realm = Realm(app, settings, logins, provider, clock)
    realm.route()
    Administration(app, settings, people, provider, realm.problem).route()
    return app


class Realm:
    """The routes; each is short, because Authlib judges and ``Logins`` remembers."""

    def __init__(self, app: Flask, settings: Settings, logins: Logins, provider: Provider, clock: Clock) -> None:
        self.app = app
        self.settings = settings
        self.logins = logins
        self.provider = provider
        self.clock = clock
        self.protocol = f"{settings.realm_path}/protocol/openid-connect"

    def route(self) -> None:
        realm, protocol = self.settings.realm_path, self.protocol
        add = self.app.add_url_rule
        add("/health", view_func=self.health)
        add(f"{realm}/.well-known/openid-configuration", view_func=self.discovery)
        add(f"{protocol}/certs", view_func=self.certs)
        add(f"{protocol}/auth", view_func=self.ask, methods=["GET"])
        add(f"{protocol}/auth", view_func=self.sign_in, methods=["POST"])
        add(f"{protocol}/token", view_func=self.token, methods=["POST"])
        add(f"{protocol}/userinfo", view_func=self.userinfo, methods=["GET", "POST"])
        add(f"{protocol}/logout", view_func=self.logout, methods=["GET", "POST"])
        add(f"{realm}/resources/<name>", view_func=self.resource)
        self.app.after_request(self.finish)
        self.app.register_error_handler(Exception, self.fail)

    # Documents.

    def health(self) -> Response:
        return jsonify({"status": "healthy", "service": "identity-provider"})

    def discovery(self) -> Response:
        at = self.settings.origin + self.protocol
        return jsonify(
            {
                "issuer": self.settings.issuer,
                "authorization_endpoint": f"{at}/auth",
                "token_endpoint": f"{at}/token",
                "userinfo_endpoint": f"{at}/userinfo",
                "end_session_endpoint": f"{at}/logout",
                "jwks_uri": f"{at}/certs",
                **supported(),
            }
        )

    def certs(self) -> Response:
        return jsonify(self.provider.key.jwks())

    def resource(self, name: str) -> Response:
        # One file, named; nothing is looked up by what the caller wrote.
        if name != "idp.css":
            return self.problem(404, "not_found", "There is no such page here.")
        with self.app.open_resource("static/idp.css") as file:
            return Response(file.read(), mimetype="text/css")

    # Signing in.

    def ask(self) -> Response:
        """GET /auth: straight back with a code when the browser is signed in, else the login form."""
        login = self.fresh_enough(self.browser_login())
        try:
            grant = self.provider.authorization(login)
        except OAuth2Error as error:
            return self.refuse(error)
        if login is None or grant.prompt in ("login", "select_account"):
            return self.login_page(grant)
        return self.provider.authorize(grant, login)

    def sign_in(self) -> Response:
        """POST /auth?…: the login form, sent back to the same authorization request."""
        try:
            grant = self.provider.authorization(None)
        except OAuth2Error as error:
            return self.refuse(error)
        if not self.form_is_ours():
            return self.login_page(grant, 403, "This form was too old. Please sign in again.")
        try:
            login = self.logins.with_password(request.form.get("username", ""), request.form.get("password", ""))
        except TooManyFailures as failure:
            return self.too_many(grant, failure.retry_after)
        if login is None:
            return self.login_page(grant, 401, "The user name or the password is wrong.")
        return self.remember(self.provider.authorize(grant, login), login)

    def refuse(self, error: Any) -> Response:
        # RFC 6749 §4.1.2.1: only an address that was checked is redirected to; anything else is told to the person.
        if error.redirect_uri:
            return self.provider.refuse_authorization(error)
        return self.problem(400, error.error, error.description or _UNSERVED)

    def login_page(self, grant: Any, status: int = 200, problem: str = "") -> Response:
        client = self.provider.clients[grant.request.payload.client_id]
        typed = request.form.get("username") or request.args.get("login_hint", "")
        values = {"client": client.name, "typed": typed, "problem": problem}
        return self.page("login.html", status, back_to=grant.redirect_uri, **values)

    def too_many(self, grant: Any, retry_after: int) -> Response:
        message = f"Too many wrong passwords for this account. Try again in {retry_after} seconds."
        response = self.login_page(grant, 429, message)
        response.headers["Retry-After"] = str(retry_after)
        return response

    def fresh_enough(self, login: Login | None) -> Login | None:
        # OpenID Connect Core §3.1.2.1: with max_age, an older login does not count.
        max_age = request.args.get("max_age", "")
        if login is None or not max_age.isdecimal():
            return login
        return login if self.clock.now() - login.at <= int(max_age[:10]) else None

    # Tokens.

    def token(self) -> Response:
        return self.provider.answer_token_request()

    def userinfo(self) -> Response:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return self.unauthorized("Bearer", "Send an access token as a bearer token.")
        claims = self.provider.claims_of_bearer(token.strip())
        if claims is None:
            return self.unauthorized('Bearer error="invalid_token"', "The access token is not valid, or it has ended.")
        return jsonify({name: claims[name] for name in _SHOWN_CLAIMS if name in claims})

    def unauthorized(self, challenge: str, description: str) -> Response:
        response = jsonify({"error": "invalid_token", "error_description": description})
        response.status_code = 401
        response.headers["WWW-Authenticate"] = challenge
        return response

    # Signing out.

    def logout(self) -> Response:
        """RP-initiated logout: at once with this login's own ID token, after a question otherwise."""
        try:
            wanted = self.provider.judge_logout()
        except OAuth2Error as error:
            return self.problem(400, error.error, error.description or _UNSERVED)
        if request.values.get("post_logout_redirect_uri") and wanted.redirect_uri is None:
            return self.problem(
                400, "invalid_request", "post_logout_redirect_uri is not an address of this application."
            )
        login = self.browser_login()
        if login is not None and not self.may_end(login, wanted.id_token_claims):
            return self.page("logout.html", back_to=wanted.redirect_uri, asked=list(request.args.items()))
        return self.end(login, wanted)

    def may_end(self, login: Login, hint: dict[str, Any] | None) -> bool:
        # Somebody else's ID token in a link must not sign this person out.
        if hint is not None and hint.get("sid") == login.sid:
            return True
        return request.method == "POST" and self.form_is_ours()

    def end(self, login: Login | None, wanted: Any) -> Response:
        for sid in {login.sid if login else None, (wanted.id_token_claims or {}).get("sid")}:
            if isinstance(sid, str):
                self.logins.end(sid)
        response = self.signed_out(wanted.redirect_uri)
        response.delete_cookie(SESSION_COOKIE, path=f"{self.settings.realm_path}/")
        return response

    def signed_out(self, address: str | None) -> Response:
        if address is None:
            return self.page("message.html", title="You are signed out", message="You can close this page.")
        return make_response(redirect(address, 302))

    # Cookies.

    def browser_login(self) -> Login | None:
        return self.logins.of_browser(request.cookies.get(SESSION_COOKIE))

    def remember(self, response: Response, login: Login) -> Response:
        self.set_cookie(response, SESSION_COOKIE, self.logins.remember(login))
        return response

    def set_cookie(self, response: Response, name: str, value: str) -> None:
        path = f"{self.settings.realm_path}/"
        response.set_cookie(name, value, path=path, httponly=True, samesite="Lax", secure=self.settings.secure)

    def form_is_ours(self) -> bool:
        """The form carries what its page put into the cookie, and the browser says it came from this origin."""
        cookie, field = request.cookies.get(CSRF_COOKIE, ""), request.form.get("csrf", "")
        origin = request.headers.get("Origin")
        same_origin = origin is None or origin in (self.settings.origin, request.host_url.rstrip("/"))
        return same_origin and bool(cookie) and secrets.compare_digest(_bytes(cookie), _bytes(field))

    # Pages and headers.

    def page(self, template: str, status: int = 200, *, back_to: str | None = None, **values: object) -> Response:
        csrf = request.cookies.get(CSRF_COOKIE) or secrets.token_urlsafe(24)
        css = f"{self.settings.realm_path}/resources/idp.css"
        response = make_response(render_template(template, csrf=csrf, css=css, **values), status)
        # Browsers apply form-action to the redirect that follows the form, so the application's origin is named too.
        targets = " ".join(["'self'", *([_origin(back_to)] if back_to else [])])
        response.headers["Content-Security-Policy"] = _PAGE_POLICY.format(targets)
        self.set_cookie(response, CSRF_COOKIE, csrf)
        return response

    def problem(self, status: int, code: str, message: str) -> Response:
        """A refusal as JSON, or as a page where a browser is being sent through."""
        if self.is_page():
            return self.page("message.html", status, title="That did not work", message=message)
        response = jsonify({"error": code, "error_description": message})
        response.status_code = status
        return response

    def is_page(self) -> bool:
        shown = request.path in (f"{self.protocol}/auth", f"{self.protocol}/logout")
        return shown or "text/html" in request.headers.get("Accept", "")

    def fail(self, error: Exception) -> Response:
        if isinstance(error, OAuth2Error):
            return self.problem(400, str(error.error), str(error.description or _UNSERVED))
        if isinstance(error, HTTPException):
            return self.http_problem(error)
        log.error("unexpected error while answering %s", request.path, exc_info=error)
        return self.problem(500, "server_error", "Something went wrong in the identity provider. Try again.")

    def http_problem(self, error: HTTPException) -> Response:
        status = error.code or 500
        response = self.problem(status, _CODES.get(status, "invalid_request"), _SENTENCES.get(status, _UNSERVED))
        if (allow := dict(error.get_headers()).get("Allow")) is not None:
            response.headers["Allow"] = allow
        return response

    def finish(self, response: Response) -> Response:
        headers = response.headers
        headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        headers.setdefault("Cache-Control", "no-store")
        headers["X-Content-Type-Options"] = "nosniff"
        headers["X-Frame-Options"] = "DENY"
        headers["Referrer-Policy"] = "same-origin"
        self.allow_cross_origin(response)
        return response

    def allow_cross_origin(self, response: Response) -> None:
        """The UI's scripts read the documents and tokens; no other origin, and never with cookies."""
        readable = ("/.well-known/openid-configuration", "/certs", "/token", "/userinfo")
        if not request.path.endswith(readable):
            return
        response.headers.add("Vary", "Origin")
        origin = request.headers.get("Origin")
        if origin not in self.settings.ui_origins:
            return
        response.headers["Access-Control-Allow-Origin"] = origin
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = "GET, POST"
            response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
            response.headers["Access-Control-Max-Age"] = _PREFLIGHT_SECONDS


_CODES = {404: "not_found", 405: "method_not_allowed", 413: "payload_too_large"}
_SENTENCES = {
    400: "The request could not be read.",
    404: "There is no such page here.",
    405: "This address does not answer that method.",
    413: "The request is too large; a login form or token request is a few kilobytes.",
}


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
