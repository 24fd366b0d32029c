"""The exact members of the tokens of CONTRACT §4, and that each token verifies with the keys its issuer publishes."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.wire.http1 import send
from tests.wire.parties import AGENT_DOMAIN, PERSON_SERVER, PERSON_SERVER_PORT, Party, get
from tests.wire.signing import claims_of, from_b64url, header_of

HOUR = 3600


def is_an_agent_token(token: str, party: Party) -> None:
    claims = _checked(token, "aa-agent+jwt", issuer=PERSON_SERVER)
    assert set(claims) == {"iss", "dwk", "sub", "jti", "cnf", "iat", "exp", "ps"}
    assert (claims["iss"], claims["dwk"], claims["ps"]) == (PERSON_SERVER, "aauth-agent.json", PERSON_SERVER)
    local, _, domain = str(claims["sub"]).removeprefix("aauth:").partition("@")
    assert (str(claims["sub"])[:6], uuid.UUID(local).version, domain) == ("aauth:", 4, AGENT_DOMAIN)
    assert claims["cnf"] == {"jwk": party.key.jwk}
    assert claims["exp"] - claims["iat"] == 24 * HOUR


def is_a_resource_token(token: str, party: Party, host: str, scope: str) -> None:
    claims = _checked(token, "aa-resource+jwt", issuer=f"http://{host}")
    assert set(claims) == {"iss", "dwk", "aud", "agent", "agent_jkt", "iat", "exp", "scope", "jti"}
    assert (claims["iss"], claims["dwk"], claims["aud"]) == (f"http://{host}", "aauth-resource.json", PERSON_SERVER)
    assert (claims["agent"], claims["agent_jkt"]) == (claims_of(party.agent_token)["sub"], party.key.thumbprint)
    assert claims["scope"] == scope
    assert claims["exp"] - claims["iat"] == 300


def is_an_auth_token(
    token: str, party: Party, host: str, scope: str, *, consented: bool, behind: Party | None = None
) -> dict[str, Any]:
    """`sub` is there once a person consented and not before; `act` nests the agent that is acted for. The claims."""
    claims = _checked(token, "aa-auth+jwt", issuer=PERSON_SERVER)
    always = {"iss", "dwk", "aud", "jti", "agent", "cnf", "act", "iat", "exp", "scope"}
    assert set(claims) == (always | {"sub"} if consented else always)
    assert (claims["iss"], claims["dwk"], claims["aud"]) == (PERSON_SERVER, "aauth-person.json", f"http://{host}")
    agent = claims_of(party.agent_token)["sub"]
    assert (claims["agent"], claims["cnf"], claims["scope"]) == (agent, {"jwk": party.key.jwk}, scope)
    nested = {"act": {"sub": claims_of(behind.agent_token)["sub"]}} if behind else {}
    assert claims["act"] == {"sub": agent, **nested}
    assert 0 < claims["exp"] - claims["iat"] <= HOUR
    assert not consented or "mcp-user" not in claims["sub"]
    return claims


def _checked(token: str, typ: str, *, issuer: str) -> dict[str, Any]:
    header, claims = header_of(token), claims_of(token)
    assert set(header) == {"alg", "typ", "kid"}
    assert (header["alg"], header["typ"]) == ("EdDSA", typ)
    assert [type(claims[name]) for name in ("iat", "exp")] == [int, int]
    assert claims["iat"] <= time.time() < claims["exp"]
    assert isinstance(claims["jti"], str)
    assert len(claims["jti"]) >= 16
    signing_input, _, signature = token.rpartition(".")
    _published_key(issuer, header["kid"]).verify(from_b64url(signature), signing_input.encode())
    return claims


def _published_key(issuer: str, kid: str) -> Ed25519PublicKey:
    host = issuer.removeprefix("http://")
    port = PERSON_SERVER_PORT if issuer == PERSON_SERVER else 3000
    answer = send(get(host, "/.well-known/jwks.json"), port=port)
    keys = [key for key in json.loads(answer.body)["keys"] if key["kid"] == kid]
    assert len(keys) == 1, f"{kid} is published {len(keys)} times"
    return Ed25519PublicKey.from_public_bytes(from_b64url(keys[0]["x"]))
