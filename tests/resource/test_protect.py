"""An application becomes a protected resource in ten lines, and nothing it advertises is missing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.types import ASGIApp

from aauthkit import Require, protect, require_scopes
from aauthkit import jwt as jws
from aauthkit.headers import parse_requirement
from aauthkit.resource.settings import Resource
from tests.resource.signing import AGENT, ISSUER, PROVIDER, Answer, Application, Bench, ask, resource, scope_of

pytestmark = pytest.mark.anyio


def guarded(bench: Bench, application: ASGIApp, settings: Resource | None = None, **options: Any) -> ASGIApp:
    return protect(application, settings or resource(), clock=bench.clock, fetcher=bench.issuers, **options)


def resource_token_in(answer: Answer) -> dict[str, Any]:
    wanted = parse_requirement(answer.headers["aauth-requirement"])
    return dict(jws.parse(wanted.parameters["resource-token"]).claims)


@pytest.mark.parametrize("path", ["/.well-known/aauth-resource.json", "/.well-known/jwks.json"])
async def test_what_it_publishes_is_for_everybody(bench: Bench, application: Application, path: str) -> None:
    answer = await ask(guarded(bench, application), scope_of("GET", path))
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert (await ask(guarded(bench, application), scope_of("POST", path))).status == 405


async def test_the_rest_is_for_those_who_are_authorized(bench: Bench, application: Application) -> None:
    app = guarded(bench, application, open_paths=["/health"])
    assert (await ask(app, scope_of("GET", "/health"))).status == 200
    assert (await ask(app, scope_of("GET", "/orders"))).status == 401
    assert resource_token_in(await ask(app, bench.signed()))["scope"] == "orders:read"
    assert (await ask(app, bench.signed(by="auth token"))).status == 200


async def test_an_auth_token_without_the_default_scopes_is_asked_for_them(
    bench: Bench, application: Application
) -> None:
    """A token for this resource is not yet leave to use it: forgetting a policy must not let everything through."""
    app = guarded(bench, application)
    answer = await ask(app, bench.signed(token=bench.auth_token(scope="orders:write")))
    assert answer.status == 401
    assert resource_token_in(answer)["scope"] == "orders:write orders:read"
    assert (await ask(app, bench.signed(token=bench.auth_token(scope=None, sub="somebody")))).status == 401
    assert application.calls == []


@pytest.mark.parametrize(("scope", "status"), [("orders:read", 401), ("orders:readwrite", 401), ("orders:write", 200)])
async def test_other_scopes_can_be_required(bench: Bench, application: Application, scope: str, status: int) -> None:
    settings = resource()
    authorize = require_scopes(settings, ["orders:write"], clock=bench.clock)
    app = guarded(bench, application, settings, authorize=authorize)
    assert (await ask(app, bench.signed(token=bench.auth_token(scope=scope)))).status == status


async def test_identity_alone_can_be_required(bench: Bench, application: Application) -> None:
    settings = resource(require=Require.IDENTITY, signing_key=None)
    assert (await ask(guarded(bench, application, settings), bench.signed())).status == 200


async def test_an_agent_can_ask_for_a_resource_token_where_the_metadata_says(
    bench: Bench, application: Application
) -> None:
    app = guarded(bench, application)
    metadata = json.loads((await ask(app, scope_of("GET", "/.well-known/aauth-resource.json"))).body)
    path = metadata["authorization_endpoint"].removeprefix(ISSUER)
    body = b'{"scope": "orders:write orders:read"}'
    answer = await ask(app, bench.signed("POST", path, body), body)
    assert answer.status == 200
    claims = jws.parse(json.loads(answer.body)["resource_token"]).claims
    assert (claims["aud"], claims["agent"], claims["scope"]) == (PROVIDER, str(AGENT), "orders:write orders:read")


@pytest.mark.parametrize(
    ("method", "body", "status", "code"),
    [
        ("POST", b'{"scope": "orders:delete"}', 400, "invalid_scope"),
        ("POST", b'{"scope": ""}', 400, "invalid_request"),
        ("POST", b"{}", 400, "invalid_request"),
        ("POST", b'{"scope": 7}', 400, "invalid_request"),
        ("POST", b"[", 400, "invalid_request"),
        ("POST", b"[" * 9000, 400, "invalid_request"),
        ("GET", b"", 405, "method_not_allowed"),
    ],
)
async def test_a_wrong_wish_for_a_resource_token_is_told_what_is_wrong(
    bench: Bench, application: Application, method: str, body: bytes, status: int, code: str
) -> None:
    answer = await ask(guarded(bench, application), bench.signed(method, "/resource/token", body), body)
    assert (answer.status, answer.error) == (status, code)


async def test_an_unsigned_wish_for_a_resource_token_gets_none(bench: Bench, application: Application) -> None:
    answer = await ask(guarded(bench, application), scope_of("POST", "/resource/token"), b'{"scope": "orders:read"}')
    assert answer.status == 401
    assert b"eyJ" not in answer.body


async def test_a_resource_that_issues_nothing_has_no_endpoint_for_it(bench: Bench, application: Application) -> None:
    settings = resource(require=Require.IDENTITY, signing_key=None)
    await ask(guarded(bench, application, settings), bench.signed("POST", "/resource/token", b"{}"), b"{}")
    assert len(application.calls) == 1, "the path is the application's own"


@pytest.mark.attack
@pytest.mark.parametrize("path", ["/.well-known/aauth-resource.json", "/resource/token", "/orders"])
async def test_a_websocket_is_closed_wherever_it_goes(bench: Bench, application: Application, path: str) -> None:
    sent: list[str] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(event: Any) -> None:
        sent.append(event["type"])

    await guarded(bench, application)(scope_of("GET", path, kind="websocket"), receive, send)
    assert (sent, application.calls) == (["websocket.close"], [])
