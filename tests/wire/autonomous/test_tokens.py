"""Tokens at the gateway: whose they are, what they say, and what somebody changed about them.

Where one thing is wrong with a token, everything else about it is right: it is signed with the issuer's real key.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Any

import pytest

from tests.wire.access_log import AccessLog
from tests.wire.decoy import Decoy
from tests.wire.http1 import send
from tests.wire.parties import (
    MARKET_ANALYSIS,
    PERSON_SERVER,
    SUPPLY_CHAIN,
    TOOLS,
    Party,
    get,
    jwt,
    post,
    resource_token_in,
)
from tests.wire.signing import Key, Signer, b64url, claims_of, encode, header_of
from tests.wire.verdicts import Verdicts


def with_token(agent: Party, token: str) -> Signer:
    """The agent's own key under another token."""
    return Signer(key=agent.key, signature_key=jwt(token))


def reissued(token: str, key: Key, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """The token with these members changed (None takes one away), signed with the issuer's real key."""
    changed = {**claims_of(token), **claims}
    kept = {name: value for name, value in changed.items() if value is not None}
    return encode({**header_of(token), **(header or {})}, kept, key)


# Agent tokens


def test_an_agent_token_is_challenged_with_a_resource_token(agent: Party, verdicts: Verdicts) -> None:
    assert resource_token_in(verdicts.challenged(agent.identified.sign(post())))


def test_an_agent_token_reissued_with_nothing_changed_is_as_good(
    agent: Party, provider_key: Key, verdicts: Verdicts
) -> None:
    # What the other tests of this file change, they change in this.
    verdicts.challenged(with_token(agent, reissued(agent.agent_token, provider_key)).sign(post()))


def test_an_untrusted_provider_is_refused_and_not_visited(agent: Party, verdicts: Verdicts) -> None:
    with Decoy() as decoy:
        for dwk in ("aauth-agent.json", "../../secret"):
            token = reissued(agent.agent_token, Key(), iss=decoy.url, dwk=dwk)
            verdicts.refused(with_token(agent, token).sign(post()), "invalid_jwt")

    assert decoy.visits == 0


def test_an_untrusted_publisher_of_keys_is_refused_and_not_visited(agent: Party, verdicts: Verdicts) -> None:
    with Decoy() as decoy:
        scheme = f'jwks_uri;id="{decoy.url}";dwk="aauth-agent.json";kid="k"'
        verdicts.refused(Signer(key=agent.key, signature_key=scheme).sign(post()), "invalid_key")

    assert decoy.visits == 0


@pytest.mark.parametrize(
    "issuer",
    [
        "http://127.0.0.1:8765/",
        "http://127.0.0.1:8765/x",
        "http://localhost:8765",
        "http://127.0.0.1:8765@evil.example",
        "https://127.0.0.1:8765",
        "http://127.0.0.1",
        "http://169.254.169.254",
        "file:///etc/passwd",
        "",
        7,
        None,
        ["http://127.0.0.1:8765"],
    ],
)
def test_an_issuer_that_only_looks_like_the_trusted_one_is_refused(
    agent: Party, provider_key: Key, verdicts: Verdicts, issuer: object
) -> None:
    token = reissued(agent.agent_token, provider_key, iss=issuer)

    verdicts.refused(with_token(agent, token).sign(post()), "invalid_jwt")


@pytest.mark.parametrize(
    "subject",
    [
        "aauth:mallory@evil.example",
        "aauth:mallory@127.0.0.1",
        "aauth:mallory@agent-server.example.evil.example",
        "aauth:mallory@evil-agent-server.example",
        "aauth:mallory@evil.example@agent-server.example",
        "mallory@agent-server.example",
        "aauth:@agent-server.example",
        "aauth:mal lory@agent-server.example",
        "aauth:mallory\r\nx-aauth-sub: root@agent-server.example",
        "aauth:mallory@agent-server.example\u0000",
        "",
        None,
        7,
    ],
)
def test_an_agent_of_a_domain_that_is_not_its_providers_is_refused(
    agent: Party, provider_key: Key, verdicts: Verdicts, subject: object
) -> None:
    token = reissued(agent.agent_token, provider_key, sub=subject)

    verdicts.refused(with_token(agent, token).sign(post()), "invalid_jwt")


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_tampered_agent_token_is_refused(agent: Party, verdicts: Verdicts, part: int) -> None:
    parts = agent.agent_token.split(".")
    head = {**header_of(agent.agent_token), "x": 1}
    claims = {**claims_of(agent.agent_token), "ps": "http://127.0.0.1:9"}
    parts[part] = (b64url(json.dumps(head).encode()), b64url(json.dumps(claims).encode()), b64url(bytes(64)))[part]

    verdicts.refused(with_token(agent, ".".join(parts)).sign(post()), "invalid_jwt")


def test_an_agent_token_signed_by_somebody_else_is_refused(agent: Party, verdicts: Verdicts) -> None:
    token = reissued(agent.agent_token, Key())

    verdicts.refused(with_token(agent, token).sign(post()), "invalid_jwt")


def test_an_agent_token_of_an_unknown_key_of_the_provider_is_refused(
    agent: Party, provider_key: Key, verdicts: Verdicts
) -> None:
    token = reissued(agent.agent_token, provider_key, header={"kid": "nobody"})

    verdicts.refused(with_token(agent, token).sign(post()), "invalid_jwt")


def test_an_agent_token_that_confirms_another_key_is_refused(
    agent: Party, neighbour: Party, verdicts: Verdicts
) -> None:
    verdicts.refused(with_token(agent, neighbour.agent_token).sign(post()), "invalid_signature")


@pytest.mark.parametrize("seconds", [0, -1, -86_400])
def test_an_expired_agent_token_is_refused(agent: Party, provider_key: Key, verdicts: Verdicts, seconds: int) -> None:
    now = int(time.time())
    token = reissued(agent.agent_token, provider_key, iat=now - 86_400, exp=now + seconds)

    verdicts.refused(with_token(agent, token).sign(post()), "expired_jwt")


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 99_999_999_999},
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"iat": None},
        {"iat": 99_999_999_999, "exp": 99_999_999_999 + 60},
        {"nbf": 99_999_999_999},
        {"jti": None},
        {"cnf": None},
        {"cnf": {}},
        {"cnf": {"jwk": "x"}},
        {"dwk": "aauth-person.json"},
        {"dwk": None},
        {"ps": "not a url"},
    ],
)
def test_an_agent_token_that_lacks_or_overstretches_something_is_refused(
    agent: Party, provider_key: Key, verdicts: Verdicts, claims: dict[str, Any]
) -> None:
    token = reissued(agent.agent_token, provider_key, **claims)

    verdicts.refused(with_token(agent, token).sign(post()), "invalid_jwt")


