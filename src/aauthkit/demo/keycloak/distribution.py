"""Where Keycloak is on this machine, and the command line that serves the realm. Starts nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from aauthkit.errors import ConfigurationError

# A distribution of one's own; without it, the one the script left in the project.
VARIABLE = "AAUTH_KEYCLOAK"
_CURRENT = Path(".keycloak", "current")
_SCRIPT = "scripts/keycloak.sh"

# Keycloak builds itself anew at a start with other values than the last, which takes longer than everything else. One
# process needs no cluster, and what the realm does not use need not be loaded.
_BUILD_OPTIONS = (
    "--cache=local",
    "--features-disabled=admin-fine-grained-authz,authorization,ciba,device-flow,identity-brokering-api,kerberos,"
    "organization,passkeys,recovery-codes,twitter-broker,web-authn,workflows",
)
# A heap that a small machine has beside the demo, the collector with the least threads, and no second compiler: it pays
# off after minutes that a demo's login does not take.
_JAVA_OPTIONS = (
    "-Xms64m -Xmx384m -XX:MaxMetaspaceSize=256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:+ExitOnOutOfMemoryError "
    "-Dfile.encoding=UTF-8"
)
REALM = "aauth-test"
_DATABASE = "keycloak"


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """An unpacked and built distribution."""

    home: Path

    @classmethod
    def found(cls) -> Distribution:
        """The one on this machine; raises `ConfigurationError` with the command that brings what is missing."""
        home = Path(os.environ.get(VARIABLE) or _CURRENT).absolute()
        if not (home / "bin" / "kc.sh").is_file():
            raise ConfigurationError(
                f"Keycloak is not at {home}: run {_SCRIPT} (or make keycloak) in the project, "
                f"or name an unpacked distribution with {VARIABLE}."
            )
        if not os.environ.get("JAVA_HOME") and shutil.which("java") is None:
            raise ConfigurationError(f"Keycloak needs Java 17 or newer: run {_SCRIPT} as root, or install a JRE.")
        return cls(home=home.resolve())

    @property
    def imported(self) -> Path:
        """The folder of a database with the realm in it, made once so that a first start is quick."""
        return self.home / "data" / REALM

    def place_realm(self) -> None:
        """Where Keycloak looks for realms to import; it leaves alone what its database has already."""
        folder = self.home / "data" / "import"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{REALM}-realm.json").write_bytes(files(__package__).joinpath("realm.json").read_bytes())

    def serve(self, state: Path, *, port: int) -> tuple[str, ...]:
        """In development mode: http, one process, its database in ``state``. Port 0 is any free one."""
        return (
            *(str(self.home / "bin" / "kc.sh"), "start-dev", "--import-realm", *_BUILD_OPTIONS),
            *(_database_option(state), "--http-host=127.0.0.1", f"--http-port={port}"),
            # The issuer's name, whatever name a browser came by.
            f"--hostname=http://localhost:{port}",
        )


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Keycloak's environment: ours, without settings of another Keycloak that lie around in it."""
    ours = {name: value for name, value in given.items() if not name.startswith(("KC_", "OTEL_"))}
    return {**ours, "JAVA_OPTS": _JAVA_OPTIONS}


def database_file(state: Path) -> Path:
    return state / f"{_DATABASE}.mv.db"


def _database_option(state: Path) -> str:
    # Without AUTO_SERVER, with which the database would listen on a port of its own.
    return f"--db-url=jdbc:h2:file:{state / _DATABASE};NON_KEYWORDS=VALUE"
