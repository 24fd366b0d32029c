"""The group `aauth` and its table of commands.

Imports no command until that command is called, so `aauth --help` answers at once.
"""

from __future__ import annotations

import difflib
import importlib
from dataclasses import dataclass
from typing import Any

import click

from aauthkit.errors import AAuthError


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Where a command lives, what `--help` says of it, and the extra its imports come from."""

    module: str
    attribute: str
    summary: str
    extra: str


COMMANDS = {
    "authz": Entry(
        module="aauthkit.cli.authz",
        attribute="authz",
        summary="Serve the authorization service a gateway asks (Envoy ext_authz).",
        extra="authz",
    ),
    "demo": Entry(
        module="aauthkit.cli.demo",
        attribute="demo",
        summary="Start the whole supply-chain system, ask how it is, stop it.",
        extra="demo",
    ),
    "gateway": Entry(
        module="aauthkit.cli.gateway",
        attribute="gateway",
        summary="Render a proxy's configuration from the authorization service's.",
        extra="gateway",
    ),
    "person": Entry(
        module="aauthkit.cli.person",
        attribute="person",
        summary="Serve the person server and agent provider, and manage it.",
        extra="person-server",
    ),
}


class LazyGroup(click.Group):
    """A group whose commands are named by `COMMANDS` and imported on call."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        return _load(cmd_name, entry) if entry else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            raise click.UsageError(_unknown(name), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].summary) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AAuthError as error:
            raise click.ClickException(str(error)) from error


def _unknown(name: str) -> str:
    nearest = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.5)
    hint = f"Did you mean '{nearest[0]}'?" if nearest else f"The commands are {', '.join(sorted(COMMANDS))}."
    return f"There is no command '{name}'. {hint}"


def _load(name: str, entry: Entry) -> click.Command:
    try:
        command = getattr(importlib.import_module(entry.module), entry.attribute)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing.split(".")[0] == "aauthkit":
            raise
        raise click.ClickException(
            f"'aauth {name}' needs {missing}, which is not installed: pip install 'aauthkit[{entry.extra}]'"
        ) from error
    if not isinstance(command, click.Command):
        raise TypeError(f"{entry.module}.{entry.attribute} is not a command")
    return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="aauthkit", prog_name="aauth")
def aauth() -> None:
    """AAuth: agents that sign every request, and a person who decides what they may do."""
