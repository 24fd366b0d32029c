"""aauth 0.5 measured in its own environment: signing, and verifying what it is given, timed inside its process."""

from __future__ import annotations

from collections.abc import Mapping
from time import process_time
from typing import Any

from aauth.agent.signer import AgentRequestSigner
from aauth.resource.verifier import RequestVerifier

from tests.interop.peers.aauth_11 import _keys_in
from tests.interop.peers.lines import private_key, serve

_verifiers: list[RequestVerifier] = []


def prepare(documents: Mapping[str, Any], resource: str, authority: str, person_server: str) -> None:
    """One verifier for all rounds, as a server has, so that whatever it remembers is remembered."""
    _verifiers[:] = [
        RequestVerifier(
            [authority],
            jwks_fetcher=_keys_in(documents),
            trusted_auth_servers=[person_server],
            resource_id=resource,
        )
    ]


def sign(key: str, message: dict[str, Any], token: str, calls: int) -> float:
    signer = AgentRequestSigner(private_key(key), agent_token=token)
    method, url, headers = message["method"], message["url"], dict(message["headers"])
    began = process_time()
    for _ in range(calls):
        signer.sign_request(method, url, headers, None, recipient_role="resource")
    return (process_time() - began) / calls


def verify(messages: list[dict[str, Any]]) -> float:
    verifier = _verifiers[0]
    began = process_time()
    outcomes = [verifier.verify_request(each["method"], each["url"], each["headers"], None) for each in messages]
    took = process_time() - began
    wrong = [outcome for outcome in outcomes if not outcome["valid"]]
    if wrong:
        raise AssertionError(f"not verified: {wrong[0]['error']}")
    return took / len(messages)


if __name__ == "__main__":
    serve({"prepare": prepare, "sign": sign, "verify": verify})
