"""Disabling people and letting them in again, at Keycloak's addresses and in its shapes; nothing else is changed."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask, Response, jsonify, request

from aauthkit.demo.idp.oauth import Provider
from aauthkit.demo.idp.people import People, Person
from aauthkit.demo.idp.settings import Settings

_ROLE = "admin"


class Administration:
    """The routes, for whoever brings an access token of an administrator."""

    def __init__(
        self,
        app: Flask,
        settings: Settings,
        people: People,
        provider: Provider,
        problem: Callable[[int, str, str], Response],
    ) -> None:
        self._app = app
        self._users = f"/admin{settings.realm_path}/users"
        self._people = people
        self._provider = provider
        self._problem = problem

    def route(self) -> None:
        self._app.add_url_rule(self._users, view_func=self.found)
        self._app.add_url_rule(f"{self._users}/<sub>", view_func=self.change, methods=["PUT"])

    def found(self) -> Response:
        """`GET …/users?username=…`: that person, or an empty list."""
        refusal = self._refusal()
        if refusal is not None:
            return refusal
        person = self._people.named(request.args.get("username", ""))
        return jsonify([] if person is None else [self._shown(person)])

    def change(self, sub: str) -> Response:
        """`PUT …/users/{id}`: `enabled` is the one member that can be changed."""
        refusal = self._refusal()
        if refusal is not None:
            return refusal
        person, wanted = self._people.with_sub(sub), request.get_json(silent=True)
        if person is None:
            return self._problem(404, "not_found", "There is no such person.")
        if not isinstance(wanted, dict) or not isinstance(wanted.get("enabled"), bool):
            return self._problem(400, "invalid_request", "Send a JSON object whose member enabled is true or false.")
        self._people.enable(person, enabled=wanted["enabled"])
        return Response(status=204)

    def _shown(self, person: Person) -> dict[str, object]:
        return {"id": person.sub, "username": person.username, "enabled": self._people.is_enabled(person)}

    def _refusal(self) -> Response | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        claims = self._provider.claims_of_bearer(token.strip()) if scheme.lower() == "bearer" else None
        if claims is None:
            return self._problem(401, "invalid_token", "Send an access token of an administrator.")
        if _ROLE not in claims["realm_access"]["roles"]:
            return self._problem(403, "insufficient_scope", "Administrators only.")
        return None
