"""`aauth demo`: the whole supply-chain system from one command. Reads options, prints; the supervisor does the work."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click

from aauthkit.demo.supervisor import commands
from aauthkit.demo.supervisor.choices import DEVELOPMENT_IDP, DRAFTS, KEYCLOAK, MODES, SCHEMES, Choices
from aauthkit.demo.supervisor.console import table
from aauthkit.demo.supervisor.record import default_state_directory
from aauthkit.demo.supervisor.runner import Plan

_OPEN_CONSENT = (
    "WARNING: --open-consent lets anything on this machine decide in the person's name, without a login. "
    "It is for test harnesses; never use it where the answer matters."
)

_state = click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Where keys, databases and logs are kept.  [default: the user's state directory]",
)


@click.group(invoke_without_command=True)
@click.option("--mode", type=click.Choice(MODES), default=None, help="How calls are authorized.  [default: autonomous]")
@click.option("--draft", type=click.Choice(DRAFTS), default="01", show_default=True, help="The protocol draft spoken.")
@click.option("--scheme", type=click.Choice(SCHEMES), default="jwt", show_default=True, help="How the backend signs.")
@click.option(
    "--idp",
    default=DEVELOPMENT_IDP,
    show_default=True,
    help="'dev' for the built-in identity provider, 'keycloak', or the URL of an OpenID Connect issuer.",
)
@_state
@click.option("--detach", is_flag=True, help="Return once all parts are ready; they go on in the background.")
@click.option("--open-consent", is_flag=True, help="Consents are decided without a login. For test harnesses.")
@click.pass_context
def demo(
    context: click.Context,
    *,
    mode: str | None,
    draft: str,
    scheme: str,
    idp: str,
    state: Path | None,
    detach: bool,
    open_consent: bool,
) -> None:
    """Start the whole supply-chain system. Ctrl-C stops all of it."""
    directory = (state or default_state_directory()).absolute()
    context.obj = directory
    if context.invoked_subcommand is not None:
        return
    choices = Choices(
        state=directory,
        # The scheme only has a meaning there, so naming it says which mode is meant.
        mode=mode or ("identity" if scheme == "jwks_uri" else "autonomous"),
        draft=draft,
        scheme=scheme,
        idp=idp,
        open_consent=open_consent,
        collector=os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or None,
    )
    if open_consent:
        click.secho(_OPEN_CONSENT, fg="red", bold=True, err=True)
    context.exit(commands.start(directory, lambda: _plan(choices), detach=detach))


def _plan(choices: Choices) -> Plan:
    # Imported late: `status` and `stop` need neither Envoy nor YAML.
    from aauthkit.demo.keycloak.distribution import Distribution
    from aauthkit.demo.supervisor.parts import PASSWORD, PERSON, demo_parts, write_configuration

    if choices.idp == KEYCLOAK:
        Distribution.found()
    write_configuration(choices)
    sign_in = (f"sign in as {PERSON}, password {PASSWORD}",) if choices.brings_people else ()
    return Plan(
        parts=demo_parts(choices),
        only_loopback=choices.open_consent,
        settings={
            "mode": choices.mode,
            "draft": choices.draft,
            "scheme": choices.scheme,
            "idp": choices.idp,
            "consent": "open" if choices.open_consent else "signed in",
        },
        remarks=(
            *sign_in,
            f"state and logs in {choices.state}",
            *((_OPEN_CONSENT,) if choices.open_consent else ()),
        ),
    )


@demo.command("status")
@_state
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def show_status(inherited: Path, state: Path | None, as_json: bool) -> None:
    """Say how each part is. Exit status 0: all well; 1: a part is down; 3: not running."""
    found = commands.status(state or inherited)
    if found is None:
        click.echo("{}" if as_json else "the demo is not running")
        sys.exit(3)
    click.echo(_as_json(found, state or inherited) if as_json else _as_table(found))
    sys.exit(0 if found.well else 1)


def _as_json(found: commands.Status, state: Path) -> str:
    parts = {
        part.record.name: {
            "state": part.state,
            "pid": part.record.process.pid if part.record.process else None,
            "url": part.record.url,
            "resident_bytes": part.resident_bytes,
        }
        for part in found.parts
    }
    run = {"pid": found.record.supervisor.pid, "state": str(state.absolute()), "parts": parts}
    return json.dumps({**found.record.settings, **run}, indent=2)


def _as_table(found: commands.Status) -> str:
    rows = [("part", "state", "pid", "MB", "address")]
    rows += [
        (
            part.record.name,
            part.state,
            str(part.record.process.pid) if part.record.process else "-",
            f"{part.resident_bytes / 1e6:.0f}",
            part.record.url,
        )
        for part in found.parts
    ]
    total = sum(part.resident_bytes for part in found.parts)
    settings = ", ".join(f"{name} {value}" for name, value in found.record.settings.items())
    return f"{settings}\n{table(rows)}\n{total / 1e6:.0f} MB resident in all"


@demo.command("stop")
@_state
@click.pass_obj
def stop_all(inherited: Path, state: Path | None) -> None:
    """Stop all parts. Stopping what is not running is not an error."""
    click.echo("stopped" if commands.stop(state or inherited) else "the demo was not running")


@demo.command("start-part")
@click.argument("name")
@_state
@click.pass_obj
def start_part(inherited: Path, name: str, state: Path | None) -> None:
    """Bring back one part that went down; the others go on meanwhile."""
    reason = commands.start_part(state or inherited, name)
    if reason:
        raise click.ClickException(reason)
    click.echo(f"{name} is ready")