def test_a_private_key_in_a_token_is_refused(agent: Party, provider_key: Key, verdicts: Verdicts) -> None:
    token = reissued(agent.agent_token, provider_key, cnf={"jwk": {**agent.key.jwk, "d": b64url(bytes(32))}})

    verdicts.refused(with_token(agent, token).sign(post()), "invalid_jwt")


@pytest.mark.parametrize("jwk", [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}, {"kty": "oct"}, {"kty": "OKP", "crv": "X"}])
def test_a_token_for_a_key_of_another_kind_is_told_which_will_do(
    agent: Party, provider_key: Key, verdicts: Verdicts, jwk: dict[str, str]
) -> None:
    token = reissued(agent.agent_token, provider_key, cnf={"jwk": jwk})

    verdicts.refused(with_token(agent, token).sign(post()), "unsupported_algorithm")


# Algorithms


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE"])
@pytest.mark.parametrize("signature", ["", "AA"])
def test_an_unsigned_token_is_refused(agent: Party, verdicts: Verdicts, alg: str, signature: str) -> None:
    for token in (agent.agent_token, agent.auth_token()):
        head = b64url(json.dumps({**header_of(token), "alg": alg}).encode())
        unsigned = f"{head}.{token.split('.')[1]}.{signature}"
        verdicts.refused(with_token(agent, unsigned).sign(post()), "invalid_jwt")


