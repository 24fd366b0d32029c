"""The exchanges of a run in the mode user-consent, draft 11, as `GET /optimization/trace` tells them."""

from __future__ import annotations

from itertools import count
from typing import Any

Arrow = dict[str, Any]

PERSON_SERVER = "http://127.0.0.1:8765"
SUPPLY_CHAIN = "http://supply-chain-agent.localhost:3000"
KEY = "iGUYnnCM-xHxIboTtjQpRZAZQvKXeUXtI1w5oejotbY"
COVERED = ["@method", "@authority", "@path", "signature-key", "content-type", "content-digest"]
SCOPE = "supply-chain:read supply-chain:optimize"


def token(direction: str, where: str, typ: str, **claims: Any) -> Arrow:
    return {"direction": direction, "where": where, "typ": typ, "claims": claims}


def _bound(typ: str, jti: str, **claims: Any) -> Arrow:
    times = {"iat": 1_796_093_912, "exp": 1_796_097_512}
    return {"typ": typ, "iss": PERSON_SERVER, "jti": jti, "cnf": {"jwk": {"kty": "OKP"}, "jkt": KEY}, **times, **claims}


AGENT = _bound("aa-agent+jwt", "agent-token-1", sub="aauth:b0467bb4@agent-server.example", ps=PERSON_SERVER)
PERSON = _bound("aa-person+jwt", "person-token-1", sub="z0C1yqgKBuVg", aud=SUPPLY_CHAIN)
AUTH = _bound("aa-auth+jwt", "auth-token-1", sub="z0C1yqgKBuVg", aud=SUPPLY_CHAIN, scope=SCOPE, ps=PERSON_SERVER)
RESOURCE = {
    "typ": "aa-resource+jwt",
    "iss": SUPPLY_CHAIN,
    "jti": "resource-token-1",
    "presented_jti": "person-token-1",
    "agent_jkt": KEY,
    "scope": SCOPE,
}


def sent(claims: Arrow, where: str = "Signature-Key") -> Arrow:
    return token("request", where, claims["typ"], **{name: value for name, value in claims.items() if name != "typ"})


def received(claims: Arrow, where: str) -> Arrow:
    return {**sent(claims, where), "direction": "response"}


def arrow(source: str, target: str, at: float, **members: Any) -> Arrow:
    """One exchange; what is not said is as it is in most."""
    return {
        "id": f"{source}-{target}-{at}",
        "source": source,
        "target": target,
        "host": None,
        "parent": None,
        "at": at,
        "duration": 0.012,
        "method": "POST",
        "path": "/",
        "status": 200,
        "kind": "request",
        "scheme": None,
        "components": [],
        "requirement": None,
        "decision": None,
        "reason": None,
        "tokens": [],
        "facts": {},
        **members,
    }


def signed(source: str, target: str, at: float, *tokens: Arrow, **members: Any) -> Arrow:
    return arrow(source, target, at, scheme="jwt", components=COVERED, tokens=list(tokens), **members)


def check(at: float, decision: str, **facts: Any) -> Arrow:
    reason = facts.pop("reason", None)
    told = {"resource": "supply-chain-agent", "decision": decision, **facts}
    return arrow("gateway", "authz", at, kind="check", status=None, decision=decision, reason=reason, facts=told)


def document(source: str, target: str, at: float, name: str = "jwks.json") -> Arrow:
    return arrow(source, target, at, method="GET", path=f"/.well-known/{name}")


HOST = {"host": "supply-chain-agent.localhost:3000"}
CHALLENGED = [
    signed("backend", "gateway", 0.02, sent(AGENT), status=401, requirement="person-token", **HOST),
    {
        **check(
            0.03, "challenged", reason="insufficient_scope", typ="aa-agent+jwt", level="identified", jti="agent-token-1"
        ),
        "parent": "backend-gateway-0.02",
    },
    document("backend", "person", 0.05, "aauth-person.json"),
    signed("backend", "person", 0.06, sent(AGENT), received(PERSON, "person_token"), path="/person"),
    document("backend", "person", 0.07),
    document("person", "gateway", 0.08),
    signed(
        "backend",
        "gateway",
        0.12,
        sent(PERSON),
        received(RESOURCE, "AAuth-Requirement"),
        status=401,
        requirement="auth-token",
        **HOST,
    ),
]
ASKED = [
    *CHALLENGED,
    signed(
        "backend",
        "person",
        0.15,
        sent(AGENT),
        sent(RESOURCE, "resource_token"),
        sent(PERSON, "presented_token"),
        path="/token",
        status=202,
        requirement="interaction",
    ),
]
DONE = [
    *ASKED,
    arrow("you", "person", 4.2, kind="decision", decision="approved", path="/ui/consent", status=303),
    signed(
        "backend",
        "person",
        5.1,
        sent(AGENT),
        received(AUTH, "auth_token"),
        method="GET",
        path="/pending/6b09b83fcab5670f",
    ),
    signed("backend", "gateway", 5.2, sent(AUTH), duration=0.4, **HOST),
    check(5.21, "allowed", typ="aa-auth+jwt", level="authorized", scope=SCOPE, jti="auth-token-1"),
    arrow("gateway", "supply-chain", 5.22, kind="forwarded"),
]
# A run that finds its auth token remembered makes one request.
REMEMBERED = [
    signed("backend", "gateway", 0.02, sent(AUTH), **HOST),
    check(0.03, "allowed", typ="aa-auth+jwt", level="authorized", scope=SCOPE, jti="auth-token-1"),
    arrow("gateway", "supply-chain", 0.04, kind="forwarded"),
]


def long_trace(steps: int) -> list[Arrow]:
    """As many steps as told, each with a token, for whoever measures."""
    at = count()
    found: list[Arrow] = []
    while len(found) < steps:
        number = next(at)
        base = number * 0.05
        found += [
            signed("market-analysis", "gateway", base, sent(AUTH), path=f"/mcp/{number}", host="tools.localhost:3000"),
            check(base + 0.01, "allowed", typ="aa-auth+jwt", scope=SCOPE),
            arrow("gateway", "tools", base + 0.02, kind="forwarded", path=f"/mcp/{number}"),
            signed("backend", "person", base + 0.03, sent(AGENT), received(AUTH, "auth_token"), path="/token"),
        ]
    return found[:steps]
