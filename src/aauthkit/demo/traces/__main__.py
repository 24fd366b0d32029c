"""`python -m aauthkit.demo.traces`: receives the demo's spans until it is told to stop. Settings: the environment."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import uvicorn

from aauthkit.demo.traces.app import create_app


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for chatty in ("httpx2", "httpcore2"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    host, _, port = os.environ.get("AAUTH_LISTEN", "127.0.0.1:3051").rpartition(":")
    try:
        key = Path(os.environ["AAUTH_TRACES_KEY"]).read_text().strip()
    except (KeyError, OSError) as error:
        print(f"traces: AAUTH_TRACES_KEY names the file with the key of whoever may read: {error}", file=sys.stderr)
        return 2
    app = create_app(key=key, forward=os.environ.get("AAUTH_TRACES_FORWARD") or None)
    uvicorn.run(app, host=host, port=int(port), log_level="warning", access_log=False, server_header=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
