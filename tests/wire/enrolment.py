"""Enrolling the agents of these suites for real: with a ticket, or by the person's approval."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.system.running import System
from tests.wire.approval import approve
from tests.wire.http1 import Answer, Request, send
from tests.wire.parties import PERSON_SERVER, PERSON_SERVER_PORT, Party, get, post
from tests.wire.signing import Key, Signer, created, encode

HOST = f"127.0.0.1:{PERSON_SERVER_PORT}"


def enrol(system: System, name: str) -> Party:
    """A new agent that waited for the person."""
    stable, key = Key(), Key()
    asked = _register(stable, key, name)
    assert asked.status == 202, asked.body
    approve(system, stable.thumbprint)
    location = asked.header("location") or ""
    answer = _send(stable, key, get(HOST, location.removeprefix(PERSON_SERVER)))
    return _party(stable, key, answer)


def enrol_with_ticket(system: System, name: str, *, resource: str) -> Party:
    """A new agent with a ticket of the person, which says that it acts as this resource."""
    stable, key = Key(), Key()
    return _party(stable, key, _register(stable, key, name, ticket=_ticket(system, resource)))


def _register(stable: Key, key: Key, name: str, **members: str) -> Answer:
    body = json.dumps({"stable_pub": stable.jwk, "agent_name": name, "draft": "01", **members}).encode()
    return _send(stable, key, post(HOST, target="/register", body=body))


def _send(stable: Key, key: Key, request: Request) -> Answer:
    signer = Signer(key=key, signature_key=f'jkt-jwt;jwt="{_delegation(stable, key)}"')
    return send(signer.sign(request), port=PERSON_SERVER_PORT)


def _party(stable: Key, key: Key, answer: Answer) -> Party:
    assert answer.status == 200, answer.body
    return Party(stable=stable, key=key, agent_token=answer.json()["agent_token"])


def _delegation(stable: Key, key: Key) -> str:
    now = int(created().partition("=")[2])
    claims = {"iss": f"urn:jkt:sha-256:{stable.thumbprint}", "iat": now, "exp": now + 300, "cnf": {"jwk": key.jwk}}
    return encode({"alg": "EdDSA", "typ": "jkt-s256+jwt", "jwk": stable.jwk}, claims, stable)


def _ticket(system: System, resource: str) -> str:
    assert system.state is not None, "tickets are made in the system's state directory: set AAUTH_DEMO_STATE"
    command = [sys.executable, "-m", "aauthkit.cli", "person", "ticket", "--state", str(system.state / "person")]
    command += ["--person", "mcp-user", "--oidc-issuer", system.issuer, "--resource", resource]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
