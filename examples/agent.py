"""An agent that reads one address for its person. Run it with `python examples/agent.py [URL]`."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import httpx2

from aauthkit import AAuthError, Agent
from aauthkit.agent import print_address


async def read(url: str) -> str:
    agent = await Agent.start(
        provider=os.environ.get("AAUTH_PERSON_SERVER", "http://127.0.0.1:8765"),
        name="Example reader",
        state=Path(".state/example-reader"),
        ticket=os.environ.get("AAUTH_TICKET"),
        development=True,
    )
    async with agent, agent.http_client(auth=agent.auth(on_interaction=print_address)) as client:
        response = await client.get(url)
        return response.raise_for_status().text


if __name__ == "__main__":
    try:
        print(asyncio.run(read(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8100/orders")))
    except (AAuthError, httpx2.HTTPError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
