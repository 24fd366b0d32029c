"""regent-httpsig, driven line by line; run with the Python of its own environment."""

from __future__ import annotations

import asyncio
import base64
import socket
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI
from regent_httpsig import (
    EgressSigner,
    HttpsigConfig,
    HttpsigVerifier,
    ServerSigner,
    VerificationError,
    VerifiedSignature,
    build_aauth_requirement,
    build_person_token_requirement,
    content_digest,
    jwk_thumbprint,
    sign_request,
)
from regent_httpsig.fastapi import RequiredSignatureDep, attach

from tests.interop.peers.lines import Documents, Refused, body_of, private_key, serve

_COVERED = ("@method", "@authority", "@path", "signature-key")


def sign(key: str, message: dict[str, Any], token: str) -> dict[str, str]:
    loaded = private_key(key)
    if isinstance(loaded, Ed25519PrivateKey):
        signer = EgressSigner(seed=_seed(loaded), signature_agent="https://provider.example")
        return _texts(signer.sign_aauth(**_request(message), token=token, body=body_of(message)))
    # Its agent's signer holds Ed25519 only; this is the function beneath it.
    headers = {**message["headers"], "Signature-Key": f'sig=jwt;jwt="{token}"'}
    covered: tuple[str, ...] = _COVERED
    if body := body_of(message):
        headers["Content-Digest"] = content_digest(body)
        covered += ("content-digest", "content-type")
    return _texts(sign_request(loaded, message["method"], message["url"], headers, covered=covered))


def sign_as_server(key: str, message: dict[str, Any], server: str, dwk: str, kid: str) -> dict[str, str]:
    signer = ServerSigner(seed=_seed(private_key(key)), server_id=server, dwk=dwk, kid=kid)
    return _texts(signer.sign(**_request(message), body=body_of(message)))


def verify(message: dict[str, Any], documents: Documents, **settings: Any) -> dict[str, Any]:
    return asyncio.run(_verify(message, documents, **settings))


def thumbprint(jwk: dict[str, Any]) -> str:
    return str(jwk_thumbprint(jwk))


def digest(body: str) -> str:
    return str(content_digest(body.encode()))


def requirements(resource_token: str) -> list[str]:
    return [build_person_token_requirement(), build_aauth_requirement(reason=None, resource_token=resource_token)]


def listen(documents: Documents, person_server: str) -> str:
    """Its FastAPI dependency in front of one route, on a socket of this machine; ends with this process."""
    bound = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    app = FastAPI()
    attach(app, _verifier(documents, resource=url, person_server=person_server))

    @app.post("/things")
    async def things(signature: VerifiedSignature = RequiredSignatureDep) -> dict[str, Any]:
        return {"scheme": signature.scheme, "issuer": signature.agent, "sub": signature.sub}

    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True).start()
    return url


async def _verify(
    message: dict[str, Any], documents: Documents, *, revoked: list[str] | None = None, **settings: Any
) -> dict[str, Any]:
    async def is_revoked(issuer: str, jti: str) -> bool:
        return [issuer, jti] == revoked

    verifier = _verifier(documents, is_revoked=is_revoked, **settings)
    outcome = await verifier.verify_detailed(**_request(message), body=body_of(message))
    if outcome is None:
        raise Refused(code="not signed")
    if isinstance(outcome, VerificationError):
        raise Refused(code=outcome.code, detail=outcome.detail, headers=outcome.headers(), problem=outcome.problem())
    return {
        "scheme": outcome.scheme,
        "issuer": outcome.agent,
        "sub": outcome.sub,
        "key": outcome.keyid,
        "claims": outcome.claims,
    }


def _verifier(documents: Documents, *, resource: str, person_server: str, is_revoked: Any = None) -> HttpsigVerifier:
    async def answer(request: httpx.Request) -> httpx.Response:
        document = documents.get(str(request.url))
        return httpx.Response(404) if document is None else httpx.Response(200, json=document)

    config = HttpsigConfig(
        resource_url=resource,
        trusted_ps={person_server: ""},
        # Names of documentation resolve to nothing, and it would look them up.
        insecure_hosts=frozenset(host for url in documents if (host := urlsplit(url).hostname)),
    )
    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return HttpsigVerifier(config, http_client=client, is_revoked=is_revoked)


def _request(message: Mapping[str, Any]) -> dict[str, Any]:
    return {"method": message["method"], "url": message["url"], "headers": dict(message["headers"])}


def _texts(headers: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in headers.items()}


def _seed(key: Any) -> str:
    return base64.urlsafe_b64encode(key.private_bytes_raw()).rstrip(b"=").decode()


if __name__ == "__main__":
    serve(
        {
            "sign": sign,
            "sign_as_server": sign_as_server,
            "verify": verify,
            "thumbprint": thumbprint,
            "digest": digest,
            "requirements": requirements,
            "listen": listen,
        }
    )
