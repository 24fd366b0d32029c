"""``python -m aauthkit.demo.keycloak``: gives a state directory the realm, once, and serves it from there."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from aauthkit.demo.keycloak.distribution import Distribution, database_file, environment
from aauthkit.errors import ConfigurationError

# What it says once it serves.
_STARTED = "Listening on:"


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        distribution = Distribution.found()
        distribution.place_realm()
        if options.command == "build":
            _build(distribution)
        else:
            _serve(distribution, options.state.absolute(), options.port)
    except (ConfigurationError, OSError) as error:
        print(f"keycloak: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m aauthkit.demo.keycloak", description="Keycloak for the demo.")
    parser.add_argument("command", choices=("build", "serve"))
    parser.add_argument("--state", type=Path, default=Path(), metavar="DIR", help="where its database is kept")
    parser.add_argument("--port", type=int, default=8080)
    return parser


def _build(distribution: Distribution) -> None:
    """A first start, once: it builds Keycloak for our options and makes a database with the realm in it."""
    state = distribution.imported
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True, mode=0o700)
    argv = distribution.serve(state, port=0)
    started = False
    with subprocess.Popen(argv, env=environment(os.environ), stdout=subprocess.PIPE, text=True) as keycloak:
        for line in keycloak.stdout or ():
            print(line, end="", flush=True)
            if _STARTED in line:
                started = True
                keycloak.terminate()
    if not started:
        shutil.rmtree(state)
        raise ConfigurationError(f"Keycloak ended with exit status {keycloak.returncode} before it served.")


def _serve(distribution: Distribution, state: Path, port: int) -> None:
    """A new state directory starts with the realm as shipped; in an old one people have changed things since."""
    if not database_file(state).exists():
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = database_file(distribution.imported)
        if made.exists():
            _copy(made, database_file(state))
    argv = distribution.serve(state, port=port)
    # This process becomes Keycloak's own script, which ends with its Java and passes on what it is told.
    os.execve(argv[0], argv, environment(os.environ))  # noqa: S606


def _copy(made: Path, target: Path) -> None:
    """Whole or not at all: what is half copied would be taken for a database at the next start."""
    part = target.with_suffix(".part")
    shutil.copyfile(made, part)
    part.chmod(0o600)
    part.rename(target)


if __name__ == "__main__":
    sys.exit(main())