def test_a_token_signed_with_the_public_key_as_a_secret_is_refused(
    agent: Party, provider_key: Key, verdicts: Verdicts
) -> None:
    head = b64url(json.dumps({**header_of(agent.auth_token()), "alg": "HS256"}).encode())
    signing_input = f"{head}.{agent.auth_token().split('.')[1]}"
    for secret in (json.dumps(provider_key.jwk).encode(), provider_key.jwk["x"].encode()):
        mac = b64url(hmac.digest(secret, signing_input.encode(), hashlib.sha256))
        verdicts.refused(with_token(agent, f"{signing_input}.{mac}").sign(post()), "invalid_jwt")


@pytest.mark.parametrize("alg", ["Ed25519", "ES256", "RS256", "eddsa", "", 1, None])
def test_a_token_that_names_another_algorithm_than_its_key_has_is_refused(
    agent: Party, provider_key: Key, verdicts: Verdicts, alg: object
) -> None:
    token = reissued(agent.agent_token, provider_key, header={"alg": alg})

    verdicts.refused(with_token(agent, token).sign(post()), "invalid_jwt")


@pytest.mark.parametrize(
    "header",
    [{"crit": ["x"], "x": 1}, {"typ": "JWT"}, {"typ": None}, {"typ": "aa-resource+jwt"}, {"typ": "jkt-s256+jwt"}],
)
def test_a_token_of_another_type_is_refused(
    agent: Party, provider_key: Key, verdicts: Verdicts, header: dict[str, Any]
) -> None:
    token = reissued(agent.agent_token, provider_key, header=header)

    verdicts.refused(with_token(agent, token).sign(post()), "invalid_jwt")


def test_a_key_in_the_tokens_own_header_is_not_believed(agent: Party, verdicts: Verdicts) -> None:
    own = Key()
    token = reissued(agent.agent_token, own, header={"jwk": own.jwk, "jku": "http://127.0.0.1:9/jwks", "kid": "x"})

    verdicts.refused(with_token(agent, token).sign(post()), "invalid_jwt")


def test_an_agent_token_passed_off_as_an_auth_token_is_refused(
    agent: Party, provider_key: Key, verdicts: Verdicts
) -> None:
    token = reissued(agent.agent_token, provider_key, header={"typ": "aa-auth+jwt"})

    verdicts.refused(with_token(agent, token).sign(post()), "invalid_jwt")


def test_an_auth_token_passed_off_as_an_agent_token_is_refused(
    agent: Party, provider_key: Key, verdicts: Verdicts
) -> None:
    token = reissued(agent.auth_token(), provider_key, header={"typ": "aa-agent+jwt"})

    verdicts.refused(with_token(agent, token).sign(post()), "invalid_jwt")


def test_a_resource_token_opens_nothing(agent: Party, verdicts: Verdicts) -> None:
    verdicts.refused(with_token(agent, agent.resource_token()).sign(post()), "invalid_jwt")


@pytest.mark.parametrize(
    "text",
    ["", "x", "a.b", "a.b.c", "....", "eyJ.eyJ.eyJ", "e30.e30.AA", "W10.W10.AA", "A" * 20_000],
    ids=["empty", "letter", "two", "three", "dots", "cut", "objects", "arrays", "long"],
)
def test_what_is_not_a_token_is_refused(agent: Party, verdicts: Verdicts, text: str) -> None:
    verdicts.refused(with_token(agent, text).sign(post()), "invalid_jwt")


@pytest.mark.parametrize("scheme", ["hwk", "jkt-jwt"])
def test_a_scheme_that_this_resource_does_not_take_is_refused(agent: Party, verdicts: Verdicts, scheme: str) -> None:
    jwk = agent.key.jwk
    written = {
        "hwk": f'hwk;kty="OKP";crv="Ed25519";x="{jwk["x"]}"',
        "jkt-jwt": f'jkt-jwt;jwt="{agent.agent_token}"',
    }

    verdicts.refused(Signer(key=agent.key, signature_key=written[scheme]).sign(post()), "invalid_key")


