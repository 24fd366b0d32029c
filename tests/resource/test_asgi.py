"""The middleware lets only admitted requests through, and says to the others exactly what is missing (CONTRACT §4)."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from typing import Any

import pytest

from aauthkit import jwt as jws
from aauthkit.errors import PolicyDenied
from aauthkit.headers import parse_requirement
from aauthkit.keys import PrivateKey
from aauthkit.resource.asgi import AAuthMiddleware, verified_of
from aauthkit.resource.challenge import auth_token_challenge, issue_resource_token
from aauthkit.resource.settings import Require, Resource
from aauthkit.verify import VerifiedRequest
from tests.resource.signing import (
    AGENT,
    ISSUER,
    NOW,
    PROVIDER,
    Answer,
    Application,
    Bench,
    ask,
    resource,
    scope_of,
)

pytestmark = pytest.mark.anyio

EVERY_SCHEME = frozenset({"hwk", "jkt-jwt", "jwks_uri", "jwt"})


def guarded(
    bench: Bench, application: Application, settings: Resource | None = None, **options: Any
) -> AAuthMiddleware:
    return AAuthMiddleware(
        application,
        resource=settings or resource(),
        verification=bench.verification(),
        fetcher=bench.issuers,
        **options,
    )


def is_challenge_for_a_signature(answer: Answer) -> bool:
    return (
        answer.status == 401
        and answer.headers["aauth-requirement"] == "requirement=agent-token"
        and answer.headers["www-authenticate"] == "AAuth"
        and b"resource" not in answer.body
    )


# ---- admission: level by requirement ----


@pytest.mark.parametrize(
    ("by", "require", "allow_pseudonymous", "outcome"),
    [
        ("hwk", Require.IDENTITY, False, "agent-token"),
        ("hwk", Require.IDENTITY, True, "in"),
        ("hwk", Require.AUTH_TOKEN, False, "agent-token"),
        ("hwk", Require.AUTH_TOKEN, True, "agent-token"),
        ("jkt-jwt", Require.IDENTITY, False, "agent-token"),
        ("jkt-jwt", Require.IDENTITY, True, "in"),
        ("jkt-jwt", Require.AUTH_TOKEN, True, "agent-token"),
        ("jwks_uri", Require.IDENTITY, False, "in"),
        ("jwks_uri", Require.AUTH_TOKEN, False, "agent-token"),
        ("agent token", Require.IDENTITY, False, "in"),
        ("agent token", Require.AUTH_TOKEN, False, "auth-token"),
        ("auth token", Require.IDENTITY, False, "in"),
        ("auth token", Require.AUTH_TOKEN, False, "in"),
    ],
)
async def test_each_level_meets_each_requirement_in_its_own_way(
    bench: Bench, application: Application, by: str, require: Require, allow_pseudonymous: bool, outcome: str
) -> None:
    settings = resource(require=require, schemes=EVERY_SCHEME, allow_pseudonymous=allow_pseudonymous)
    answer = await ask(guarded(bench, application, settings), bench.signed(by=by))
    if outcome == "in":
        assert (answer.status, answer.body) == (200, b"in")
        return
    assert answer.status == 401
    assert parse_requirement(answer.headers["aauth-requirement"]).kind == outcome
    assert application.calls == []


@pytest.mark.parametrize("by", ["hwk", "jkt-jwt", "jwks_uri"])
async def test_a_scheme_that_is_not_listed_is_refused(bench: Bench, application: Application, by: str) -> None:
    answer = await ask(guarded(bench, application, resource(require=Require.IDENTITY)), bench.signed(by=by))
    assert (answer.status, answer.headers["signature-error"]) == (401, "error=invalid_key")


async def test_the_application_sees_who_was_verified(bench: Bench, application: Application) -> None:
    await ask(guarded(bench, application), bench.signed("POST", body=b"{}", by="auth token"), b"{}")
    ((scope, body),) = application.calls
    verified = verified_of(scope)
    assert (verified.agent, verified.level, verified.scopes, body) == (
        str(AGENT),
        "authorized",
        ("orders:read",),
        b"{}",
    )


# ---- challenges ----


async def test_an_unsigned_request_is_asked_to_sign_and_gets_no_resource_token(
    bench: Bench, application: Application
) -> None:
    answer = await ask(guarded(bench, application), scope_of("GET", "/orders", [("host", "orders.localhost:3000")]))
    assert is_challenge_for_a_signature(answer)
    assert answer.headers["accept-signature"].startswith('sig=("@method" "@authority" "@path" "signature-key");created')
    assert not {"accept-signature-scheme", "accept-signature-alg"} & answer.headers.keys(), "draft 01 has neither"
    assert application.calls == []


async def test_a_body_is_not_read_for_an_unsigned_request(bench: Bench, application: Application) -> None:
    async def receive() -> Any:
        raise AssertionError("the body was read")

    events: list[Any] = []

    async def send(event: Any) -> None:
        events.append(event)

    await guarded(bench, application)(scope_of("POST", "/orders", [("host", "orders.localhost:3000")]), receive, send)
    assert is_challenge_for_a_signature(Answer(events))


@pytest.mark.parametrize("spoil", ["signature", "path", "method", "host", "query is free", "body", "old", "replay"])
async def test_a_bad_signature_gets_signature_error_and_no_resource_token(
    bench: Bench, application: Application, spoil: str
) -> None:
    middleware = guarded(bench, application)
    scope, body = bench.signed("POST", "/orders?a=b", b"{}"), b"{}"
    if spoil == "signature":
        spoilt = [(n, v.replace(b"sig=:", b"sig=:AAAA") if n == b"signature" else v) for n, v in scope["headers"]]
        scope["headers"] = spoilt
    elif spoil == "path":
        scope.update(path="/other", raw_path=b"/other")
    elif spoil == "method":
        scope["method"] = "PUT"
    elif spoil == "host":
        scope["headers"] = [(n, b"stock.localhost:3000" if n == b"host" else v) for n, v in scope["headers"]]
    elif spoil == "body":
        body = b"[]"
    elif spoil == "old":
        bench.clock.advance(timedelta(seconds=61))
    elif spoil == "replay":
        await ask(middleware, scope, body)
    answer = await ask(middleware, scope, body)
    if spoil == "query is free":
        assert "auth-token" in answer.headers["aauth-requirement"]
        return
    assert answer.status == 401
    assert answer.headers["signature-error"].startswith("error=invalid_signature")
    assert "aauth-requirement" not in answer.headers
    assert b"eyJ" not in answer.body
    assert application.calls == []


async def test_the_challenge_decodes_to_exactly_the_members_of_the_contract(
    bench: Bench, application: Application
) -> None:
    settings = resource()
    answer = await ask(guarded(bench, application, settings), bench.signed())
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "AAuth"
    assert answer.error == "insufficient_scope"
    wanted = parse_requirement(answer.headers["aauth-requirement"])
    assert wanted.kind == "auth-token"
    assert wanted.parameters.keys() == {"resource-token"}
    assert "; resource-token=" in answer.headers["aauth-requirement"]
    token = jws.parse(wanted.parameters["resource-token"])
    assert settings.signing_key is not None
    assert token.header == {"alg": "EdDSA", "typ": "aa-resource+jwt", "kid": settings.signing_key.kid}
    jti = token.claims["jti"]
    assert isinstance(jti, str)
    assert dict(token.claims) == {
        "iss": ISSUER,
        "dwk": "aauth-resource.json",
        "aud": PROVIDER,
        "jti": jti,
        "agent": str(AGENT),
        "agent_jkt": bench.key.thumbprint,
        "iat": int(NOW),
        "exp": int(NOW) + 300,
        "scope": "orders:read",
    }
    token.verify(settings.signing_key.public, settings.draft)


async def test_an_agent_without_a_person_server_is_refused_in_words(bench: Bench, application: Application) -> None:
    answer = await ask(guarded(bench, application), bench.signed(token=bench.agent_token(ps=None)))
    assert (answer.status, answer.error) == (403, "authorization_denied")


async def test_no_resource_token_is_minted_for_a_server_whose_auth_tokens_do_not_count(
    bench: Bench, application: Application
) -> None:
    """The agent would go there, come back, and be refused; and strangers would get statements signed by us."""
    answer = await ask(guarded(bench, application), bench.signed(token=bench.agent_token(ps="http://evil.localhost:1")))
    assert (answer.status, answer.error) == (403, "authorization_denied")
    assert "aauth-requirement" not in answer.headers


async def test_a_pinned_person_server_is_the_audience(bench: Bench, application: Application) -> None:
    settings = resource(person_server=PROVIDER)
    token = bench.agent_token(ps="http://another.localhost:1")
    answer = await ask(guarded(bench, application, settings), bench.signed(token=token))
    wanted = parse_requirement(answer.headers["aauth-requirement"]).parameters["resource-token"]
    assert jws.parse(wanted).claims["aud"] == PROVIDER


async def test_an_application_can_ask_for_more_by_a_step_up(bench: Bench, application: Application) -> None:
    """An auth token names no `ps`; the server that issued it is where more is asked for."""
    settings = resource()

    async def writers_only(verified: VerifiedRequest) -> None:
        if "orders:write" not in verified.scopes:
            scopes = ("orders:read", "orders:write")
            raise auth_token_challenge(issue_resource_token(verified, settings, scopes, now=bench.clock.now()))

    middleware = guarded(bench, application, settings, authorize=writers_only)
    answer = await ask(middleware, bench.signed(by="auth token"))
    token = jws.parse(parse_requirement(answer.headers["aauth-requirement"]).parameters["resource-token"])
    assert (token.claims["aud"], token.claims["scope"]) == (PROVIDER, "orders:read orders:write")
    answer = await ask(middleware, bench.signed(token=bench.auth_token(scope="orders:read orders:write")))
    assert answer.status == 200


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"audience": "http://stock.localhost:3000"}, "invalid_jwt"),
        ({"now": NOW - 3600}, "expired_jwt"),
        ({"issuer": "http://evil.localhost:1"}, "invalid_jwt"),
        ({"by": PrivateKey.generate()}, "invalid_jwt"),
        ({"confirm": PrivateKey.generate().public}, "invalid_signature"),
    ],
)
async def test_an_auth_token_that_is_not_for_this_call_is_refused(
    bench: Bench, application: Application, changes: dict[str, Any], error: str
) -> None:
    answer = await ask(guarded(bench, application), bench.signed(token=bench.auth_token(**changes)))
    assert (answer.status, answer.headers["signature-error"]) == (401, f"error={error}")
    assert application.calls == []
    assert not [url for url in bench.issuers.fetched if "evil" in url]


async def test_a_refusal_by_the_application_is_403(bench: Bench, application: Application) -> None:
    async def nobody(_verified: VerifiedRequest) -> None:
        raise PolicyDenied("Not on Sundays.")

    answer = await ask(guarded(bench, application, authorize=nobody), bench.signed(by="auth token"))
    assert (answer.status, answer.error) == (403, "authorization_denied")
    assert "signature-error" not in answer.headers
    assert application.calls == []


async def test_a_trusted_issuer_that_does_not_answer_is_503(bench: Bench, application: Application) -> None:
    bench.issuers.down = True
    answer = await ask(guarded(bench, application), bench.signed())
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")


async def test_a_fault_of_ours_is_500_and_says_nothing(bench: Bench, application: Application) -> None:
    async def broken(_verified: VerifiedRequest) -> None:
        raise LookupError("table orders is gone")

    events: list[Any] = []

    async def send(event: Any) -> None:
        events.append(event)

    async def receive() -> Any:
        return {"type": "http.request"}

    with pytest.raises(LookupError):
        await guarded(bench, application, authorize=broken)(bench.signed(by="auth token"), receive, send)
    assert Answer(events).status == 500
    assert b"table" not in Answer(events).body


# ---- open paths ----

OPEN = ("/health", "/.well-known/", "/")


@pytest.mark.parametrize(
    "target",
    [
        "/health",
        "/health?x=y",
        "/.well-known/a",
        "/.well-known/a/b",
        "/.well-known/",
        "/",
        "/%68ealth",
        "/.well-known/..a",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_open_paths_are_for_everybody(bench: Bench, application: Application, target: str, method: str) -> None:
    answer = await ask(guarded(bench, application, open_paths=OPEN), scope_of(method, target))
    assert answer.status == 200
    with pytest.raises(KeyError):
        verified_of(application.calls[0][0])


@pytest.mark.attack
@pytest.mark.parametrize(
    "target",
    [
        "/healthy",
        "/health/",
        "/HEALTH",
        "//health",
        "/health%00",
        "/health;a",
        "/.well-known",
        "/orders",
        "/orders/../health",
        "/.well-known/../orders",
        "/.well-known/%2e%2e/orders",
        "/.well-known/%2E./orders",
        "/.well-known/./../orders",
        "/.well-known/..%5corders",
        "/.well-known/a/..",
        "//.well-known/a",
        "/x/.well-known/a",
        "/%252ewell-known/a",
        "",
        "*",
        "http://orders.localhost:3000/health",
    ],
)
async def test_what_only_looks_like_an_open_path_is_not(bench: Bench, application: Application, target: str) -> None:
    answer = await ask(guarded(bench, application, open_paths=OPEN), scope_of("GET", target))
    assert is_challenge_for_a_signature(answer)
    assert application.calls == []


async def test_without_open_paths_nothing_is_open(bench: Bench, application: Application) -> None:
    for target in ("/", "/health", "/.well-known/aauth-resource.json"):
        assert is_challenge_for_a_signature(await ask(guarded(bench, application), scope_of("GET", target)))


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
async def test_head_and_options_are_no_way_round(bench: Bench, application: Application, method: str) -> None:
    assert is_challenge_for_a_signature(await ask(guarded(bench, application), scope_of(method, "/orders")))
    assert (await ask(guarded(bench, application), bench.signed(method, by="auth token"))).status == 200


async def test_an_encoded_path_is_verified_as_it_was_sent(bench: Bench, application: Application) -> None:
    answer = await ask(guarded(bench, application), bench.signed(target="/a%2Fb/%7Eq?x=%20", by="auth token"))
    assert answer.status == 200
    assert application.calls[0][0]["path"] == "/a/b/~q"


async def test_a_server_that_gives_no_raw_path_is_helped(bench: Bench, application: Application) -> None:
    scope = bench.signed(target="/p%C3%A4th", by="auth token")
    del scope["raw_path"]
    assert (await ask(guarded(bench, application), scope)).status == 200


# ---- other kinds of connections ----


@pytest.mark.attack
async def test_a_websocket_is_closed_before_it_opens(bench: Bench, application: Application) -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(event: Any) -> None:
        sent.append(event)

    await guarded(bench, application, open_paths=OPEN)(scope_of("GET", "/orders", kind="websocket"), receive, send)
    assert [(event["type"], event["code"]) for event in sent] == [("websocket.close", 1008)]
    assert application.calls == []


@pytest.mark.attack
async def test_a_kind_of_connection_nobody_knows_reaches_nobody(bench: Bench, application: Application) -> None:
    answer = await ask(guarded(bench, application), scope_of("GET", "/orders", kind="webtransport"))
    assert (answer.events, application.calls) == ([], [])


async def test_the_servers_own_start_and_end_pass_by(bench: Bench, application: Application) -> None:
    await ask(guarded(bench, application), {"type": "lifespan"})
    assert len(application.calls) == 1


# ---- bodies ----


async def test_a_body_in_chunks_is_joined_and_checked(bench: Bench, application: Application) -> None:
    scope = bench.signed("POST", body=b"abcdef", by="auth token")
    answer = await ask(guarded(bench, application), scope, b"ab", b"cd", b"ef")
    assert answer.status == 200
    assert application.calls[0][1] == b"abcdef"


@pytest.mark.parametrize(("size", "status"), [(10, 200), (11, 413)])
@pytest.mark.parametrize("declared", [True, False])
async def test_the_body_limit_is_exact(
    bench: Bench, application: Application, size: int, status: int, declared: bool
) -> None:
    body = b"x" * size
    headers = [("Content-Length", str(size))] if declared else []
    scope = bench.signed("POST", body=body, by="auth token", headers=headers)
    answer = await ask(guarded(bench, application, body_limit=10), scope, body[:5], body[5:])
    assert answer.status == status
    assert len(application.calls) == (status == 200)


@pytest.mark.attack
async def test_a_caller_that_hangs_up_in_the_middle_of_a_body_never_reaches_the_application(
    bench: Bench, application: Application
) -> None:
    """Draft 01 lets a body go uncovered; then half of it would verify like the whole."""
    scope = bench.signed("POST", by="auth token")
    answer = await ask(guarded(bench, application), scope, b"half", disconnects=True)
    assert (answer.events, application.calls) == ([], [])


async def test_the_application_hears_when_the_caller_hangs_up(bench: Bench) -> None:
    heard: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        heard.extend([(await receive())["type"] for _ in range(2)])

    await ask(guarded(bench, application), bench.signed(by="auth token"))  # type: ignore[arg-type]
    assert heard == ["http.request", "http.disconnect"]


# ---- hostile input ----


@pytest.mark.attack
async def test_hostile_input_never_gets_a_5xx(bench: Bench, application: Application) -> None:
    middleware, chance = guarded(bench, application), random.Random(7)
    good = bench.signed("POST", "/orders", b"{}", by="auth token")
    for _ in range(300):
        headers = list(good["headers"])
        place = chance.randrange(len(headers))
        name, value = headers[place]
        cut = chance.randrange(len(value) + 1)
        mangled = chance.choice(
            [
                value[:cut],
                value[:cut] + chance.randbytes(4) + value[cut:],
                value * 2,
                value + b", " + value,
                b"",
                b"\xff" * 40,
                value.replace(b"sig", b"gis"),
                value[:cut] + b'"' + value[cut:],
            ]
        )
        headers[place : place + 1] = chance.choice([[(name, mangled)], [(name, value), (name, mangled)], []])
        answer = await ask(middleware, {**good, "headers": headers}, b"{}")
        assert answer.status < 500, (name, mangled)
        json.loads(answer.body) if answer.status != 200 else None
