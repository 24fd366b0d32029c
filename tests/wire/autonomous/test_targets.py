"""Where a request goes: hosts, paths and methods, and every trick to be taken for something that is open."""

from __future__ import annotations

import pytest

from tests.wire.http1 import Request, send
from tests.wire.parties import MARKET_ANALYSIS, SUPPLY_CHAIN, TOOLS, Party, get
from tests.wire.verdicts import Verdicts

CARD = "/.well-known/agent-card.json"
OPEN = (CARD, "/.well-known/aauth-resource.json", "/.well-known/jwks.json")


# Open paths


@pytest.mark.parametrize("host", [SUPPLY_CHAIN, MARKET_ANALYSIS])
@pytest.mark.parametrize("path", OPEN)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_open_documents_are_for_everybody(verdicts: Verdicts, host: str, path: str, method: str) -> None:
    answer = verdicts.unasked(get(host, path, method), 200)

    assert (answer.header("content-type") or "").startswith("application/json")
    assert method == "HEAD" or answer.json()


def test_the_documents_say_what_they_must() -> None:
    card, resource, jwks = (send(get(target=path)).json() for path in OPEN)

    assert "aauth" in card["securitySchemes"]
    assert resource["issuer"] == f"http://{SUPPLY_CHAIN}"
    assert resource["jwks_uri"] == f"http://{SUPPLY_CHAIN}/.well-known/jwks.json"
    assert resource["authorization_endpoint"] == f"http://{SUPPLY_CHAIN}/resource/token"
    assert [set(key) for key in jwks["keys"]] == [{"kty", "crv", "x", "kid", "use"}]


@pytest.mark.parametrize("path", OPEN)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_open_documents_are_open_for_reading_only(method: str, path: str) -> None:
    request = Request(method=method, target=path, headers=(("Host", SUPPLY_CHAIN), ("Content-Length", "0")))

    # The card's upstream is protected from all but reading; the resource's own documents take nothing else.
    assert send(request).status == (401 if path == CARD else 405)


def test_the_tools_have_no_card_and_nothing_open_but_the_resources_documents(verdicts: Verdicts) -> None:
    verdicts.unsigned(get(TOOLS, CARD))
    verdicts.unsigned(get(TOOLS, "/health"))
    assert send(get(TOOLS, "/.well-known/aauth-resource.json")).json()["issuer"] == f"http://{TOOLS}"


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "//",
        "///",
        "/health",
        "/mcp",
        "/%2e%2e/",
        "/.well-known",
        "/.well-known/",
        "/.well-known/../",
        "/.well-known/..",
        "/.well-known/%2e%2e/",
        "/.well-known/..%2f",
        "/.well-known/agent-card.json/",
        "/.well-known/agent-card.json/..",
        "/.well-known/agent-card.json/../../",
        "/.well-known/agent-card.json%2f..%2f..",
        "/.well-known/agent-card.json%00",
        "/.well-known/agent-card.json;x",
        "/.well-known/agent-card.json%3fx",
        "/.well-known/agent-card.jsonx",
        "/.well-known/%61gent-card.json",
        "/.well-known/Agent-Card.json",
        "/.well-known//agent-card.json",
        "//.well-known/agent-card.json",
        "/x/../.well-known/agent-card.json",
        "/./.well-known/agent-card.json",
        "/\\.well-known\\agent-card.json",
        "/.well-known/jwks.json/..",
        "/resource/token/",
        "/resource/token/../",
        "/resource//token",
        "/check/",
        "/metrics",
    ],
)
def test_no_other_path_is_open(verdicts: Verdicts, target: str) -> None:
    verdicts.unsigned(get(target=target))


@pytest.mark.parametrize("target", [f"{CARD}?x=1", f"{CARD}?../../health"])
def test_a_query_makes_an_open_document_nothing_else(verdicts: Verdicts, target: str) -> None:
    assert "securitySchemes" in verdicts.unasked(get(target=target), 200).json()


@pytest.mark.parametrize(
    "name", ["X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Uri", "X-Envoy-Original-Path", "X-HTTP-Method-Override"]
)
def test_headers_that_some_servers_read_as_the_path_change_nothing(verdicts: Verdicts, name: str) -> None:
    verdicts.unsigned(get(target="/health").adding((name, CARD)))


