"""`python -m aauthkit.demo.backend`: serves the API until it is told to stop. Settings come from the environment."""

from __future__ import annotations

import logging
import os
import sys

import uvicorn

from aauthkit.demo.backend.app import create_app
from aauthkit.demo.backend.identity import AgentIdentity, published_jwks
from aauthkit.demo.backend.settings import BadSetting, Settings
from aauthkit.errors import AAuthError
from aauthkit.observability.process import observed


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    # One line a request of the clients would repeat every poll, and URLs there carry interaction codes.
    for noisy in ("httpx", "httpx2", "httpcore", "httpcore2"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        settings = Settings.from_environment(os.environ)
        app, flush = observed("backend", create_app(settings, AgentIdentity(settings), jwks=published_jwks(settings)))
    except (BadSetting, AAuthError) as error:
        print(f"backend: {error}", file=sys.stderr)
        return 2
    uvicorn.run(app, host=settings.host, port=settings.port, log_level="warning", access_log=False)
    flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
