"""regent-httpsig measured in its own environment: signing, and verifying what it is given, timed inside its process."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from time import process_time
from typing import Any
from urllib.parse import urlsplit

import httpx
from regent_httpsig import EgressSigner, HttpsigConfig, HttpsigVerifier, VerifiedSignature

from tests.interop.peers.lines import private_key, serve

_verifiers: list[HttpsigVerifier] = []
_loop = asyncio.new_event_loop()


def prepare(documents: Mapping[str, Any], resource: str, person_server: str) -> None:
    """One verifier for all rounds, as a server has, so that whatever it remembers is remembered."""

    async def answer(request: httpx.Request) -> httpx.Response:
        document = documents.get(str(request.url))
        return httpx.Response(404) if document is None else httpx.Response(200, json=document)

    config = HttpsigConfig(
        resource_url=resource,
        trusted_ps={person_server: ""},
        insecure_hosts=frozenset(host for url in documents if (host := urlsplit(url).hostname)),
    )
    _verifiers[:] = [HttpsigVerifier(config, http_client=httpx.AsyncClient(transport=httpx.MockTransport(answer)))]


def sign(key: str, message: dict[str, Any], token: str, calls: int) -> float:
    seed = base64.urlsafe_b64encode(private_key(key).private_bytes_raw()).rstrip(b"=").decode()
    signer = EgressSigner(seed=seed, signature_agent="https://provider.example")
    method, url, headers = message["method"], message["url"], dict(message["headers"])
    began = process_time()
    for _ in range(calls):
        signer.sign_aauth(method=method, url=url, headers=headers, token=token, body=None)
    return (process_time() - began) / calls


def verify(messages: list[dict[str, Any]]) -> float:
    return _loop.run_until_complete(_verify(messages))


async def _verify(messages: list[dict[str, Any]]) -> float:
    verifier = _verifiers[0]
    began = process_time()
    outcomes = [
        await verifier.verify_detailed(method=each["method"], url=each["url"], headers=each["headers"], body=None)
        for each in messages
    ]
    took = process_time() - began
    wrong = [outcome for outcome in outcomes if not isinstance(outcome, VerifiedSignature)]
    if wrong:
        raise AssertionError(f"not verified: {wrong[0]!r}")
    return took / len(messages)


if __name__ == "__main__":
    serve({"prepare": prepare, "sign": sign, "verify": verify})
