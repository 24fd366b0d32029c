"""A process to supervise: answers its health, prints what it was told to, dies when asked. The tests run it."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    """`GET /health` is 200; `GET /die` ends the process; `GET /env/NAME` prints a variable of the environment."""

    def do_GET(self) -> None:
        if self.path == "/die":
            print("about to fall over", flush=True)
            os._exit(7)
        if self.path.startswith("/env/"):
            print(f"{self.path[5:]} is {os.environ.get(self.path[5:])}", flush=True)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"fine")

    def log_message(self, *arguments: object) -> None:
        """Only what a test asked for is printed."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--say", action="append", default=[])
    parser.add_argument("--fail", action="store_true")
    parser.add_argument("--with-child", action="store_true")
    options = parser.parse_args()
    for text in options.say:
        print(text, flush=True)
    if options.fail:
        sys.exit(3)
    server = HTTPServer((options.host, options.port), Handler)
    if options.with_child:
        subprocess.Popen(["sleep", "600"])
    server.serve_forever()


if __name__ == "__main__":
    main()
