"""A real Envoy before a real authorization service and a tiny upstream, on free ports, for as long as a test runs."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpx
from starlette.types import Receive, Scope, Send

from aauthkit.authz.config import load
from aauthkit.authz.service import AuthorizationService, Decision
from aauthkit.gateway import envoy, running
from tests.authz.serving import Fronts, serving, serving_http
from tests.authz.world import Issuers, document, write


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """A running gateway. ``seen`` is what the upstream got, ``decisions`` what the service said."""

    port: int
    admin: int
    fronts: Fronts
    seen: list[dict[str, Any]]
    decisions: list[Decision]
    log_file: Path

    async def log(self, lines: int) -> list[dict[str, Any]]:
        """The access log once it has so many lines."""
        async with asyncio.timeout(10):
            while True:
                found = [json.loads(line) for line in self.log_file.read_text().splitlines()]
                if len(found) >= lines:
                    return found
                await asyncio.sleep(0.05)


@asynccontextmanager
async def gateway(
    directory: Path,
    issuers: Issuers,
    *,
    gateway: Mapping[str, Any] | None = None,
    route: Mapping[str, Any] | None = None,
    service_policy: Mapping[str, Any] | None = None,
    **resource: Any,
) -> AsyncIterator[Gateway]:
    """Start everything. ``service_policy`` gives the service another policy than the one the gateway enforces."""
    seen: list[dict[str, Any]] = []
    served = document(**resource if service_policy is None else {**resource, "policy": service_policy})
    decisions: list[Decision] = []
    service = AuthorizationService(write(directory, served), observers=[decisions.append], fetcher=issuers)
    async with serving(service) as fronts, serving_http(_upstream(seen)) as upstream:
        content = {
            **document(**resource),
            "gateway": {
                "listen": "127.0.0.1:0",
                "admin": "127.0.0.1:0",
                "authz_grpc": f"127.0.0.1:{fronts.grpc}",
                "authz_http": f"127.0.0.1:{fronts.http}",
                "routes": [
                    {
                        "resource": "supply-chain-agent",
                        "upstream": f"127.0.0.1:{upstream}",
                        "open": ["/.well-known/agent-card.json", "/public/"],
                        **(route or {}),
                    }
                ],
                **(gateway or {}),
            },
        }
        configuration = directory / "envoy.json"
        configuration.write_text(json.dumps(envoy.render(load(write(directory, content)))))
        async with _envoy(configuration) as (port, admin, log_file):
            yield Gateway(port=port, admin=admin, fronts=fronts, seen=seen, decisions=decisions, log_file=log_file)


@asynccontextmanager
async def _envoy(configuration: Path) -> AsyncIterator[tuple[int, int, Path]]:
    process = await anyio.to_thread.run_sync(_start, configuration)
    try:
        port, admin = await anyio.to_thread.run_sync(_ports, process, configuration)
        yield port, admin, configuration.with_name("access.log")
    finally:
        process.terminate()
        await anyio.to_thread.run_sync(process.wait)


def _start(configuration: Path) -> subprocess.Popen[bytes]:
    command = running.command(configuration, concurrency=1)
    command += ["--admin-address-path", str(configuration.with_name("admin.txt"))]
    with (
        configuration.with_name("access.log").open("wb") as log,
        configuration.with_name("envoy.err").open("wb") as err,
    ):
        return subprocess.Popen(command, stdout=log, stderr=err, env={"PATH": os.environ["PATH"]})


def _ports(process: subprocess.Popen[bytes], configuration: Path) -> tuple[int, int]:
    """Where Envoy listens, once it is live: it chose the ports itself, so nothing races for them."""
    admin_file = configuration.with_name("admin.txt")
    while not admin_file.exists() or not admin_file.read_text():
        assert process.poll() is None, configuration.with_name("envoy.err").read_text()
        time.sleep(0.02)
    admin = int(admin_file.read_text().rpartition(":")[2])
    with httpx.Client(base_url=f"http://127.0.0.1:{admin}") as client:
        while client.get("/ready").text.strip() != "LIVE":
            time.sleep(0.02)
        listeners = client.get("/listeners?format=json").json()
    return int(listeners["listener_statuses"][0]["local_address"]["socket_address"]["port_value"]), admin


def _upstream(seen: list[dict[str, Any]]) -> Any:
    """Answers 200 and remembers what arrived."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        seen.append({"method": scope["method"], "raw_path": scope["raw_path"], "headers": headers, "body": body})
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"upstream"})

    return app
