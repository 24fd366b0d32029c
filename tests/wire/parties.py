"""The agents of these suites: what they sign with, and the exchanges by which they come to their tokens."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tests.wire.http1 import GATEWAY, Answer, Request, send
from tests.wire.signing import Key, Signer

PERSON_SERVER = "http://127.0.0.1:8765"
PERSON_SERVER_PORT = 8765
AGENT_DOMAIN = "agent-server.example"
SUPPLY_CHAIN = f"supply-chain-agent.localhost:{GATEWAY}"
MARKET_ANALYSIS = f"market-analysis-agent.localhost:{GATEWAY}"
TOOLS = f"tools.localhost:{GATEWAY}"
# A call the agents understand and answer with an error of JSON-RPC: what gets this answer got through.
CALL = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "no/such/method", "params": {}}).encode()


def post(host: str = SUPPLY_CHAIN, *, target: str = "/", body: bytes = CALL) -> Request:
    headers = (("Host", host), ("Content-Type", "application/json"))
    return Request(method="POST", target=target, headers=headers, body=body)


def get(host: str = SUPPLY_CHAIN, target: str = "/health", method: str = "GET") -> Request:
    """`/health` is behind the gateway's check like everything else, and what answers it there is the agent."""
    return Request(method=method, target=target, headers=(("Host", host),))


def jwt(token: str) -> str:
    return f'jwt;jwt="{token}"'


@dataclass(kw_only=True)
class Party:
    """One enrolled agent. Tokens are fetched once and kept."""

    stable: Key
    key: Key
    agent_token: str
    _auth_tokens: dict[str, str] = field(default_factory=dict)

    @property
    def identified(self) -> Signer:
        """Signs with the agent token."""
        return Signer(key=self.key, signature_key=jwt(self.agent_token))

    def authorized(self, host: str = SUPPLY_CHAIN) -> Signer:
        """Signs with an auth token for the resource."""
        return Signer(key=self.key, signature_key=jwt(self.auth_token(host)))

    def auth_token(self, host: str = SUPPLY_CHAIN) -> str:
        if host not in self._auth_tokens:
            answer = self.exchange(self.resource_token(host))
            assert answer.status == 200, answer.body
            self._auth_tokens[host] = answer.json()["auth_token"]
        return self._auth_tokens[host]

    def resource_token(self, host: str = SUPPLY_CHAIN, scope: str | None = None) -> str:
        """From the challenge; for other scopes than that one asks for, from the resource's endpoint."""
        if scope is None:
            return resource_token_in(send(self.identified.sign(get(host, "/"))))
        body = json.dumps({"scope": scope}).encode()
        answer = send(self.identified.sign(post(host, target="/resource/token", body=body)))
        assert answer.status == 200, answer.body
        token: str = answer.json()["resource_token"]
        return token

    def exchange(self, resource_token: str, **members: Any) -> Answer:
        """The person server's answer to `POST /token`."""
        body = json.dumps({"resource_token": resource_token, **members}).encode()
        return send(self.identified.sign(_to_person_server("/token", body)), port=PERSON_SERVER_PORT)

    def token_for(self, scope: str, host: str = SUPPLY_CHAIN) -> str:
        """An auth token with exactly this scope."""
        answer = self.exchange(self.resource_token(host, scope))
        assert answer.status == 200, answer.body
        token: str = answer.json()["auth_token"]
        return token

    def poll(self, location: str) -> Answer:
        request = get(f"127.0.0.1:{PERSON_SERVER_PORT}", location.removeprefix(PERSON_SERVER))
        return send(self.identified.sign(request.adding(("Prefer", "wait=20"))), port=PERSON_SERVER_PORT)


def resource_token_in(answer: Answer) -> str:
    """The resource token of a challenge, which must be one of exactly this form."""
    assert answer.status == 401, (answer.status, answer.body)
    requirement = answer.header("aauth-requirement") or ""
    start, token, end = requirement.partition('requirement=auth-token; resource-token="')
    assert (start, token != "") == ("", True), requirement
    assert end.endswith('"')
    return end[:-1]


def _to_person_server(target: str, body: bytes) -> Request:
    return post(f"127.0.0.1:{PERSON_SERVER_PORT}", target=target, body=body)
