"""A resource's challenge is judged before anything is done about it, and followed only to the agent's own person
server (AAuth-01 "Resource Challenge Verification")."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from aauthkit import jwt as jws
from aauthkit.agent import Agent
from aauthkit.clock import FixedClock
from aauthkit.drafts import DRAFT_01
from aauthkit.errors import AAuthError, CannotSign, InvalidResponse, RequirementNotMet, Unavailable, UntrustedIssuer
from aauthkit.headers import requirement
from aauthkit.jwt import encode
from aauthkit.keys import PrivateKey, PublicKey, jwks
from aauthkit.tokens.resource import TYP, build_resource_token
from tests.roles.network import Network
from tests.roles.peers import DOMAIN, ORDERS, PROVIDER, Protected, Provider, hello, protected

pytestmark = [pytest.mark.anyio, pytest.mark.attack]

EVIL = "http://evil.localhost:6666"


class Hostile:
    """A resource that answers each request with what ``challenge`` makes of it, and publishes a key of its own."""

    def __init__(self, network: Network, clock: FixedClock, issuer: str = ORDERS) -> None:
        self.key = PrivateKey.generate()
        self.clock = clock
        self.issuer = issuer
        self.challenge: Callable[[dict[str, Any]], str | Response] = lambda values: build_resource_token(
            self.key, DRAFT_01, **values
        )
        network.apps[issuer.partition("//")[2]] = self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(Request(scope, receive))(scope, receive, send)

    def _answer(self, request: Request) -> Response:
        if request.url.path == "/.well-known/aauth-resource.json":
            return JSONResponse({"issuer": self.issuer, "jwks_uri": f"{self.issuer}/jwks"})
        if request.url.path == "/jwks":
            return JSONResponse(jwks([(self.key, DRAFT_01)]))
        answer = self.challenge(self.values(request))
        if isinstance(answer, Response):
            return answer
        return Response(
            status_code=401, headers={"AAuth-Requirement": requirement("auth-token", resource_token=answer)}
        )

    def values(self, request: Request) -> dict[str, Any]:
        token = request.headers["signature-key"].split('"')[1]
        claims = jws.parse(token).claims
        return {
            "issuer": self.issuer,
            "audience": PROVIDER,
            "agent": claims.get("agent") or claims["sub"],
            "agent_jkt": PublicKey.from_jwk(claims["cnf"]["jwk"], DRAFT_01).thumbprint,
            "scope": "orders:read",
            "now": self.clock.now(),
        }


@pytest.fixture
def hostile(network: Network, clock: FixedClock, provider: Provider) -> Hostile:
    return Hostile(network, clock)


async def get(agent: Agent, url: str = f"{ORDERS}/a", **options: Any) -> Any:
    async with agent.http_client(**options) as client:
        return await client.get(url)


def changed(hostile: Hostile, **changes: Any) -> None:
    hostile.challenge = lambda values: build_resource_token(hostile.key, DRAFT_01, **values | changes)


OTHER_AGENT = f"aauth:somebody-else@{DOMAIN}"


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "http://stock.localhost:3000"},
        {"issuer": EVIL},
        {"agent": OTHER_AGENT},
        {"agent_jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},
        {"now": 1_000_000_000},
        {"now": 1_795_300_000 + 60},
        {"scope": ""},
        {"scope": "two  spaces"},
    ],
    ids=str,
)
async def test_a_resource_token_that_is_not_ours_to_carry_goes_nowhere(
    network: Network, agent: Agent, hostile: Hostile, changes: dict[str, Any]
) -> None:
    changed(hostile, **changes)
    with pytest.raises(InvalidResponse):
        await get(agent)
    assert network.to(PROVIDER) == []
    assert not [url for url in network.fetched if url.startswith(EVIL)]


async def test_a_resource_token_for_another_person_server_is_not_followed_there(
    network: Network, agent: Agent, hostile: Hostile, clock: FixedClock
) -> None:
    evil = Provider(network, clock, issuer=EVIL)
    changed(hostile, audience=EVIL)
    with pytest.raises(UntrustedIssuer):
        await get(agent)
    assert evil.asked == []
    assert not [url for url in network.fetched if url.startswith(EVIL)]


async def test_a_resource_token_with_the_wrong_signature_goes_nowhere(
    network: Network, agent: Agent, hostile: Hostile
) -> None:
    wrong = PrivateKey.generate(kid=hostile.key.kid)
    hostile.challenge = lambda values: build_resource_token(wrong, DRAFT_01, **values)
    with pytest.raises(InvalidResponse):
        await get(agent)
    assert network.to(PROVIDER) == []


async def test_a_resource_token_by_an_unpublished_key_goes_nowhere(
    network: Network, agent: Agent, hostile: Hostile
) -> None:
    hostile.challenge = lambda values: build_resource_token(PrivateKey.generate(), DRAFT_01, **values)
    with pytest.raises(InvalidResponse):
        await get(agent)


@pytest.mark.parametrize(
    "raw",
    ["", "x", "a.b.c", "e30.e30.e30", "x" * 20_000, encode(PrivateKey.generate(), DRAFT_01, "aa-auth+jwt", {}), None],
    ids=lambda raw: str(raw)[:12],
)
async def test_something_else_than_a_resource_token_goes_nowhere(
    agent: Agent, hostile: Hostile, raw: str | None
) -> None:
    header = "requirement=auth-token" if raw is None else f'requirement=auth-token; resource-token="{raw}"'
    hostile.challenge = lambda _: Response(status_code=401, headers={"AAuth-Requirement": header})
    with pytest.raises(InvalidResponse):
        await get(agent)


@pytest.mark.parametrize(
    "header",
    [
        "requirement=",
        "requirement=auth-token; requirement=auth-token",
        "requirement=auth-token, requirement=auth-token",
        'resource-token="x"',
        'requirement="auth-token"',
        'requirement=auth-token; resource-token="\\x"',
        "\xff\xfe",
        "requirement=auth-token; a=" + "1" * 70_000,
        ";" * 60_000,
        "(" * 60_000,
    ],
    ids=lambda header: header[:30],
)
async def test_a_requirement_that_cannot_be_read_is_an_error_of_ours(
    agent: Agent, hostile: Hostile, header: str
) -> None:
    def answer(_values: Any) -> Response:
        response = Response(status_code=401)
        response.raw_headers.append((b"aauth-requirement", header.encode("latin-1")))
        return response

    hostile.challenge = answer
    with pytest.raises(InvalidResponse):
        await get(agent)


async def test_the_comma_form_of_a_challenge_is_read_too(network: Network, agent: Agent, hostile: Hostile) -> None:
    def answer(values: Any) -> Response:
        if len(network.to(ORDERS)) > 0:
            return Response("in")
        token = build_resource_token(hostile.key, DRAFT_01, **values)
        return Response(
            status_code=401, headers={"AAuth-Requirement": f'requirement=auth-token, resource-token="{token}"'}
        )

    hostile.challenge = answer
    assert (await get(agent)).text == "in"


@pytest.mark.parametrize("header", [None, "requirement=agent-token", "requirement=person-token"])
async def test_a_401_that_asks_for_nothing_we_have_is_the_applications(
    network: Network, agent: Agent, hostile: Hostile, header: str | None
) -> None:
    headers = {"AAuth-Requirement": header} if header else {}
    hostile.challenge = lambda _: Response(status_code=401, headers=headers)
    assert (await get(agent)).status_code == 401
    assert len(network.crossings) == 1


@pytest.mark.conformance("11:§11.6.2-1")
@pytest.mark.parametrize(("status", "words"), [(401, "'magic'"), (402, "paid")])
async def test_a_requirement_that_cannot_be_met_is_told_in_words__11_6_2(
    network: Network, agent: Agent, hostile: Hostile, status: int, words: str
) -> None:
    headers = {"AAuth-Requirement": "requirement=magic"}
    hostile.challenge = lambda _: Response(status_code=status, headers=headers)
    with pytest.raises(RequirementNotMet, match=words):
        await get(agent)
    assert len(network.crossings) == 1


async def test_a_resource_that_always_challenges_gets_one_exchange(
    network: Network, agent: Agent, hostile: Hostile, provider: Provider
) -> None:
    assert (await get(agent)).status_code == 401
    assert network.lines(ORDERS) == ["GET /a 401", "GET /a 401"]
    assert len(provider.asked) == 1


async def test_a_resource_that_complains_of_each_token_gets_two_exchanges_at_most(
    network: Network, agent: Agent, hostile: Hostile, provider: Provider
) -> None:
    """A held token that stopped being good is replaced; a fresh one that is refused as well is the end of it."""

    def answer(values: Any) -> str | Response:
        if presented[-1] == "aa-agent+jwt":
            return build_resource_token(hostile.key, DRAFT_01, **values)
        return Response(status_code=401, headers={"Signature-Error": "error=invalid_jwt"})

    presented: list[str] = []
    original = hostile.values

    def values(request: Request) -> dict[str, Any]:
        presented.append(jws.parse(request.headers["signature-key"].split('"')[1]).typ)
        return original(request)

    hostile.values = values  # type: ignore[method-assign]
    hostile.challenge = answer
    assert (await get(agent)).status_code == 401
    assert presented == ["aa-agent+jwt", "aa-auth+jwt"]
    assert (await get(agent)).status_code == 401
    assert len(provider.asked) == 2


async def test_a_held_token_that_is_refused_is_replaced(
    network: Network, agent: Agent, orders: Protected, provider: Provider
) -> None:
    """The person server changed its keys: what it issued before does not verify any more."""
    old = PrivateKey.generate()
    provider.published.append(old)
    provider.tokens.append(lambda request, body: provider.grant(request, body, key=old))
    await get(agent)
    provider.published.remove(old)
    orders.verification.discovery.forget(f"{PROVIDER}/jwks")
    network.forget()
    assert (await get(agent)).status_code == 200
    assert [crossing.token_type for crossing in network.to(ORDERS)] == ["aa-auth+jwt", "aa-agent+jwt", "aa-auth+jwt"]


async def test_what_a_resource_wants_covered_is_covered_from_then_on(
    network: Network, clock: FixedClock, agent: Agent
) -> None:
    protected(network, clock, hello, cover=("@query", "x-order"))
    async with agent.http_client(headers={"X-Order": "7"}) as client:
        assert (await client.get(f"{ORDERS}/a?b=c")).status_code == 200
        assert (await client.get(f"{ORDERS}/a?b=d")).status_code == 200
    assert network.lines(ORDERS) == ["GET /a 401", "GET /a 401", "GET /a 200", "GET /a 200"]
    assert '"@query" "x-order"' in (network.to(ORDERS)[-1].header("signature-input") or "")


async def test_what_cannot_be_covered_is_said_and_spoils_nothing(
    network: Network, clock: FixedClock, agent: Agent
) -> None:
    protected(network, clock, hello, cover=("x-order",))
    with pytest.raises(CannotSign, match="x-order"):
        await get(agent)
    async with agent.http_client(headers={"X-Order": "7"}) as client:
        assert (await client.get(f"{ORDERS}/a")).status_code == 200
    with pytest.raises(CannotSign, match="x-order"):
        await get(agent)


@pytest.mark.parametrize(
    "required",
    ['("@method" "no-such-header")', '("@status")', '("@query-param")', '("a\\"b")', "(1 2)", '"@method"', "(" * 999],
    ids=lambda required: required[:24],
)
async def test_a_hostile_wish_for_coverage_ends_in_an_error_or_the_401(
    agent: Agent, hostile: Hostile, required: str
) -> None:
    headers = {"Signature-Error": f"error=invalid_input, required_input={required}"}
    hostile.challenge = lambda _: Response(status_code=401, headers=headers)
    for _ in range(2):
        try:
            assert (await get(agent)).status_code == 401
        except CannotSign:
            continue


async def test_a_resource_whose_documents_cannot_be_had_is_unavailable(
    network: Network, agent: Agent, hostile: Hostile
) -> None:
    network.silent.add("orders.localhost:3000")
    with pytest.raises(Unavailable):
        await get(agent)


@pytest.mark.parametrize(
    "location",
    [
        f"{EVIL}/pending/1",
        "//evil.localhost:6666/pending/1",
        "https://orders.localhost:3000/pending/1",
        "http://orders.localhost:3000@evil.localhost:6666/",
        "http://orders.localhost:3001/pending",
        "http://[/",
        "file:///etc/passwd",
    ],
)
async def test_a_pending_address_on_another_origin_is_not_polled(
    network: Network, agent: Agent, hostile: Hostile, location: str
) -> None:
    hostile.challenge = lambda _: JSONResponse({"status": "pending"}, 202, {"Location": location})
    with pytest.raises(InvalidResponse):
        await get(agent)
    assert len(network.crossings) == 1


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "http://person.example/consent",
        "https://person.example/consent?next=",
        "https://person.example/consent#",
        "https://me@person.example/consent",
        "data:text/html,x",
        "",
    ],
)
async def test_a_person_is_not_sent_to_an_address_a_browser_would_misuse(
    agent: Agent, hostile: Hostile, url: str
) -> None:
    asked = requirement("interaction", url=url, code="ABCD-EFGH")
    hostile.challenge = lambda _: JSONResponse(
        {"status": "pending"}, 202, {"Location": "/pending", "AAuth-Requirement": asked}
    )
    told: list[Any] = []
    with pytest.raises(InvalidResponse):
        await get(agent, auth=agent.auth(on_interaction=told.append))
    assert told == []


@pytest.mark.parametrize("code", ["", "x" * 200])
async def test_a_code_that_cannot_be_compared_is_refused(agent: Agent, hostile: Hostile, code: str) -> None:
    asked = requirement("interaction", url="https://person.example/consent", code=code)
    hostile.challenge = lambda _: JSONResponse(
        {"status": "pending"}, 202, {"Location": "/pending", "AAuth-Requirement": asked}
    )
    with pytest.raises(InvalidResponse):
        await get(agent, auth=agent.auth(on_interaction=lambda _: None))


async def test_a_resource_that_never_finishes_is_given_up_within_the_clients_own_limit(
    network: Network, agent: Agent, hostile: Hostile
) -> None:
    """The client counts polls as redirects and would end the call with an error about redirects."""
    hostile.challenge = lambda _: JSONResponse({"status": "pending"}, 202, {"Location": "/p", "Retry-After": "0"})
    with pytest.raises(AAuthError, match="still pending"):
        await get(agent)
    assert len(network.crossings) < 20


async def test_an_applications_own_202_is_the_applications(network: Network, agent: Agent, hostile: Hostile) -> None:
    hostile.challenge = lambda _: JSONResponse({"job": 7}, 202, {"Location": "/jobs/7"})
    response = await get(agent)
    assert (response.status_code, response.json()) == (202, {"job": 7})
    assert len(network.crossings) == 1


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (
            202,
            {
                "Location": "/pending",
                "AAuth-Requirement": 'requirement=interaction; url="https://x.example/"; code="A"',
            },
        ),
        (401, {"AAuth-Requirement": "requirement=auth-token"}),
        (401, {"Signature-Error": "error=expired_jwt"}),
        (401, {"Signature-Error": 'error=invalid_input, required_input=("@query")'}),
    ],
)
async def test_what_a_redirect_leads_to_starts_nothing(
    network: Network, agent: Agent, orders: Protected, hostile: Hostile, status: int, headers: dict[str, str]
) -> None:
    """The answer is another server's: it gets no signature, sends nobody anywhere and costs no token."""
    network.apps["orders.localhost:3000"] = orders
    await get(agent)
    evil = Hostile(network, hostile.clock, EVIL)
    evil.values = lambda request: {}  # type: ignore[method-assign]
    evil.challenge = lambda _: JSONResponse({"status": "pending"}, status, headers)
    held = agent.store.auth.values()

    async def redirecting(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(status_code=307, headers={"Location": f"{EVIL}/x"})(scope, receive, send)

    network.apps["orders.localhost:3000"] = redirecting
    network.forget()
    response = await get(agent, follow_redirects=True)
    assert response.status_code == status
    assert [crossing.signed for crossing in network.crossings] == [True, False]
    assert not [n for n, _ in network.to(EVIL)[0].headers if n.lower() in (b"signature-key", b"content-digest")]
    assert agent.store.auth.values() == held
    assert agent.store.cover(ORDERS) == ()


async def test_a_redirect_on_the_same_origin_carries_no_signature_either(
    network: Network, agent: Agent, orders: Protected
) -> None:
    async def moved(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/old":
            await Response(status_code=307, headers={"Location": "/new"})(scope, receive, send)
        else:
            await orders(scope, receive, send)

    network.apps["orders.localhost:3000"] = moved
    response = await get(agent, f"{ORDERS}/old", follow_redirects=True)
    assert response.status_code == 401
    assert [(crossing.line, crossing.signed) for crossing in network.crossings] == [
        ("GET /old 307", True),
        ("GET /new 401", False),
    ]


async def test_a_person_server_that_redirects_a_token_request_is_not_followed(
    network: Network, agent: Agent, orders: Protected, provider: Provider, clock: FixedClock
) -> None:
    """The body holds a resource token and an upstream token; a client that follows 307 would repeat it elsewhere."""
    evil = Provider(network, clock, issuer=EVIL)
    provider.tokens.append(Response(status_code=307, headers={"Location": f"{EVIL}/token"}))
    with pytest.raises(InvalidResponse):
        await get(agent, follow_redirects=True)
    assert evil.asked == []
    assert network.to(EVIL) == []


AUTH_TOKEN_FAULTS: dict[str, dict[str, Any]] = {
    "another key": {"confirm": PrivateKey.generate().public},
    "another resource": {"audience": "http://stock.localhost:3000"},
    "another agent": {"agent": OTHER_AGENT},
    "another issuer": {"issuer": EVIL},
    "expired": {"now": 1_000_000_000},
    "an unpublished key": {"key": PrivateKey.generate()},
    "nothing granted": {"scope": None},
}


@pytest.mark.parametrize("changes", AUTH_TOKEN_FAULTS.values(), ids=AUTH_TOKEN_FAULTS.keys())
async def test_an_auth_token_that_is_not_what_was_asked_for_is_not_used(
    network: Network, agent: Agent, orders: Protected, provider: Provider, changes: dict[str, Any]
) -> None:
    """AAuth-01 "Auth Token Response Verification"."""
    provider.tokens.append(lambda request, body: provider.grant(request, body, **changes))
    with pytest.raises(InvalidResponse):
        await get(agent)
    assert network.lines(ORDERS) == ["GET /a 401"]
    assert not [url for url in network.fetched if url.startswith(EVIL)]


async def test_an_auth_token_with_a_forged_signature_is_not_used(
    network: Network, agent: Agent, orders: Protected, provider: Provider
) -> None:
    forger = PrivateKey.generate(kid=provider.key.kid)
    provider.tokens.append(lambda request, body: provider.grant(request, body, key=forger))
    with pytest.raises(InvalidResponse):
        await get(agent)
    assert network.lines(ORDERS) == ["GET /a 401"]


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{}", b'{"auth_token": 7}', b'{"auth_token": "x"}', b"[" * 100_000, b'{"auth_token": null}'],
    ids=lambda body: str(body[:20]),
)
async def test_an_answer_without_an_auth_token_is_an_error_of_ours(
    agent: Agent, orders: Protected, provider: Provider, body: bytes
) -> None:
    provider.tokens.append(Response(body))
    with pytest.raises(InvalidResponse):
        await get(agent)


async def test_a_huge_answer_is_not_read_to_its_end(agent: Agent, orders: Protected, provider: Provider) -> None:
    provider.tokens.append(Response(json.dumps({"auth_token": "x" * 1_000_000})))
    with pytest.raises(InvalidResponse, match="more than"):
        await get(agent)


async def test_a_resource_token_is_of_the_type_it_says(agent: Agent, hostile: Hostile) -> None:
    """The typ is decided first: a token of another kind with the same claims is not one."""
    hostile.challenge = lambda values: encode(
        hostile.key,
        DRAFT_01,
        TYP.replace("resource", "auth"),
        {"iss": ORDERS, "dwk": "aauth-resource.json", "aud": PROVIDER, "exp": int(values["now"]) + 9, "scope": "a"},
    )
    with pytest.raises(InvalidResponse):
        await get(agent)
