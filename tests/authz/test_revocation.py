"""Revocations at the authorization service: taken where it says, seen by the next check (AAuth-11 §11.12)."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from aauthkit import jwt as jws
from aauthkit.authz.reading import ConfigurationFaults
from aauthkit.authz.service import AuthorizationService, Decision
from aauthkit.drafts import DRAFT_01, DRAFT_11
from aauthkit.flow import Fetch, Fetched
from aauthkit.headers import parse_requirement
from aauthkit.keys import PrivateKey, jwks
from aauthkit.observability.decisions import line_of
from aauthkit.server_identity import ServerIdentity, sign_as_server
from tests.authz.native import NativeAgent, NativeIssuers, native_document
from tests.authz.serving import serving
from tests.authz.world import MAA_HOST, PROVIDER, SCA_HOST, Agent, Issuers, document, write

pytestmark = pytest.mark.anyio

BODY = b'{"jsonrpc":"2.0"}'
PATH = "/aauth/revocation"


class BothDrafts(Issuers):
    """A person server has a key for each draft; revocations it signs with that of 11."""

    person_server_key = PrivateKey.generate(kid="ps-11")

    async def fetch(self, request: Fetch) -> Fetched:
        answer = await super().fetch(request)
        if not request.url.endswith("/jwks.json"):
            return answer
        return Fetched(
            status=200,
            body=json.dumps(jwks([(self.provider_key, DRAFT_01), (self.person_server_key, DRAFT_11)])).encode(),
        )


@pytest.fixture
def issuers() -> NativeIssuers:
    return NativeIssuers()


@asynccontextmanager
async def running(service: AuthorizationService) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serving(service, body_limit=100_000) as fronts,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{fronts.http}") as client,
    ):
        yield client


def service_at(folder: Path, issuers: Issuers, seen: list[Decision] | None = None, **top: Any) -> AuthorizationService:
    path = write(folder, native_document() | top)
    return AuthorizationService(path, fetcher=issuers, observers=[] if seen is None else [seen.append])


async def revoke(
    client: httpx.AsyncClient,
    issuers: Issuers,
    token: str,
    *,
    host: str = SCA_HOST,
    key: PrivateKey | None = None,
    issuer: str = PROVIDER,
) -> httpx.Response:
    claims = jws.parse(token).claims
    body = json.dumps({"jti": claims["jti"], "exp": claims["exp"]}).encode()
    identity = ServerIdentity(issuer=issuer, dwk="aauth-person.json", key=key or issuers.provider_key)
    call = sign_as_server(identity, "POST", f"http://{host}{PATH}", now=time.time(), body=body)
    return await client.post(PATH, headers=[("host", host), *call.headers], content=body)


async def check(client: httpx.AsyncClient, agent: Agent, token: str) -> httpx.Response:
    return await client.post("/check/", headers=agent.signed(token), content=BODY)


async def test_a_revoked_token_is_refused_by_the_next_check__11_12_5(tmp_path: Path, issuers: NativeIssuers) -> None:
    agent, seen = NativeAgent(issuers), list[Decision]()
    token = agent.granted()
    async with running(service_at(tmp_path, issuers, seen)) as client:
        metadata = (await client.get("/.well-known/aauth-resource.json", headers={"host": SCA_HOST})).json()
        assert urlsplit(metadata["revocation_endpoint"]).path == PATH
        assert (await check(client, agent, token)).status_code == 200
        answer = await revoke(client, issuers, token)
        assert (answer.status_code, answer.content) == (200, b"")
        assert "content-type" not in answer.headers
        refused = await check(client, agent, token)
    assert (refused.status_code, refused.headers["signature-error"]) == (401, "error=revoked_jwt")
    assert parse_requirement(refused.headers["aauth-requirement"]).kind == "person-token"
    line = line_of(seen[1])
    assert (line["result"], line["reason"]) == ("allowed", "revocation_recorded")
    assert token not in json.dumps(line)


async def test_a_resource_of_draft_01_refuses_too(tmp_path: Path) -> None:
    issuers = BothDrafts()
    agent = Agent(issuers)
    token = agent.auth_token()
    service = AuthorizationService(write(tmp_path, document()), fetcher=issuers)
    async with running(service) as client:
        assert (await check(client, agent, token)).status_code == 200
        assert (await revoke(client, issuers, token, key=issuers.person_server_key)).status_code == 200
        assert (await check(client, agent, token)).status_code == 401


async def test_a_reload_forgets_nothing(tmp_path: Path, issuers: NativeIssuers) -> None:
    agent, service = NativeAgent(issuers), service_at(tmp_path, issuers)
    token = agent.granted()
    async with running(service) as client:
        await revoke(client, issuers, token)
        service.reload()
        assert (await check(client, agent, token)).status_code == 401


async def test_a_file_keeps_them_over_a_restart_and_for_other_processes(tmp_path: Path, issuers: NativeIssuers) -> None:
    agent = NativeAgent(issuers)
    token, later = agent.granted(), agent.granted()
    one = service_at(tmp_path, issuers, revocations="state/revocations.db")
    other = service_at(tmp_path, issuers, revocations="state/revocations.db")
    async with running(one) as first, running(other) as second:
        await revoke(first, issuers, token)
        deadline = time.monotonic() + 1
        while (await check(second, agent, token)).status_code == 200:
            assert time.monotonic() < deadline
        assert (await check(second, agent, later)).status_code == 200
    async with running(service_at(tmp_path, issuers, revocations="state/revocations.db")) as again:
        assert (await check(again, agent, token)).status_code == 401


async def test_a_path_that_cannot_be_is_a_fault_at_start(tmp_path: Path, issuers: NativeIssuers) -> None:
    (tmp_path / "r.db").mkdir()
    with pytest.raises(ConfigurationFaults, match="revocations: "):
        service_at(tmp_path, issuers, revocations="r.db")


async def test_others_revoke_nothing(tmp_path: Path, issuers: NativeIssuers) -> None:
    agent = NativeAgent(issuers)
    token = agent.granted()
    async with running(service_at(tmp_path, issuers)) as client:
        stranger = await revoke(client, issuers, token, issuer="https://evil.example", key=PrivateKey.generate())
        assert (stranger.status_code, stranger.json()["error"]) == (403, "unsupported_iss")
        assert issuers.asked == []
        forged = await revoke(client, issuers, token, key=PrivateKey.generate(kid="ap-1"))
        assert (forged.status_code, forged.headers["signature-error"]) == (401, "error=invalid_signature")
        unsigned = await client.post(PATH, headers={"host": SCA_HOST}, json={"jti": "a", "exp": 1})
        assert unsigned.status_code == 401
        assert unsigned.headers["content-type"] == "application/problem+json"
        large = await client.post(PATH, headers={"host": SCA_HOST}, content=b"x" * 5000)
        assert large.status_code == 413
        assert (await check(client, agent, token)).status_code == 200


async def test_a_resource_that_takes_no_such_tokens_has_no_such_address(tmp_path: Path, issuers: NativeIssuers) -> None:
    token = NativeAgent(issuers).granted()
    async with running(service_at(tmp_path, issuers)) as client:
        assert (await revoke(client, issuers, token, host=MAA_HOST)).status_code == 404
        assert (await revoke(client, issuers, token, host="nobody.localhost")).status_code == 404
