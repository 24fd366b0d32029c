"""An agent that is not part of the demo: made with the library, in this process, enrolled with the running system."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from anyio.from_thread import BlockingPortal, start_blocking_portal

from aauthkit.agent import Agent, Interaction
from aauthkit.drafts import DRAFT_01, Draft
from tests.system.running import System

# Enrolment takes milliseconds; after an outage the library asks again within a few seconds.
PATIENCE_SECONDS = 30.0


def ticket(system: System) -> str:
    """A one-time ticket of the demo's person, made where the person server keeps its state."""
    assert system.state is not None, "tickets are made in the system's state directory: set AAUTH_DEMO_STATE"
    command = [sys.executable, "-m", "aauthkit.cli", "person", "ticket", "--state", str(system.state / "person")]
    command += ["--person", "mcp-user", "--oidc-issuer", system.issuer]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()


class Newcomer:
    """The agent, and what it was asked to bring a person to."""

    def __init__(self, portal: BlockingPortal, agent: Agent) -> None:
        self._portal = portal
        self._agent = agent
        self.asked: list[Interaction] = []

    @property
    def problem(self) -> str | None:
        """Why it cannot sign yet."""
        return self._agent.problem

    @property
    def agent_id(self) -> str | None:
        return self._agent.agent_id

    def enrolled(self) -> Future[None]:
        """Done once the agent can sign."""
        return self._portal.start_task_soon(self._agent.wait_ready)

    def post(self, url: str, members: dict[str, Any]) -> Future[httpx2.Response]:
        """Send JSON as the agent, in the same way as ``get``."""
        return self._portal.start_task_soon(self._post, url, members)

    def get(self, url: str) -> Future[httpx2.Response]:
        """Fetch as the agent: signed, challenges met, a person waited for."""
        return self._portal.start_task_soon(self._get, url)

    def question(self) -> Interaction:
        """The first thing it needs a person for, which must come."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.asked:
            assert time.monotonic() < deadline, "the agent was not asked to bring a person"
            time.sleep(0.02)
        return self.asked[0]

    async def _post(self, url: str, members: dict[str, Any]) -> httpx2.Response:
        auth = self._agent.auth(on_interaction=self.asked.append)
        async with self._agent.http_client(auth=auth) as client:
            return await client.post(url, json=members)

    async def _get(self, url: str) -> httpx2.Response:
        auth = self._agent.auth(on_interaction=self.asked.append)
        async with self._agent.http_client(auth=auth) as client:
            return await client.get(url)


@contextmanager
def newcomer(
    system: System, state: Path, name: str, *, ticket: str | None = None, draft: Draft = DRAFT_01
) -> Iterator[Newcomer]:
    """Begins to enrol at once; without a ticket the person has to let it in."""

    def opened() -> Agent:
        return Agent.open(
            provider=system.person_server,
            name=name,
            state=state,
            ticket=ticket,
            draft=draft,
            development=True,
        )

    with start_blocking_portal() as portal:
        agent = portal.call(opened)
        try:
            yield Newcomer(portal, agent)
        finally:
            portal.call(agent.aclose)