# Auth tokens


def test_an_auth_token_reissued_with_nothing_changed_is_as_good(
    agent: Party, provider_key: Key, verdicts: Verdicts
) -> None:
    verdicts.allowed(with_token(agent, reissued(agent.auth_token(), provider_key)).sign(post()))


def test_an_auth_token_of_another_resource_is_refused(agent: Party, verdicts: Verdicts) -> None:
    verdicts.allowed(agent.authorized(MARKET_ANALYSIS).sign(post(MARKET_ANALYSIS)))

    verdicts.refused(agent.authorized(MARKET_ANALYSIS).sign(post(SUPPLY_CHAIN)), "invalid_jwt")
    verdicts.refused(agent.authorized(SUPPLY_CHAIN).sign(post(MARKET_ANALYSIS)), "invalid_jwt")
    verdicts.refused(agent.authorized(SUPPLY_CHAIN).sign(post(TOOLS, target="/mcp")), "invalid_jwt")


@pytest.mark.parametrize(
    "audience",
    [
        f"http://{MARKET_ANALYSIS}",
        f"http://{SUPPLY_CHAIN}/",
        f"https://{SUPPLY_CHAIN}",
        "http://supply-chain-agent.localhost",
        [f"http://{SUPPLY_CHAIN}", f"http://{MARKET_ANALYSIS}"],
        [],
        "*",
        None,
    ],
)
def test_an_auth_token_for_another_audience_is_refused(
    agent: Party, provider_key: Key, verdicts: Verdicts, audience: object
) -> None:
    token = reissued(agent.auth_token(), provider_key, aud=audience)

    verdicts.refused(with_token(agent, token).sign(post()), "invalid_jwt")


def test_an_audience_in_an_array_of_one_is_accepted(agent: Party, provider_key: Key, verdicts: Verdicts) -> None:
    token = reissued(agent.auth_token(), provider_key, aud=[f"http://{SUPPLY_CHAIN}"])

    verdicts.allowed(with_token(agent, token).sign(post()))


@pytest.mark.parametrize("seconds", [0, -1, -3599])
def test_an_expired_auth_token_is_refused(agent: Party, provider_key: Key, verdicts: Verdicts, seconds: int) -> None:
    now = int(time.time())
    token = reissued(agent.auth_token(), provider_key, iat=now - 3600, exp=now + seconds)

    verdicts.refused(with_token(agent, token).sign(post()), "expired_jwt")


def test_an_auth_token_of_another_key_is_refused(agent: Party, neighbour: Party, verdicts: Verdicts) -> None:
    verdicts.refused(with_token(agent, neighbour.auth_token()).sign(post()), "invalid_signature")


def test_an_auth_token_of_an_untrusted_issuer_is_refused_and_the_issuer_not_visited(
    agent: Party, verdicts: Verdicts
) -> None:
    with Decoy() as decoy:
        for dwk in ("aauth-person.json", "aauth-access.json"):
            token = reissued(agent.auth_token(), Key(), iss=decoy.url, dwk=dwk)
            verdicts.refused(with_token(agent, token).sign(post()), "invalid_jwt")

    assert decoy.visits == 0


def test_a_tampered_auth_token_is_refused(agent: Party, verdicts: Verdicts) -> None:
    head, _, signature = agent.auth_token().split(".")
    claims = b64url(json.dumps({**claims_of(agent.auth_token()), "scope": "supply-chain:optimize"}).encode())

    verdicts.refused(with_token(agent, f"{head}.{claims}.{signature}").sign(post()), "invalid_jwt")


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 99_999_999_999},
        {"dwk": "aauth-agent.json"},
        {"agent": None},
        {"agent": "mallory"},
        {"act": None},
        {"act": {}},
        {"act": {"sub": "aauth:somebody@agent-server.example"}},
        {"act": {"sub": 7}},
        {"scope": None},
        {"scope": ""},
        {"scope": ["supply-chain:read"]},
        {"scope": "supply-chain:read\nsupply-chain:optimize"},
        {"sub": 7},
        {"jti": ""},
    ],
)
def test_an_auth_token_that_lacks_or_contradicts_something_is_refused(
    agent: Party, provider_key: Key, verdicts: Verdicts, claims: dict[str, Any]
) -> None:
    token = reissued(agent.auth_token(), provider_key, **claims)

    verdicts.refused(with_token(agent, token).sign(post()), "invalid_jwt")


