"""`aauth gateway`: renders a proxy's configuration from the authorization service's file; may become Envoy."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
import yaml

from aauthkit.authz import config as configuration
from aauthkit.authz.config import Config
from aauthkit.authz.reading import ConfigurationFaults
from aauthkit.gateway import agentgateway, envoy, running

_RENDERERS = {"envoy": envoy.render, "agentgateway": agentgateway.render}

_config = click.option(
    "--config",
    "path",
    envvar="AAUTH_CONFIG",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The YAML file of the authorization service.  [env: AAUTH_CONFIG]",
)


@click.group()
def gateway() -> None:
    """Render a proxy's configuration from the authorization service's."""


@gateway.command()
@click.option("--for", "proxy", type=click.Choice(sorted(_RENDERERS)), default="envoy", show_default=True)
@_config
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default=None, help="Write here, not to stdout.")
def render(*, proxy: str, path: Path, out: Path | None) -> None:
    """Write the configuration: JSON for Envoy, YAML for Agentgateway."""
    document = _RENDERERS[proxy](_load(path))
    text = _text(proxy, document)
    if out is None:
        click.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")


@gateway.command()
@_config
@click.option("--concurrency", type=click.IntRange(min=1), default=1, show_default=True, help="Worker threads.")
def run(*, path: Path, concurrency: int) -> None:
    """Become Envoy, configured from the file."""
    text = _text("envoy", envoy.render(_load(path)))
    with tempfile.NamedTemporaryFile("w", prefix="aauth-envoy-", suffix=".json", delete=False) as file:
        file.write(text)
    sys.stdout.flush()
    command = running.command(Path(file.name), concurrency=concurrency)
    os.execv(command[0], command)  # noqa: S606 (no shell, our own arguments)


def _load(path: Path) -> Config:
    try:
        return configuration.load(path)
    except ConfigurationFaults as error:
        for fault in error.faults:
            click.echo(f"{path}: {fault}", err=True)
        raise SystemExit(1) from None


def _text(proxy: str, document: dict[str, Any]) -> str:
    if proxy == "envoy":
        return json.dumps(document, indent=2) + "\n"
    text: str = yaml.safe_dump(document, sort_keys=False, width=120)
    return text
