"""``python -m aauthkit.demo.idp``: reads the settings, says what it is, and serves until told to stop."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from aauthkit.demo.idp.app import create_app
from aauthkit.demo.idp.serving import listen
from aauthkit.demo.idp.settings import (
    DEFAULT_ISSUER,
    DEFAULT_PERSON_SERVER_ORIGINS,
    DEFAULT_UI_ORIGINS,
    Settings,
)
from aauthkit.errors import AAuthError, ConfigurationError
from aauthkit.identifiers import is_loopback

log = logging.getLogger("aauthkit.demo.idp")


def main(arguments: Sequence[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    options = _parser().parse_args(arguments)
    try:
        host, port = _address(options.listen, exposed=options.expose)
        server = listen(create_app(_settings(options)), host, port)
    except (AAuthError, OSError) as error:
        print(f"identity provider: {error}", file=sys.stderr)
        return 1
    log.info("development identity provider for %s: its passwords are public, keep it off any network", options.issuer)
    log.info("listening on http://%s:%d", host, server.port)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()
    return 0


def _parser() -> argparse.ArgumentParser:
    env = os.environ.get
    parser = argparse.ArgumentParser(prog="python -m aauthkit.demo.idp", description="OpenID Connect for development.")
    parser.add_argument("--listen", default=env("AAUTH_LISTEN", "127.0.0.1:8080"), metavar="HOST:PORT")
    parser.add_argument(
        "--state", type=Path, default=env("AAUTH_STATE"), required="AAUTH_STATE" not in os.environ, metavar="DIR"
    )
    parser.add_argument("--issuer", default=env("AAUTH_OIDC_ISSUER", DEFAULT_ISSUER), metavar="URL")
    parser.add_argument(
        "--ui-origin", action="append", metavar="ORIGIN", help="where the UI is served; may be repeated"
    )
    parser.add_argument("--person-server", action="append", metavar="ORIGIN", help="may be repeated")
    parser.add_argument(
        "--expose", action="store_true", help="listen beyond this machine although the passwords are public"
    )
    return parser


def _settings(options: argparse.Namespace) -> Settings:
    return Settings(
        state=Path(options.state),
        issuer=options.issuer,
        ui_origins=tuple(options.ui_origin or DEFAULT_UI_ORIGINS),
        person_server_origins=tuple(options.person_server or DEFAULT_PERSON_SERVER_ORIGINS),
    )


def _address(listen_on: str, *, exposed: bool) -> tuple[str, int]:
    host, _, port = listen_on.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ConfigurationError("--listen is HOST:PORT, for example 127.0.0.1:8080.")
    if not is_loopback(host) and not exposed:
        raise ConfigurationError("Its passwords are public, so it listens on loopback only; --expose overrides this.")
    return host.strip("[]"), int(port)


if __name__ == "__main__":
    sys.exit(main())
