"""The real process: `aauth person serve`, killed between the decision and the delivery, and started again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from aauthkit import jwt as jws
from aauthkit.clock import SystemClock
from aauthkit.drafts import DRAFT_01
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.sign import sign_message
from aauthkit.keys import PrivateKey, jwks
from aauthkit.sigkey.jkt_jwt import delegate
from aauthkit.tokens.resource import build_resource_token

pytestmark = pytest.mark.anyio

IDP = "http://idp.localhost:1/realms/x"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def aauth(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from aauthkit.cli import main; main()", "person", *arguments]


def environment() -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "AAUTH_CONSENT_SCOPES": '["a:write"]',
    }


@contextmanager
def serving(state: Path, issuer: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    options = ["--state", str(state), "--agent-domain", "agent-server.example", "--oidc-issuer", IDP]
    process = subprocess.Popen(
        aauth(
            *("serve", "--listen", f"127.0.0.1:{port}", "--issuer", issuer, *options),
            *("--oidc-client", "x", "--development", "--open-consent"),
        ),
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()


async def answering(client: httpx2.AsyncClient) -> None:
    for _ in range(600):
        with contextlib.suppress(httpx2.HTTPError):
            if (await client.get("/health")).status_code == 200:
                return
        await asyncio.sleep(0.1)
    raise AssertionError("the server does not answer")


@asynccontextmanager
async def resource() -> AsyncIterator[tuple[str, PrivateKey]]:
    key, port = PrivateKey.generate(), free_port()
    issuer = f"http://127.0.0.1:{port}"
    documents: dict[str, Any] = {
        "aauth-resource.json": {"issuer": issuer, "jwks_uri": f"{issuer}/.well-known/jwks.json"},
        "jwks.json": jwks([(key, DRAFT_01)]),
    }

    async def document(request: Request) -> JSONResponse:
        return JSONResponse(documents[request.path_params["name"]])

    app = Starlette(routes=[Route("/.well-known/{name}", document)])
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", lifespan="off"))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield issuer, key
    finally:
        server.should_exit = True
        await task


async def send(
    client: httpx2.AsyncClient, method: str, url: str, body: bytes, key: PrivateKey, signature_key: str
) -> httpx2.Response:
    lines = [("content-type", "application/json")] if body else []
    message = Message.of(method, url, lines, body)
    signature = sign_message(message, key, signature_key=signature_key, created=int(SystemClock().now()))
    return await client.request(method, url, content=body, headers=dict([*lines, *signature]))


async def test_a_kill_between_decision_and_delivery_loses_nothing(tmp_path: Path) -> None:
    port = free_port()
    issuer, stable, key = f"http://127.0.0.1:{port}", PrivateKey.generate(), PrivateKey.generate()
    async with resource() as (audience, resource_key), httpx2.AsyncClient(base_url=issuer, timeout=30) as client:
        with serving(tmp_path, issuer, port) as process:
            await answering(client)
            made = await asyncio.to_thread(
                subprocess.run,
                aauth("ticket", "--state", str(tmp_path), "--person", "mcp-user", "--oidc-issuer", IDP),
                env=environment(),
                capture_output=True,
                check=True,
            )
            jwk = httpx2.Response(200, json=stable.public.as_jwk(DRAFT_01)).text
            body = f'{{"stable_pub":{jwk},"agent_name":"a","ticket":"{made.stdout.decode().strip()}"}}'.encode()
            proof = str(delegate(stable, key.public, DRAFT_01, now=SystemClock().now()))
            enrolled = await send(client, "POST", f"{issuer}/register", body, key, proof)
            token = enrolled.json()["agent_token"]
            wanted = build_resource_token(
                resource_key,
                DRAFT_01,
                issuer=audience,
                audience=issuer,
                agent=str(jws.parse(token).claims["sub"]),
                agent_jkt=key.thumbprint,
                scope="a:write",
                now=SystemClock().now(),
            )
            body, shown = f'{{"resource_token":"{wanted}"}}'.encode(), f'jwt;jwt="{token}"'
            deferred = await send(client, "POST", f"{issuer}/token", body, key, shown)
            assert deferred.status_code == 202
            found = (await client.get("/consent", params={"code": deferred.json()["code"]})).json()
            decided = await client.post(f"/consent/{found['pending_id']}/decision", json={"approved": True})
            assert decided.status_code == 200
            process.send_signal(signal.SIGKILL)
            await asyncio.to_thread(process.wait)
        with serving(tmp_path, issuer, port):
            await answering(client)
            granted = await send(client, "GET", deferred.headers["location"], b"", key, shown)
            assert granted.status_code == 200
            assert jws.parse(granted.json()["auth_token"]).claims["aud"] == audience
