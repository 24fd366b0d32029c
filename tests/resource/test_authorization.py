"""The authorization endpoint of draft 11 (AAuth-11 §6.6): a person token and a wish in, a resource token out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.types import ASGIApp

from aauthkit import jwt as jws
from aauthkit import protect
from aauthkit.drafts import DRAFT_11
from aauthkit.keys import PublicKey
from aauthkit.resource.authorization import AccessRequest, Authorized, Person
from aauthkit.resource.metadata import resource_link, resource_link_element, resource_metadata
from aauthkit.resource.settings import About, Require, Resource
from aauthkit.tokens import agent as agent_tokens
from aauthkit.trust import Trust
from aauthkit.verify import VerifiedRequest
from tests.resource.native import PERSON, NativeBench, asked, native_resource
from tests.resource.signing import ISSUER, PERSON_SERVER, Answer, Application, ask, scope_of

pytestmark = pytest.mark.anyio

PATH = "/resource/token"
ACCOUNTS = {(PERSON_SERVER, PERSON): {"work", "home"}, (PERSON_SERVER, "somebody else"): {"theirs"}}


@pytest.fixture
def bench() -> NativeBench:
    return NativeBench()


async def accounts(person: Person, account: str) -> bool:
    return account in ACCOUNTS.get((person.ps, person.sub), set())


def guarded(bench: NativeBench, application: ASGIApp, settings: Resource | None = None, **options: Any) -> ASGIApp:
    return protect(application, settings or native_resource(), clock=bench.clock, fetcher=bench.issuers, **options)


async def wish(app: ASGIApp, bench: NativeBench, body: Any, **signing: Any) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await ask(app, bench.signed("POST", PATH, content, **{"by": "person token"} | signing), content)


@pytest.mark.conformance("11:§6.6-2", "11:§6.7-1", "11:§6.7.1-5", "RS-20", "RS-30")
async def test_a_person_token_and_a_scope_get_a_resource_token(bench: NativeBench, application: Application) -> None:
    settings = native_resource()
    token = bench.person_token(jti="person-1")
    wanted = {"scope": "orders:write orders:read"}
    answer = await wish(guarded(bench, application, settings), bench, wanted, token=token)
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    issued = jws.parse(json.loads(answer.body)["resource_token"])
    assert settings.signing_key is not None
    issued.verify(settings.signing_key.public, DRAFT_11)
    claims = issued.claims
    assert (claims["aud"], claims["ps"], claims["sub"]) == (PERSON_SERVER, PERSON_SERVER, PERSON)
    assert (claims["presented_jti"], claims["agent_jkt"]) == ("person-1", bench.key.thumbprint)
    assert claims["scope"] == "orders:write orders:read"
    assert {"agent", "account", "cnf"}.isdisjoint(claims)
    assert application.calls == []


@pytest.mark.conformance("11:§6.4-1", "11:§6.7-2", "RS-20")
@pytest.mark.parametrize("by", ["agent token", "auth token"])
async def test_without_a_person_token_one_is_asked_for(bench: NativeBench, application: Application, by: str) -> None:
    answer = await wish(guarded(bench, application), bench, {"scope": "orders:read"}, by=by)
    assert (answer.status, asked(answer), b"eyJ" in answer.body) == (401, "person-token", False)


@pytest.mark.conformance("11:§6.4-1")
async def test_an_unsigned_wish_is_asked_for_a_person_token(bench: NativeBench, application: Application) -> None:
    app = guarded(bench, application, native_resource(require=Require.IDENTITY))
    answer = await ask(app, scope_of("POST", PATH, [("host", "orders.localhost:3000")]), b'{"scope": "orders:read"}')
    assert (answer.status, asked(answer)) == (401, "person-token")
    assert answer.headers["signature-error"] == "error=invalid_signature"


@pytest.mark.conformance("11:§6.6.3-2", "RS-21")
async def test_a_person_token_that_fails_is_a_signature_error(bench: NativeBench, application: Application) -> None:
    token = bench.person_token(audience="http://other.localhost:3000")
    answer = await wish(guarded(bench, application), bench, {"scope": "orders:read"}, token=token)
    assert (answer.status, answer.headers["signature-error"]) == (401, "error=invalid_jwt")


@pytest.mark.attack
@pytest.mark.conformance("11:§6.6-3", "11:§6.6.3-1", "11:§11.10-1", "RS-21")
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid_request"),
        ({"scope": ""}, "invalid_request"),
        ({"scope": " "}, "invalid_request"),
        ({"scope": ["orders:read"]}, "invalid_request"),
        ({"scope": None}, "invalid_request"),
        ({"scope": "orders:read  orders:write"}, "invalid_request"),
        ({"scope": "orders:read\torders:write"}, "invalid_request"),
        ({"scope": "orders:read\u00a0orders:write"}, "invalid_request"),
        ({"scope": "orders:read\norders:write"}, "invalid_request"),
        ({"scope": 'orders:read"'}, "invalid_request"),
        (b'{"scope": "orders:read", "scope": "orders:write"}', "invalid_request"),
        (b"[]", "invalid_request"),
        (b"", "invalid_request"),
        (b"[" * 9000, "invalid_request"),
        (b'{"scope": "\xff"}', "invalid_request"),
        ({"scope": "orders:delete"}, "invalid_scope"),
        ({"scope": "orders:read orders:delete"}, "invalid_scope"),
        ({"scope": "ORDERS:READ"}, "invalid_scope"),
        ({"scope": "openid"}, "invalid_scope"),
        ({"scope": "orders:read", "account": ""}, "invalid_request"),
        ({"scope": "orders:read", "account": 7}, "invalid_request"),
        ({"scope": "orders:read", "account": "wo\u0000rk"}, "invalid_request"),
        ({"scope": "orders:read", "account": "w" * 513}, "invalid_request"),
        ({"scope": "orders:read", "account": "theirs"}, "invalid_account"),
        ({"scope": "orders:read", "account": "Work"}, "invalid_account"),
    ],
    ids=str,
)
async def test_a_wrong_wish_is_refused_by_the_table(
    bench: NativeBench, application: Application, body: Any, code: str
) -> None:
    answer = await wish(guarded(bench, application, accounts=accounts), bench, body)
    assert (answer.status, answer.error, answer.headers["content-type"]) == (400, code, "application/problem+json")
    assert "signature-error" not in answer.headers
    assert b"eyJ" not in answer.body


async def test_a_wish_as_large_as_a_book_is_not_read(bench: NativeBench, application: Application) -> None:
    answer = await wish(guarded(bench, application), bench, {"scope": "x" * 20_000})
    assert (answer.status, answer.error) == (413, "payload_too_large")


async def test_it_is_asked_with_post(bench: NativeBench, application: Application) -> None:
    answer = await ask(guarded(bench, application), bench.signed("GET", PATH, by="person token"))
    assert (answer.status, answer.error) == (405, "method_not_allowed")


@pytest.mark.conformance("11:§11.11-1", "RS-32")
async def test_an_account_the_person_holds_is_echoed(bench: NativeBench, application: Application) -> None:
    answer = await wish(
        guarded(bench, application, accounts=accounts), bench, {"scope": "orders:read", "account": "work"}
    )
    assert jws.parse(json.loads(answer.body)["resource_token"]).claims["account"] == "work"


@pytest.mark.attack
@pytest.mark.conformance("11:§7.1.4-4", "11:§7.1.4-6", "11:§13.10-1")
async def test_the_same_sub_of_another_person_server_is_another_person(
    bench: NativeBench, application: Application
) -> None:
    asked_about: list[Person] = []

    async def note(person: Person, account: str) -> bool:
        asked_about.append(person)
        return await accounts(Person(ps="http://other.localhost", sub=person.sub), account)

    token = bench.person_token(tenant="acme")
    answer = await wish(
        guarded(bench, application, accounts=note), bench, {"scope": "orders:read", "account": "work"}, token=token
    )
    assert (answer.error, asked_about) == ("invalid_account", [Person(ps=PERSON_SERVER, sub=PERSON)])


async def test_a_resource_without_accounts_knows_none(bench: NativeBench, application: Application) -> None:
    answer = await wish(guarded(bench, application), bench, {"scope": "orders:read", "account": "work"})
    assert (answer.status, answer.error) == (400, "invalid_account")


async def test_what_the_application_grants_itself_needs_no_person_server__6_6_1(
    bench: NativeBench, application: Application
) -> None:
    async def grants(_scope: Any, verified: VerifiedRequest, wanted: AccessRequest) -> Authorized | None:
        assert verified.sub == PERSON
        return Authorized(scopes=("orders:read",), session_token="sealed") if "orders:read" in wanted.scopes else None

    app = guarded(bench, application, grants=grants)
    answer = await wish(app, bench, {"scope": "orders:read orders:write"})
    assert (answer.status, answer.headers["aauth-access"]) == (200, "sealed")
    assert json.loads(answer.body) == {"status": "authorized", "scope": "orders:read"}
    left = await wish(app, bench, {"scope": "orders:write"})
    assert ("resource_token" in json.loads(left.body), "aauth-access" in left.headers) == (True, False)


# ---- metadata ----


@pytest.mark.conformance("11:§11.2.4-1", "11:§11.2.4-2", "RS-01", "RS-02", "RS-03", "RS-04")
def test_the_metadata_document_of_draft_11() -> None:
    described = native_resource(
        name="Orders",
        about=About(
            description="**Orders**", logo_uri="https://orders.example/logo.png?v=1", tos_uri="https://o.example/t"
        ),
        scopes=("orders:read", "orders:write"),
        scope_descriptions={"orders:read": "See orders"},
        cover=("content-digest",),
        algorithms=("Ed25519",),
    )
    assert resource_metadata(described) == {
        "issuer": ISSUER,
        "jwks_uri": f"{ISSUER}/.well-known/jwks.json",
        "access_mode": "auth-token",
        "name": "Orders",
        "description": "**Orders**",
        "logo_uri": "https://orders.example/logo.png?v=1",
        "tos_uri": "https://o.example/t",
        "authorization_endpoint": f"{ISSUER}/resource/token",
        "scope_descriptions": {"orders:read": "See orders", "orders:write": "orders:write"},
        "accept_signature_algs": ["Ed25519"],
        "revocation_endpoint": f"{ISSUER}/aauth/revocation",
        "additional_signature_components": ["content-digest"],
    }


@pytest.mark.conformance("11:§11.2.4-2", "RS-01", "RS-03")
@pytest.mark.parametrize(
    ("require", "mode"),
    [(Require.IDENTITY, "agent-token"), (Require.SESSION, "session-token"), (Require.PERSON_TOKEN, "person-token")],
)
def test_a_resource_that_issues_nothing_publishes_no_keys(require: Require, mode: str) -> None:
    document = resource_metadata(native_resource(require=require, signing_key=None))
    assert document["access_mode"] == mode
    assert {"jwks_uri", "authorization_endpoint"}.isdisjoint(document)
    agents_only = native_resource(
        require=Require.IDENTITY,
        signing_key=None,
        auth_issuers=Trust.nobody(),
        token_types=frozenset({agent_tokens.TYP}),
    )
    assert "revocation_endpoint" not in resource_metadata(agents_only)


async def test_its_published_keys_carry_alg__11_4(bench: NativeBench, application: Application) -> None:
    settings = native_resource()
    answer = await ask(guarded(bench, application, settings), scope_of("GET", "/.well-known/jwks.json"))
    (jwk,) = json.loads(answer.body)["keys"]
    assert settings.signing_key is not None
    assert (jwk["alg"], PublicKey.from_jwk(jwk, DRAFT_11)) == ("Ed25519", settings.signing_key.public)


@pytest.mark.conformance("11:§11.2.5-1", "RS-04")
def test_the_link_leads_to_the_metadata_of_the_issuer() -> None:
    settings = native_resource(issuer="https://orders.example", development=False)
    assert resource_link(settings) == '<https://orders.example/.well-known/aauth-resource.json>; rel="aauth-resource"'
    assert resource_link_element(settings) == (
        '<link rel="aauth-resource" href="https://orders.example/.well-known/aauth-resource.json">'
    )