def test_an_endless_chain_of_actors_is_refused(agent: Party, provider_key: Key, verdicts: Verdicts) -> None:
    act: dict[str, Any] = {"sub": claims_of(agent.auth_token())["agent"]}
    for _ in range(200):
        act = {"sub": act["sub"], "act": act}

    verdicts.refused(with_token(agent, reissued(agent.auth_token(), provider_key, act=act)).sign(post()), "invalid_jwt")


# Scopes and policy


def test_an_auth_token_with_less_than_the_policy_asks_is_denied(agent: Party, verdicts: Verdicts) -> None:
    verdicts.denied(with_token(agent, agent.token_for("supply-chain:check")).sign(post()))


@pytest.mark.parametrize(
    "scope",
    [
        "supply-chain:readonly",
        "xsupply-chain:read",
        "supply-chain:reads supply-chain:check",
        "supply-chain",
        "SUPPLY-CHAIN:READ",
        "supply-chain:read,supply-chain:check",
    ],
)
def test_a_scope_that_only_resembles_the_one_needed_is_denied(
    agent: Party, provider_key: Key, verdicts: Verdicts, scope: str
) -> None:
    token = reissued(agent.auth_token(), provider_key, scope=scope)

    verdicts.denied(with_token(agent, token).sign(post()))


def test_a_verified_agent_whose_token_came_by_way_of_another_domain_is_denied(
    agent: Party, provider_key: Key, verdicts: Verdicts
) -> None:
    # The person server may vouch for any agent; whom this resource serves is the policy's to say.
    for domain in ("evil.example", "agent-server.example.evil.example", "evil-agent-server.example"):
        stranger = f"aauth:mallory@{domain}"
        token = reissued(agent.auth_token(), provider_key, agent=stranger, act={"sub": stranger})
        verdicts.denied(with_token(agent, token).sign(post()))


def test_a_denial_by_policy_is_marked_in_the_gateways_log_and_only_that(
    agent: Party, provider_key: Key, access_log: AccessLog
) -> None:
    token = reissued(agent.auth_token(), provider_key, scope="supply-chain:readonly")
    send(with_token(agent, token).sign(post(target="/denied")))
    send(agent.authorized().sign(post(target="/no/such/page")))
    send(post(target="/unsigned"))

    denied, passed, refused = (access_log.line(path) for path in ("/denied", "/no/such/page", "/unsigned"))
    assert (denied["http.status"], denied["authorization_denied"]) == (403, True)
    assert (passed["http.status"], passed["authorization_denied"]) == (404, False)
    assert (refused["http.status"], refused["authorization_denied"]) == (401, False)


def test_the_gateways_log_says_who_called_and_how(agent: Party, access_log: AccessLog) -> None:
    identifier = claims_of(agent.agent_token)["sub"]
    send(agent.identified.sign(get(target="/seen/identified")))
    send(agent.authorized().sign(get(target="/seen/authorized?secret=1")))

    first, second = access_log.line("/seen/identified"), access_log.line("/seen/authorized")
    assert (first["aauth.scheme"], first["aauth.agent"], first["token_audience"]) == ("Jwt", identifier, None)
    assert (second["aauth.scheme"], second["aauth.agent"]) == ("JwtAuth", identifier)
    assert (second["token_audience"], second["http.method"]) == (f"http://{SUPPLY_CHAIN}", "GET")
    assert "secret" not in json.dumps(second)
    assert PERSON_SERVER not in json.dumps(second)
