"""A person server and an application on free ports of this machine, for examples that call them over real sockets."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from aauthkit.agent_provider.storage import TicketStore
from aauthkit.cli.person import ServeOptions, application
from aauthkit.cli.person.state import migrated_database
from aauthkit.clock import SystemClock
from aauthkit.database import open_database
from aauthkit.person_server.storage import SERVER, PersonStore, RuleStore

DOMAIN = "agent-server.example"
_IDP = "http://localhost:8080/realms/aauth-test"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def served(app: ASGIApp, port: int) -> Iterator[None]:
    """``app`` on a port, in a thread with a loop of its own."""
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    with _thread(server):
        yield


@dataclass(frozen=True, kw_only=True)
class RunningPersonServer:
    """Where it is, and what its operator can do."""

    issuer: str
    state: Path

    async def ticket(self) -> str:
        engine = open_database(self.state / "person.db")
        try:
            owner = await PersonStore(engine, SystemClock()).named("mcp-user", _IDP)
            return await TicketStore(engine, SystemClock()).make(owner.id, lifetime=timedelta(minutes=5))
        finally:
            await engine.dispose()

    async def ask_for(self, scope: str, *, required: bool) -> None:
        async with migrated_database(self.state, None) as engine:
            await RuleStore(engine).set_rule(SERVER, "exact", scope, required=required)


@contextmanager
def person_server(state: Path, *, unasked: tuple[str, ...] = ()) -> Iterator[RunningPersonServer]:
    """The real one, in a thread; anybody decides, since a person is not what these tests are about.

    ``unasked`` are resources agents may go to without asking; the demo's server names `any`.
    """
    port = free_port()
    asked = ServeOptions(
        listen=f"127.0.0.1:{port}",
        issuer=f"http://127.0.0.1:{port}",
        state=state,
        agent_domain=DOMAIN,
        oidc_issuer=_IDP,
        oidc_client="aauth-person-server",
        development=True,
        open_consent=True,
        unasked_resources=unasked,
    )

    with _thread(_PersonServer(asked, port)):
        yield RunningPersonServer(issuer=asked.issuer, state=state)


class _PersonServer(uvicorn.Server):
    """Opens its database in the thread that serves it."""

    def __init__(self, asked: ServeOptions, port: int) -> None:
        super().__init__(uvicorn.Config("", host="127.0.0.1", port=port, log_level="warning", ws="none"))
        self._asked = asked

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        async with application(self._asked) as app:
            self.config.app = app
            await super().serve(sockets)


@contextmanager
def _thread(server: uvicorn.Server) -> Iterator[None]:
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start; its reason is above"
        thread.join(0.02)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(10)
