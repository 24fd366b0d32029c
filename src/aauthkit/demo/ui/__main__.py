"""``python -m aauthkit.demo.ui``: reads the settings and serves the page until told to stop."""

from __future__ import annotations

import os
import sys

import uvicorn

from aauthkit.demo.ui.app import create_app
from aauthkit.demo.ui.settings import Settings
from aauthkit.errors import ConfigurationError


def main() -> int:
    try:
        settings = Settings.from_environment(os.environ)
    except ConfigurationError as error:
        print(f"ui: {error}", file=sys.stderr)
        return 1
    print(f"listening on http://{settings.host}:{settings.port}", flush=True)
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        # The access log would hold the callback's address, and that holds a code.
        access_log=False,
        log_level="warning",
        server_header=False,
        ws="none",
        # Nothing here takes longer; a browser's idle connection must not hold up a stop.
        timeout_graceful_shutdown=2,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
