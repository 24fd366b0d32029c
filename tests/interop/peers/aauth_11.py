"""aauth 0.5, which speaks draft 11, driven line by line; run with the Python of its own environment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
from aauth.agent.challenge_handler import ChallengeHandler
from aauth.agent.signer import AgentRequestSigner
from aauth.agent.token_exchange import exchange_resource_token, request_person_token
from aauth.errors import AAuthError
from aauth.headers import aauth_header
from aauth.resource.challenge_builder import ChallengeBuilder
from aauth.resource.verifier import RequestVerifier
from aauth.revocation import RevocationManager, RevocationStore
from aauth.tokens.auth_token import create_auth_token
from aauth.tokens.common import verify_token
from aauth.tokens.person_token import create_person_token
from aauth.tokens.resource_token import create_resource_token, verify_resource_token
from aauth_signing.keys.jwk import calculate_jwk_thumbprint
from aauth_signing.signature_base import calculate_content_digest
from aauth_signing.signer import sign_request
from aauth_signing.tokens.agent_token import create_agent_token

from tests.interop.peers.lines import Documents, Refused, body_of, exchange, private_key, serve

_MAKERS = {"agent": create_agent_token, "person": create_person_token, "auth": create_auth_token}


def sign(key: str, message: dict[str, Any], token: str, to: str = "resource") -> dict[str, str]:
    headers = dict(message["headers"])
    signer = AgentRequestSigner(private_key(key), agent_token=token)
    body = body_of(message)
    added = signer.sign_request(message["method"], message["url"], headers, body, recipient_role=to)
    return {**headers, **added}


def sign_as_server(key: str, message: dict[str, Any], server: str, dwk: str, kid: str) -> dict[str, str]:
    headers = dict(message["headers"])
    added = sign_request(
        message["method"],
        message["url"],
        headers,
        body_of(message),
        private_key(key),
        sig_scheme="jwks_uri",
        additional_signature_components=["content-digest", "content-type"],
        id=server,
        dwk=dwk,
        kid=kid,
    )
    return {**headers, **added}


def verify(
    message: dict[str, Any], documents: Documents, *, resource: str, authority: str, person_server: str
) -> dict[str, Any]:
    verifier = RequestVerifier(
        [authority],
        jwks_fetcher=_keys_in(documents),
        trusted_auth_servers=[person_server],
        resource_id=resource,
    )
    outcome = verifier.verify_request(message["method"], message["url"], message["headers"], body_of(message))
    if not outcome["valid"]:
        raise Refused(code=outcome["error_code"], detail=outcome["error"])
    return {"typ": outcome["token_type"], "claims": outcome["claims"]}


def make_token(kind: str, key: str, kid: str, documents: Documents | None = None, **claims: Any) -> str:
    if documents is not None:
        claims["jwks_fetcher"] = _keys_in(documents)
    return str(_MAKERS[kind](private_key=private_key(key), kid=kid, **claims))


def make_resource_token(key: str, kid: str, documents: Documents, **claims: Any) -> Any:
    keys = _keys_in(documents)
    return _judged(lambda: create_resource_token(private_key=private_key(key), kid=kid, jwks_fetcher=keys, **claims))


def judge_token(token: str, documents: Documents, **expected: Any) -> Any:
    return _judged(lambda: verify_token(token, _keys_in(documents), **expected))


def judge_resource_token(token: str, documents: Documents, **expected: Any) -> Any:
    return _judged(lambda: verify_resource_token(token, _keys_in(documents), **expected))


def revoke(message: dict[str, Any], documents: Documents, *, recipient: str, from_: list[str]) -> dict[str, Any]:
    """Its revocation endpoint, and whether the token named is revoked there afterwards."""
    store = RevocationStore()
    manager = RevocationManager(recipient, "resource", store, send=None, allowed_issuers=from_)
    answer = asyncio.run(
        manager.handle_request(
            message["method"], message["url"], message["headers"], body_of(message), _keys_in(documents)
        )
    )
    return {"status": answer.status_code, "headers": dict(answer.headers), "revoked": sorted(store.revoked)}


def person_token(
    key: str, agent_token: str, documents: Documents, *, person_server: str, resource: str, **options: Any
) -> Any:
    """Its agent's request at a person server, whose answers come from the other side."""
    return _at_person_server(
        lambda client: request_person_token(
            person_server,
            resource,
            private_key(key),
            agent_token,
            jwks_fetcher=_keys_in(documents),
            http_client=client,
            **options,
        )
    )


def auth_token(key: str, agent_token: str, documents: Documents, *, resource_token: str, **given: Any) -> Any:
    return _at_person_server(
        lambda client: exchange_resource_token(
            resource_token,
            private_key(key),
            agent_token,
            jwks_fetcher=_keys_in(documents),
            http_client=client,
            **given,
        )
    )


def thumbprint(jwk: dict[str, Any]) -> str:
    return str(calculate_jwk_thumbprint(jwk))


def digest(body: str) -> str:
    return str(calculate_content_digest(body.encode()))


def requirement(**how: Any) -> str:
    """What its resource asks for; no token of the resource's is made here."""
    _, value = ChallengeBuilder("https://resource.example", None, "", None).build_challenge(**how)
    return str(value)


def auth_token_requirement(resource_token: str) -> str:
    return str(aauth_header.build_auth_token_requirement(resource_token))


def interaction_requirement(url: str, code: str) -> str:
    return str(aauth_header.build_interaction_requirement(url, code))


def read_requirement(value: str) -> dict[str, Any]:
    return dict(ChallengeHandler().parse_challenge(value))


def read_signature_error(value: str) -> dict[str, Any]:
    return dict(aauth_header.parse_signature_error(value))


def signature_error(error: str, **members: Any) -> str:
    return str(aauth_header.build_signature_error(error, **members))


class _Pipe(httpx.AsyncBaseTransport):
    """Requests go to the other side as lines, and its lines are the responses."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        called = {
            "method": request.method,
            "url": str(request.url),
            "headers": dict(request.headers),
            "body": request.content.decode(),
        }
        said = exchange({"calls": called})
        # The length is of what was sent, which may have been packed otherwise.
        headers = {name: value for name, value in said["headers"].items() if name != "content-length"}
        return httpx.Response(said["status"], headers=headers, content=said["body"].encode())


def _at_person_server(ask: Callable[[httpx.AsyncClient], Coroutine[Any, Any, str]]) -> Any:
    async def asked() -> str:
        async with httpx.AsyncClient(transport=_Pipe()) as client:
            return await ask(client)

    return _judged(lambda: asyncio.run(asked()))


def _judged(judge: Callable[[], Any]) -> Any:
    try:
        return judge()
    except AAuthError as error:
        raise Refused(code=getattr(error, "error_code", None), detail=str(error)) from error


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
                sign_as_server,
                verify,
                make_token,
                make_resource_token,
                judge_token,
                judge_resource_token,
                revoke,
                person_token,
                auth_token,
                thumbprint,
                digest,
                requirement,
                auth_token_requirement,
                interaction_requirement,
                read_requirement,
                read_signature_error,
                signature_error,
            )
        }
    )
