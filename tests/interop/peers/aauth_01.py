"""aauth 0.3, which speaks draft 01, driven line by line; run with the Python of its own environment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import jwt
from aauth.agent.challenge_handler import ChallengeHandler
from aauth.agent.token_exchange import exchange_resource_token, extract_resource_token
from aauth.errors import AAuthError
from aauth.headers import aauth_header
from aauth.resource.challenge_builder import ChallengeBuilder
from aauth.resource.verifier import RequestVerifier
from aauth.tokens.auth_token import create_auth_token, verify_token
from aauth.tokens.resource_token import create_resource_token, verify_resource_token
from aauth_signing.keys.jwk import calculate_jwk_thumbprint
from aauth_signing.signature_base import calculate_content_digest
from aauth_signing.signer import sign_request
from aauth_signing.tokens.agent_token import create_agent_token, verify_agent_token

from tests.interop.peers.lines import Documents, Refused, body_of, private_key, serve

_MAKERS = {"agent": create_agent_token, "auth": create_auth_token, "resource": create_resource_token}
_JUDGES = {"agent": verify_agent_token, "auth": verify_token, "resource": verify_resource_token}


def sign(key: str, message: dict[str, Any], scheme: str, cover: list[str], **parameters: str) -> dict[str, str]:
    headers = dict(message["headers"])
    added = sign_request(
        message["method"],
        message["url"],
        headers,
        body_of(message),
        private_key(key),
        sig_scheme=scheme,
        additional_signature_components=cover,
        **parameters,
    )
    return {**headers, **added}


def verify(message: dict[str, Any], documents: Documents, *, authority: str) -> dict[str, Any]:
    verifier = RequestVerifier([authority], jwks_fetcher=_keys_in(documents))
    outcome = verifier.verify_request(message["method"], message["url"], message["headers"], body_of(message))
    if not outcome["valid"]:
        raise Refused(code=None, detail=outcome["error"])
    return dict(outcome)


def make_token(kind: str, key: str, kid: str, **claims: Any) -> str:
    return str(_MAKERS[kind](private_key=private_key(key), kid=kid, **claims))


def judge_token(kind: str, token: str, documents: Documents, **expected: Any) -> dict[str, Any]:
    # Its judges of tokens look keys up by issuer alone; its judge of requests also by document.
    keys = _keys_in(documents)
    dwk = jwt.decode(token, options={"verify_signature": False})["dwk"]
    try:
        return dict(_JUDGES[kind](token, lambda issuer: keys(issuer, dwk, ""), **expected))
    except (AAuthError, jwt.PyJWTError) as error:
        raise Refused(code=None, detail=str(error)) from error


def call(key: str, message: dict[str, Any], agent_token: str) -> list[Any]:
    """Its agent against real servers: the challenge, the exchange it leads to, and the call again."""
    loaded, body = private_key(key), body_of(message)

    def sent(token: str) -> httpx.Response:
        headers = dict(message["headers"])
        headers |= sign_request(message["method"], message["url"], headers, body, loaded, sig_scheme="jwt", jwt=token)
        return httpx.request(message["method"], message["url"], headers=headers, content=body, trust_env=False)

    challenged = sent(agent_token)
    resource_token = extract_resource_token(challenged.headers)
    auth_token = asyncio.run(exchange_resource_token(resource_token, loaded, agent_token))
    answered = sent(auth_token)
    return [challenged.status_code, answered.status_code, answered.json()]


def thumbprint(jwk: dict[str, Any]) -> str:
    return str(calculate_jwk_thumbprint(jwk))


def digest(body: str) -> str:
    return str(calculate_content_digest(body.encode()))


def challenge(key: str, kid: str, resource: str, person_server: str, agent: str, scope: str) -> dict[str, str]:
    """What its resource asks for, by what it requires."""
    made = private_key(key)
    builder = ChallengeBuilder(resource, made, kid, person_server)
    return dict(
        (
            builder.build_challenge(require_identity=True),
            builder.build_challenge(
                require_auth_token=True, agent_id=agent, agent_public_key=made.public_key(), scope=scope
            ),
        )
    )


def interaction_requirement(url: str, code: str) -> str:
    return str(aauth_header.build_interaction_requirement(url, code))


def read_requirement(value: str) -> dict[str, Any]:
    return dict(ChallengeHandler().parse_challenge(value))


def read_signature_error(value: str) -> dict[str, Any]:
    return dict(aauth_header.parse_signature_error(value))


def _keys_in(documents: Documents) -> Callable[[str, str, str], Any]:
    def fetch(issuer: str, dwk: str, _kid: str) -> Any:
        metadata = documents.get(f"{issuer}/.well-known/{dwk}", {})
        return documents.get(metadata.get("jwks_uri"))

    return fetch


if __name__ == "__main__":
    serve(
        {
            command.__name__: command
            for command in (
                sign,
                verify,
                make_token,
                judge_token,
                call,
                thumbprint,
                digest,
                challenge,
                interaction_requirement,
                read_requirement,
                read_signature_error,
            )
        }
    )
