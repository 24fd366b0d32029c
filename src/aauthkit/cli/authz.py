"""`aauth authz`: serves the authorization service, or says what is wrong with its file. Composes; decides nothing."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from pathlib import Path

import click
import uvicorn

from aauthkit.authz import config as configuration
from aauthkit.authz import resources
from aauthkit.authz.grpc import GRPCFront
from aauthkit.authz.http import HTTPFront
from aauthkit.authz.reading import ConfigurationFaults
from aauthkit.authz.service import AuthorizationService
from aauthkit.errors import ConfigurationError
from aauthkit.observability import spans
from aauthkit.observability.checks import CheckSpans
from aauthkit.observability.decisions import DecisionLog
from aauthkit.observability.metrics import Metrics

log = logging.getLogger("aauthkit.authz")

_DEFAULT_BODY_LIMIT = 1024 * 1024


@click.command()
@click.option(
    "--config",
    "path",
    envvar="AAUTH_CONFIG",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The YAML file.  [env: AAUTH_CONFIG]",
)
@click.option("--check", is_flag=True, help="Say whether the file is good, fault by fault, and end.")
def authz(path: Path, *, check: bool) -> None:
    """Serve the authorization service a gateway asks (Envoy ext_authz)."""
    try:
        if check:
            resources.check(configuration.load(path))
            click.echo(f"{path}: OK")
            return
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
        # Metrics count the fetches; a line for each would drown the decisions.
        logging.getLogger("httpx2").setLevel(logging.WARNING)
        asyncio.run(_serve(path))
    except ConfigurationFaults as error:
        for fault in error.faults:
            click.echo(f"{path}: {fault}", err=True)
        raise SystemExit(1) from None


async def _serve(path: Path) -> None:
    metrics = Metrics()
    provider = spans.configure("authz")
    observers = (metrics, DecisionLog(sys.stdout), *((CheckSpans(provider),) if provider else ()))
    service = AuthorizationService(path, observers=observers, on_fetch=metrics.fetched)
    listen = service.config.listen
    grpc_front = GRPCFront(service, listen.grpc)
    http_front = HTTPFront(service, metrics=metrics.render, body_limit=_body_limit(service))
    server = uvicorn.Server(
        uvicorn.Config(
            http_front,
            host=listen.http.host,
            port=listen.http.port,
            log_level="warning",
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=2,
        )
    )
    await grpc_front.start()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _reload, service)
    if service.config.development:
        log.warning("development: http and ports are accepted for loopback names")
    log.info("authorization service on grpc %s, http %s", listen.grpc, listen.http)
    try:
        await server.serve()
    finally:
        await grpc_front.stop()
        if provider:
            provider.shutdown()


def _reload(service: AuthorizationService) -> None:
    """SIGHUP: a file that is not good changes nothing and is told."""
    before = service.config.listen
    try:
        service.reload()
    except ConfigurationError as error:
        log.error("the file was not read again, the old one stays: %s", "; ".join(error.detail.splitlines()))
        return
    log.info("the file was read again")
    if service.config.listen != before:
        log.warning("`listen` changed; that takes effect with the next start")


def _body_limit(service: AuthorizationService) -> int:
    gateway = service.config.gateway
    return max((route.max_body_bytes for route in gateway.routes), default=0) if gateway else _DEFAULT_BODY_LIMIT
