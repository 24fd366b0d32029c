"""What a resource of draft 11 asks for first, next and last (AAuth-11 §6.1, §6.4, §6.5), and what never stands in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aauthkit import jwt as jws
from aauthkit.drafts import DRAFT_01, DRAFT_11
from aauthkit.errors import ConfigurationError, PolicyDenied
from aauthkit.keys import P256, PrivateKey
from aauthkit.resource.asgi import AAuthMiddleware, require_scopes, verified_of
from aauthkit.resource.challenge import auth_token_challenge, issue_resource_token
from aauthkit.resource.settings import Require, Resource
from aauthkit.revocation import MemoryRevocations
from aauthkit.tokens import agent as agent_tokens
from aauthkit.tokens import auth as auth_tokens
from aauthkit.tokens.resource import ResourceInteraction
from aauthkit.trust import Trust, TrustedIssuer
from aauthkit.verify import VerifiedRequest
from tests.resource.native import PERSON, NativeBench, asked, native_resource, resource_token_in
from tests.resource.signing import ISSUER, PERSON_SERVER, PROVIDER, Answer, Application, ask, scope_of

pytestmark = pytest.mark.anyio

EVERY_SCHEME = frozenset({"hwk", "jkt-jwt", "jwt"})
OTHER_SERVER = "http://other-person.localhost:8767"


@pytest.fixture
def bench() -> NativeBench:
    return NativeBench()


def guarded(
    bench: NativeBench, application: Application, settings: Resource | None = None, **options: Any
) -> AAuthMiddleware:
    return AAuthMiddleware(
        application,
        resource=settings or native_resource(),
        verification=options.pop("verification", None) or bench.verification(),
        fetcher=bench.issuers,
        **options,
    )


# ---- the order: which token meets which requirement ----


@pytest.mark.conformance("11:§6.4-1", "11:§6.5-1", "11:§6.7-2", "11:§7.1.4-3", "11:§13.11-2", "RS-11", "RS-12", "RS-13")
@pytest.mark.parametrize(
    ("by", "require", "outcome"),
    [
        ("hwk", Require.IDENTITY, "agent-token"),
        ("jkt-jwt", Require.IDENTITY, "agent-token"),
        ("agent token", Require.IDENTITY, "in"),
        ("person token", Require.IDENTITY, "agent-token"),
        ("auth token", Require.IDENTITY, "agent-token"),
        ("hwk", Require.SESSION, "agent-token"),
        ("agent token", Require.SESSION, "in"),
        ("person token", Require.SESSION, "agent-token"),
        ("hwk", Require.PERSON_TOKEN, "person-token"),
        ("agent token", Require.PERSON_TOKEN, "person-token"),
        ("person token", Require.PERSON_TOKEN, "in"),
        ("auth token", Require.PERSON_TOKEN, "in"),
        ("hwk", Require.AUTH_TOKEN, "person-token"),
        ("agent token", Require.AUTH_TOKEN, "person-token"),
        ("person token", Require.AUTH_TOKEN, "auth-token"),
        ("auth token", Require.AUTH_TOKEN, "in"),
    ],
)
async def test_each_token_meets_each_requirement_in_its_own_way(
    bench: NativeBench, application: Application, by: str, require: Require, outcome: str
) -> None:
    settings = native_resource(require=require, schemes=EVERY_SCHEME)
    answer = await ask(guarded(bench, application, settings), bench.signed(by=by))
    if outcome == "in":
        assert (answer.status, answer.body) == (200, b"in")
        return
    assert (answer.status, asked(answer), application.calls) == (401, outcome, [])
    assert "signature-error" not in answer.headers
    assert "accept-signature-scheme" not in answer.headers


async def test_a_resource_that_takes_auth_tokens_only_knows_its_callers_by_them(
    bench: NativeBench, application: Application
) -> None:
    settings = native_resource(require=Require.IDENTITY, token_types=frozenset({auth_tokens.TYP}))
    app = guarded(bench, application, settings)
    assert (await ask(app, bench.signed(by="auth token"))).status == 200
    refused = await ask(app, bench.signed(by="agent token"))
    assert (refused.status, refused.headers["signature-error"]) == (401, "error=invalid_jwt")


async def test_one_endpoint_may_ask_for_more_than_the_others(bench: NativeBench, application: Application) -> None:
    settings = native_resource(require=Require.IDENTITY)
    app = guarded(
        bench,
        application,
        settings,
        require_for=lambda scope: Require.AUTH_TOKEN if scope["path"] == "/orders" else Require.IDENTITY,
    )
    assert (await ask(app, bench.signed(target="/hello"))).status == 200
    assert asked(await ask(app, bench.signed(target="/orders"))) == "person-token"
    assert asked(await ask(app, bench.signed(target="/orders", by="person token"))) == "auth-token"


async def test_an_endpoint_that_asks_for_more_asks_for_the_scopes_too__6_5(
    bench: NativeBench, application: Application
) -> None:
    """An auth token that allows something else was let in where the rest of the resource asks for less."""
    app = guarded(
        bench, application, native_resource(require=Require.IDENTITY), require_for=lambda scope: Require.AUTH_TOKEN
    )
    lesser = await ask(app, bench.signed(token=bench.auth_token(scope="profile")))
    assert (lesser.status, asked(lesser), application.calls) == (401, "auth-token", [])
    assert (await ask(app, bench.signed(by="auth token"))).status == 200


async def test_one_endpoint_may_ask_for_less_than_the_others(bench: NativeBench, application: Application) -> None:
    app = guarded(bench, application, native_resource(), require_for=lambda scope: Require.IDENTITY)
    assert (await ask(app, bench.signed(by="agent token"))).status == 200


async def test_the_application_sees_the_person_and_no_agent(bench: NativeBench, application: Application) -> None:
    await ask(guarded(bench, application), bench.signed(token=bench.auth_token(account="work")))
    verified = verified_of(application.calls[0][0])
    assert verified.auth_token is not None
    assert (verified.sub, verified.ps, verified.agent, verified.auth_token.account) == (
        PERSON,
        PERSON_SERVER,
        None,
        "work",
    )


# ---- unsigned ----


@pytest.mark.conformance("11:§11.3.4-1", "SK:§4.2-1", "RS-50")
@pytest.mark.parametrize(
    ("require", "first"),
    [
        (Require.IDENTITY, "agent-token"),
        (Require.SESSION, "agent-token"),
        (Require.PERSON_TOKEN, "person-token"),
        (Require.AUTH_TOKEN, "person-token"),
    ],
)
async def test_an_unsigned_request_is_told_what_to_sign_with__11_6(
    bench: NativeBench, application: Application, require: Require, first: str
) -> None:
    app = guarded(bench, application, native_resource(require=require, schemes=frozenset({"hwk", "jwt"})))
    answer = await ask(app, scope_of("GET", "/orders", [("host", "orders.localhost:3000")]))
    assert (answer.status, answer.error) == (401, "invalid_signature")
    assert answer.headers["content-type"] == "application/problem+json"
    assert {
        name: answer.headers[name] for name in answer.headers if name not in ("content-type", "content-length")
    } == {
        "cache-control": "no-store",
        "aauth-requirement": f"requirement={first}",
        "www-authenticate": "AAuth",
        "signature-error": "error=invalid_signature",
        "accept-signature": 'sig=("@method" "@authority" "@path" "signature-key");created',
        "accept-signature-scheme": "jwt, hwk",
        "accept-signature-alg": "Ed25519, ES256",
    }
    assert application.calls == []


@pytest.mark.conformance("11:§11.3.4-4", "11:§11.3.4.1-1")
async def test_a_refused_scheme_is_told_every_accepted_one(bench: NativeBench, application: Application) -> None:
    answer = await ask(guarded(bench, application), bench.signed(by="hwk"))
    assert (answer.status, answer.headers["signature-error"]) == (401, "error=unsupported_scheme")
    assert answer.headers["accept-signature-scheme"] == "jwt"


@pytest.mark.conformance("11:§11.3.4-8", "SK:§5.3-1")
async def test_a_refusal_after_verification_says_nothing_of_signatures(
    bench: NativeBench, application: Application
) -> None:
    async def authorize(_verified: Any) -> None:
        raise PolicyDenied("no")

    answer = await ask(guarded(bench, application, authorize=authorize), bench.signed(by="auth token"))
    assert (answer.status, answer.error) == (403, "authorization_denied")
    assert not [name for name in answer.headers if name.startswith(("accept-signature", "signature-error"))]


@pytest.mark.conformance("11:§11.3.4-6", "SK:§4.2-1", "RS-04")
async def test_an_algorithm_that_is_not_accepted_is_refused_with_those_that_are(
    bench: NativeBench, application: Application
) -> None:
    bench.key = PrivateKey.generate(algorithm=P256)
    settings = native_resource(require=Require.IDENTITY, algorithms=("Ed25519",))
    answer = await ask(guarded(bench, application, settings), bench.signed())
    assert (answer.status, answer.headers["signature-error"]) == (401, "error=unsupported_algorithm")
    assert answer.headers["accept-signature-alg"] == "Ed25519"
    assert (
        await ask(guarded(bench, application, native_resource(require=Require.IDENTITY)), bench.signed())
    ).status == 200


# ---- resource tokens ----


@pytest.mark.conformance(
    "11:§6.5-2",
    "11:§6.7-1",
    "11:§6.7-3",
    "11:§6.7.1-1",
    "11:§6.7.1-2",
    "11:§6.7.1-3",
    "11:§6.7.1-4",
    "11:§6.7.1-5",
    "11:§6.7.1-6",
    "11:§6.7.1-9",
    "11:§6.7.1-10",
    "RS-30",
    "RS-31",
    "RS-32",
)
async def test_the_resource_token_names_the_person_token__11_6_7_1(
    bench: NativeBench, application: Application
) -> None:
    token = bench.person_token(mission_s256="a-mission", tenant="acme", jti="person-1")
    answer = await ask(guarded(bench, application), bench.signed(token=token))
    claims = resource_token_in(answer)
    assert jws.parse(_token_in(answer)).header["typ"] == "aa-resource+jwt"
    jti, issued, expires = claims.pop("jti"), claims.pop("iat"), claims.pop("exp")
    assert jti
    assert expires - issued == 300
    assert claims == {
        "iss": ISSUER,
        "dwk": "aauth-resource.json",
        "aud": PERSON_SERVER,
        "ps": PERSON_SERVER,
        "sub": PERSON,
        "presented_jti": "person-1",
        "agent_jkt": bench.key.thumbprint,
        "scope": "orders:read",
        "mission_s256": "a-mission",
        "tenant": "acme",
    }


@pytest.mark.conformance("11:§6.7.1-5", "RS-34")
async def test_a_step_up_names_the_auth_token_and_asks_for_both(bench: NativeBench, application: Application) -> None:
    token = bench.auth_token(scope="orders:write", jti="auth-1", account="work")
    answer = await ask(guarded(bench, application), bench.signed(token=token))
    claims = resource_token_in(answer)
    assert (answer.status, application.calls) == (401, [])
    assert (claims["presented_jti"], claims["scope"], claims["sub"]) == ("auth-1", "orders:write orders:read", PERSON)
    assert claims["account"] == "work", "a step up must not turn a grant for one account into one for any"


async def test_a_step_up_ends_with_the_token_that_holds_both(bench: NativeBench, application: Application) -> None:
    app = guarded(bench, application)
    for scope in (None, "orders:write", "other orders:readers"):
        answer = await ask(app, bench.signed(token=bench.auth_token(scope=scope)))
        assert (answer.status, asked(answer)) == (401, "auth-token")
    wanted = resource_token_in(answer)["scope"]
    assert (await ask(app, bench.signed(token=bench.auth_token(scope=wanted)))).status == 200


@pytest.mark.attack
async def test_what_the_resource_does_not_know_is_not_asked_for_again(
    bench: NativeBench, application: Application
) -> None:
    """An issuer may have put other words into `scope`; a step up carries none of them on."""
    answer = await ask(guarded(bench, application), bench.signed(token=bench.auth_token(scope="admin orders:write")))
    assert resource_token_in(answer)["scope"] == "orders:write orders:read"


@pytest.mark.attack
@pytest.mark.conformance("11:§6.7-3", "RS-31")
async def test_a_pinned_person_server_serves_no_other_people(bench: NativeBench, application: Application) -> None:
    both = Trust.only([TrustedIssuer(issuer=PERSON_SERVER), TrustedIssuer(issuer=OTHER_SERVER)])
    app = guarded(bench, application, native_resource(auth_issuers=both, person_server=OTHER_SERVER))
    answer = await ask(app, bench.signed(by="person token"))
    assert (answer.status, answer.error) == (403, "authorization_denied")


@pytest.mark.attack
async def test_an_agent_tokens_person_server_is_not_asked__rs_31(bench: NativeBench, application: Application) -> None:
    answer = await ask(guarded(bench, application), bench.signed(token=bench.agent_token(ps=OTHER_SERVER)))
    assert (asked(answer), b"eyJ" in answer.body) == ("person-token", False)


@pytest.mark.conformance("11:§7.2.3-3", "RS-35")
async def test_a_hint_and_a_page_of_our_own_go_with_the_resource_token(
    bench: NativeBench, application: Application
) -> None:
    settings = native_resource()
    page = ResourceInteraction(url="https://orders.example/link", code="A1B2C-3D4E5")

    async def authorize(verified: VerifiedRequest) -> None:
        if "orders:read" not in verified.scopes:
            hinted: dict[str, Any] = {"login_hint": "ada@example.org", "interaction": page}
            raise auth_token_challenge(
                issue_resource_token(verified, settings, ["orders:read"], now=bench.clock.now(), **hinted)
            )

    app = guarded(bench, application, settings, authorize=authorize)
    claims = resource_token_in(await ask(app, bench.signed(token=bench.auth_token(scope="orders:write"))))
    assert claims["login_hint"] == "ada@example.org"
    assert claims["interaction"] == {"url": "https://orders.example/link", "code": "A1B2C-3D4E5"}


@pytest.mark.conformance("11:§6.7.1-8", "RS-35")
async def test_a_hint_is_not_believed_to_have_been_followed(bench: NativeBench, application: Application) -> None:
    """The person of the auth token is the one it names, whoever the hint was about; scopes are asked for again."""
    app = guarded(bench, application)
    assert (
        asked(await ask(app, bench.signed(token=bench.auth_token(scope="orders:write", sub="another")))) == "auth-token"
    )
    await ask(app, bench.signed(token=bench.auth_token(sub="another")))
    assert verified_of(application.calls[0][0]).sub == "another"


@pytest.mark.conformance("11:§7.2.3-3")
@pytest.mark.parametrize("url", ["http://orders.example/link", "https://orders.example/link?x=1", "link"])
async def test_a_page_that_is_no_https_url_is_our_own_mistake(
    bench: NativeBench, application: Application, url: str
) -> None:
    settings = native_resource()

    async def authorize(verified: VerifiedRequest) -> None:
        page = ResourceInteraction(url=url, code="A1B2C-3D4E5")
        issue_resource_token(verified, settings, ["orders:read"], now=bench.clock.now(), interaction=page)

    answer = await ask(guarded(bench, application, settings, authorize=authorize), bench.signed(by="auth token"))
    assert (answer.status, answer.error) == (500, "server_error")


# ---- tokens that are not what they seem ----


@pytest.mark.attack
@pytest.mark.conformance("11:§7.1.4-1", "11:§9.4.3-2", "RS-10", "RS-40")
@pytest.mark.parametrize("kind", ["person", "auth"])
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"audience": "http://other.localhost:3000"}, "invalid_jwt"),
        ({"audience": f"{ISSUER}/"}, "invalid_jwt"),
        ({"issuer": OTHER_SERVER}, "invalid_jwt"),
        ({"issuer": PROVIDER}, "invalid_jwt"),
        ({"now": 1_795_300_000.0 - 3600}, "expired_jwt"),
        ({"now": 1_795_300_000.0 + 61}, "clock_skew"),
        ({"confirm": PrivateKey.generate().public}, "invalid_signature"),
        ({"by": PrivateKey.generate()}, "unknown_key"),
    ],
    ids=["audience", "slash", "issuer", "provider", "expired", "future", "stolen", "forged"],
)
async def test_a_token_that_is_not_for_this_request_is_a_signature_error(
    bench: NativeBench, application: Application, kind: str, changes: dict[str, Any], code: str
) -> None:
    token = bench.person_token(**changes) if kind == "person" else bench.auth_token(**changes)
    answer = await ask(guarded(bench, application), bench.signed(token=token))
    assert (answer.status, answer.headers["signature-error"], application.calls) == (401, f"error={code}", [])
    assert "resource-token" not in answer.headers.get("aauth-requirement", "")


@pytest.mark.attack
@pytest.mark.conformance("11:§7.1.4-3", "11:§13.11-1", "11:§13.11-2", "RS-12")
async def test_a_person_token_with_scope_is_no_auth_token(bench: NativeBench, application: Application) -> None:
    """The two differ in `typ` alone; neither a scope inside nor the same claims make one the other."""
    claims = dict(jws.parse(bench.person_token()).claims) | {"scope": "orders:read"}
    smuggled = jws.encode(bench.issuers.person_server_key, DRAFT_11, "aa-person+jwt", claims)
    answer = await ask(guarded(bench, application), bench.signed(token=smuggled))
    assert (answer.status, answer.headers["signature-error"]) == (401, "error=invalid_jwt")
    everything = await ask(
        guarded(bench, application, authorize=require_scopes(native_resource(), [])), bench.signed(by="person token")
    )
    assert (everything.status, asked(everything), application.calls) == (401, "auth-token", [])


@pytest.mark.conformance("11:§11.12.5-1", "11:§11.12.5-2", "11:§11.3.4-5e", "RS-43", "RS-61")
@pytest.mark.parametrize(("kind", "requirement"), [("person", ""), ("auth", "person-token")])
async def test_a_revoked_token_is_called_revoked(
    bench: NativeBench, application: Application, kind: str, requirement: str
) -> None:
    revocations = MemoryRevocations(clock=bench.clock)
    token = bench.person_token(jti="it") if kind == "person" else bench.auth_token(jti="it")
    revocations.record(PERSON_SERVER, "it", int(bench.clock.now()) + 3600)
    verification = bench.verification()
    app = guarded(
        bench,
        application,
        verification=type(verification)(
            discovery=verification.discovery,
            replays=verification.replays,
            clock=bench.clock,
            revocations=revocations,
        ),
    )
    answer = await ask(app, bench.signed(token=token))
    assert (answer.status, answer.headers["signature-error"], asked(answer)) == (401, "error=revoked_jwt", requirement)
    assert "resource-token" not in answer.headers.get("aauth-requirement", "")
    assert json.loads(answer.body)["error"] == "revoked_jwt"


@pytest.mark.attack
async def test_a_request_signed_by_another_key_than_the_tokens_is_refused(
    bench: NativeBench, application: Application
) -> None:
    answer = await ask(guarded(bench, application), bench.signed(by="auth token", key=PrivateKey.generate()))
    assert (answer.status, answer.headers["signature-error"]) == (401, "error=invalid_signature")


# ---- settings ----


@pytest.mark.parametrize(
    "changes",
    [
        {"require": Require.PERSON_TOKEN, "draft": DRAFT_01},
        {"require": Require.PERSON_TOKEN, "auth_issuers": Trust.nobody()},
        {"require": Require.PERSON_TOKEN, "token_types": frozenset({agent_tokens.TYP})},
        {"require": Require.PERSON_TOKEN, "schemes": frozenset({"hwk"})},
        {"token_types": frozenset({agent_tokens.TYP, auth_tokens.TYP})},
        {"algorithms": ("EdDSA",)},
        {"algorithms": ()},
    ],
)
def test_what_draft_11_could_never_meet_is_refused_at_start(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        native_resource(**changes)


def test_the_native_draft_is_the_default() -> None:
    settings = Resource(
        issuer=ISSUER,
        require=Require.IDENTITY,
        agent_providers=Trust.nobody(),
        auth_issuers=Trust.nobody(),
        development=True,
    )
    assert settings.draft is DRAFT_11


def _token_in(answer: Answer) -> str:
    value = answer.headers["aauth-requirement"]
    return value.partition('resource-token="')[2].rstrip('"')
