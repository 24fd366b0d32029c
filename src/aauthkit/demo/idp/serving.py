"""A threaded WSGI server on werkzeug: enough for one person and a test suite, never for anything but development."""

from __future__ import annotations

import logging

from flask import Flask
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

log = logging.getLogger(__name__)


def listen(app: Flask, host: str, port: int) -> BaseWSGIServer:
    """Bind (port 0 picks a free one, see ``.port``); ``serve_forever()`` then answers, a thread a connection."""
    server = make_server(host, port, app, threaded=True, request_handler=_Handler)
    server.daemon_threads = True  # type: ignore[attr-defined]  # set by ThreadingMixIn, which the annotation hides
    return server


class _Handler(WSGIRequestHandler):
    """Answers without naming library versions, and without query strings in the log: they hold codes and states."""

    # A connection that says nothing for this long is closed.
    timeout = 20
    server_version = "aauthkit-idp"
    sys_version = ""

    def version_string(self) -> str:
        return self.server_version

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        path = getattr(self, "path", "-").partition("?")[0]
        log.info("%s %s %s", getattr(self, "command", "-"), path, code)

    def log_error(self, format: str, *args: object) -> None:  # noqa: A002  the name is http.server's
        log.debug(format, *args)