@pytest.mark.parametrize(
    "header",
    [
        ("x-envoy-internal", "true"),
        ("x-envoy-auth-partial-body", "false"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", MARKET_ANALYSIS),
        ("forwarded", f"host={MARKET_ANALYSIS}"),
        ("aauth_resource_id", "tools"),
        ("x-aauth-level", "authorized"),
    ],
)
def test_headers_that_a_proxy_would_set_open_nothing(verdicts: Verdicts, header: tuple[str, str]) -> None:
    verdicts.unsigned(get().adding(header))


@pytest.mark.parametrize("target", ["/a//b", "/a/./b/../c", "/a%2Fb", "/%7Euser", "/a;b=c", "/~", "/%C3%A9", "/a'(b)*"])
def test_a_signed_path_is_verified_as_it_was_sent(agent: Party, verdicts: Verdicts, target: str) -> None:
    # What is behind the gateway knows no such page, and says so: the path arrived, and as it was signed.
    answer = send(agent.authorized().sign(get(target=target)))

    assert answer.status == 404


@pytest.mark.parametrize(
    ("sent", "signed"),
    [("/a//b", "/a/b"), ("/a/../b", "/b"), ("/%61", "/a"), ("/a%2Fb", "/a/b"), ("/a%2fb", "/a%2Fb"), ("/a/", "/a")],
)
def test_paths_that_some_call_equal_are_not_the_same_to_a_signature(
    agent: Party, verdicts: Verdicts, sent: str, signed: str
) -> None:
    other = agent.authorized().sign(get(target=signed))

    verdicts.refused(Request(method="GET", target=sent, headers=other.headers), "invalid_signature")


# Hosts


@pytest.mark.parametrize(
    "host",
    [
        "unknown.localhost:3000",
        "localhost:3000",
        "127.0.0.1:3000",
        "backend.localhost:3000",
        "supply-chain-agent.localhost.evil.example",
        "evil.example",
        "[::1]:3000",
        "supply-chain-agent",
        "*",
    ],
)
@pytest.mark.parametrize("path", ["/", CARD, "/resource/token"])
def test_an_unknown_host_is_404(verdicts: Verdicts, host: str, path: str) -> None:
    assert verdicts.unasked(get(host, path), 404).error == "not_found"


@pytest.mark.parametrize(
    "port", ["99999", "x", "3000@evil.example", "1", ""], ids=["large", "word", "userinfo", "other", "none"]
)
def test_the_known_host_at_another_port_is_judged_as_another_host(agent: Party, verdicts: Verdicts, port: str) -> None:
    strange = get(f"supply-chain-agent.localhost:{port}")

    verdicts.unsigned(strange)
    verdicts.refused(agent.authorized().sign(strange), "invalid_signature")


def test_the_host_without_its_port_is_the_same_resource(agent: Party, verdicts: Verdicts) -> None:
    assert verdicts.allowed(agent.authorized().sign(get("supply-chain-agent.localhost"))).json()["status"] == "healthy"


# Other forms of the target


def test_an_absolute_target_says_the_host(agent: Party, verdicts: Verdicts) -> None:
    signed = agent.authorized().sign(get())
    absolute = Request(method="GET", target=f"http://{SUPPLY_CHAIN}/health", headers=signed.headers)

    assert verdicts.allowed(absolute).json()["status"] == "healthy"
    verdicts.refused(absolute.setting("host", MARKET_ANALYSIS).without("signature"), "invalid_request")


def test_an_absolute_target_for_another_host_is_judged_as_that_host(agent: Party, verdicts: Verdicts) -> None:
    signed = agent.authorized().sign(get())
    elsewhere = Request(method="GET", target=f"http://{MARKET_ANALYSIS}/health", headers=signed.headers)

    verdicts.refused(elsewhere, "invalid_jwt")


@pytest.mark.parametrize("target", ["http://evil.example/", "http://127.0.0.1:9999/health", "http://localhost/"])
def test_the_gateway_is_no_forward_proxy(verdicts: Verdicts, target: str) -> None:
    verdicts.unasked(Request(method="GET", target=target, headers=(("Host", SUPPLY_CHAIN),)), 404)


@pytest.mark.parametrize("target", ["127.0.0.1:9999", f"{SUPPLY_CHAIN}", "evil.example:443"])
def test_the_gateway_makes_no_tunnels(verdicts: Verdicts, target: str) -> None:
    verdicts.unasked(Request(method="CONNECT", target=target, headers=(("Host", target),)), 404)


@pytest.mark.parametrize("host", ["localhost", SUPPLY_CHAIN])
def test_a_target_that_claims_to_have_come_encrypted_is_refused(verdicts: Verdicts, host: str) -> None:
    verdicts.unasked(Request(method="GET", target=f"https://{host}/health", headers=(("Host", SUPPLY_CHAIN),)), 403)


@pytest.mark.parametrize("target", ["*", "", "health", "?x", "#", "/#fragment"])
def test_a_target_that_is_no_path_is_400(verdicts: Verdicts, target: str) -> None:
    verdicts.unasked(get(target=target), 400)


def test_a_question_about_the_server_itself_is_404(verdicts: Verdicts) -> None:
    verdicts.unasked(get(target="*", method="OPTIONS"), 404)


# Methods


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_no_method_passes_unsigned(verdicts: Verdicts, method: str) -> None:
    verdicts.unsigned(get(target="/", method=method))


@pytest.mark.parametrize("method", ["FROB", "get", "post"])
def test_a_method_that_is_none_is_400(agent: Party, verdicts: Verdicts, method: str) -> None:
    verdicts.unasked(get(method=method), 400)
    verdicts.unasked(agent.authorized().sign(get(method=method)), 400)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_a_signed_method_is_passed_on_and_the_agent_answers(agent: Party, method: str) -> None:
    assert send(agent.authorized().sign(get(target="/", method=method))).status == 405
