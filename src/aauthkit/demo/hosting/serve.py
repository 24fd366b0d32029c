"""Runs one ASGI application as a process of the example: settings from the environment, plain logs, a clean end."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from aauthkit.demo.hosting.settings import Settings
from aauthkit.errors import ConfigurationError
from aauthkit.observability.process import observed

# What a question takes; consents are waited for at the pending address, not on an open connection.
GRACE_SECONDS = 5
# These repeat, with a traceback, every malformed request of a stranger; what matters of it is in the answer.
NOISY = ("a2a", "mcp", "httpx", "httpx2")

logger = logging.getLogger(__name__)


def main(name: str, port: int, build: Callable[[Settings], ASGIApp]) -> None:
    """Read the settings, build the application, serve it until the process is told to end."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    try:
        settings = Settings.from_environment(os.environ, name=name, port=port)
        app, flush = observed(settings.name, build(settings))
    except ConfigurationError as error:
        print(f"{name}: {error.detail}", file=sys.stderr)
        raise SystemExit(2) from None
    if not settings.loopback_only:
        logger.warning("%s listens on %s: other machines can reach it", name, settings.host)
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        access_log=False,
        server_header=False,
        log_level="warning",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    flush()
