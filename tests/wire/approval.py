"""The person, as far as letting agents in goes: signs in, and approves the enrolment that waits for a key."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

from tests.system.running import System
from tests.wire.http1 import Request, send
from tests.wire.parties import PERSON_SERVER_PORT, get


def approve(system: System, thumbprint: str) -> None:
    """Approve the one enrolment of this stable key."""
    bearer = ("Authorization", f"Bearer {_signed_in(system)}")
    host = f"127.0.0.1:{PERSON_SERVER_PORT}"
    waiting = send(get(host, "/person/registrations").adding(bearer), port=PERSON_SERVER_PORT).json()
    ids = [entry["id"] for entry in waiting if entry["stable_jkt"] == thumbprint]
    assert len(ids) == 1, waiting
    headers = (("Host", host), bearer, ("Content-Type", "application/json"))
    decision = Request(target=f"/person/registrations/{ids[0]}/approve", headers=headers, body=b"{}")
    answer = send(decision, port=PERSON_SERVER_PORT)
    assert answer.status == 200, answer.body


def _signed_in(system: System) -> str:
    issuer = urlsplit(system.issuer)
    form = {
        "grant_type": "password",
        "client_id": "supply-chain-ui",
        "username": "mcp-user",
        "password": "user123",
        "scope": "openid profile email",
    }
    headers = (("Host", issuer.netloc), ("Content-Type", "application/x-www-form-urlencoded"))
    request = Request(
        target=f"{issuer.path}/protocol/openid-connect/token", headers=headers, body=urlencode(form).encode()
    )
    answer = send(request, port=issuer.port or 80)
    assert answer.status == 200, answer.body
    token: str = answer.json()["access_token"]
    return token
