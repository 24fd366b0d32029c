"""Delivering a revocation (AAuth-11 §11.12.1): find the recipient's endpoint, sign, send, wait for the terminal answer.

It keeps nothing and repeats nothing: whoever must be sure that a revocation arrives keeps a list and calls again, as
the person server does. Every outcome is a value; only a fault of our own raises.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from urllib.parse import urljoin

from aauthkit.clock import Clock
from aauthkit.discovery import Discovery
from aauthkit.errors import AAuthError
from aauthkit.flow import AsyncCaller, AsyncFetcher, Fetched, arun
from aauthkit.identifiers import endpoint_url, origin_of
from aauthkit.revocation import Deferred, Outcome, Revocation, read_answer
from aauthkit.server_identity import ServerIdentity, sign_as_server

_log = logging.getLogger("aauthkit.revoking")
# A recipient with nothing downstream answers at once; one that has may hold about twenty seconds (§11.12.3).
_MARGIN = timedelta(seconds=5)


class Revoker:
    """Revokes tokens of ``identity`` at those who may hold them."""

    def __init__(
        self,
        identity: ServerIdentity,
        *,
        discovery: Discovery,
        fetcher: AsyncFetcher,
        caller: AsyncCaller,
        clock: Clock,
    ) -> None:
        self.identity = identity
        self._discovery = discovery
        self._fetcher = fetcher
        self._caller = caller
        self._clock = clock

    async def revoke(
        self, recipient: str, dwk: str, revocation: Revocation, *, wait: timedelta = timedelta(seconds=10)
    ) -> Outcome:
        """Revoke at the server ``recipient`` with the metadata document ``dwk``; at most ``wait`` and a few seconds."""
        try:
            async with asyncio.timeout((wait + _MARGIN).total_seconds()):
                endpoint = await self._endpoint(recipient, dwk)
                return Outcome.UNSUPPORTED if endpoint is None else await self._deliver(endpoint, revocation, wait)
        except (AAuthError, TimeoutError) as error:
            # Also a recipient whose documents are not what they should be: that may be mended while the token lives.
            _log.info("revocation not delivered: recipient=%s jti=%s (%r)", recipient, revocation.jti, error)
            return Outcome.UNAVAILABLE

    async def _endpoint(self, recipient: str, dwk: str) -> str | None:
        metadata = await arun(self._discovery.metadata(recipient, dwk), self._fetcher)
        endpoint = metadata.get("revocation_endpoint")
        return None if endpoint is None else endpoint_url(endpoint, development=self._discovery.development)

    async def _deliver(self, endpoint: str, revocation: Revocation, wait: timedelta) -> Outcome:
        answer = read_answer(await self._send("POST", endpoint, wait, body=revocation.to_body()))
        while isinstance(answer, Deferred):
            location = _pending_url(endpoint, answer.location)
            if location is None:
                return Outcome.UNAVAILABLE
            await asyncio.sleep(answer.retry_after)
            answer = read_answer(await self._send("GET", location, wait))
        return answer

    async def _send(self, method: str, url: str, wait: timedelta, body: bytes = b"") -> Fetched:
        call = sign_as_server(
            self.identity,
            method,
            url,
            now=self._clock.now(),
            body=body,
            prefer_wait=wait,
            patience=wait + _MARGIN,
        )
        return await self._caller.call(call)


def _pending_url(endpoint: str, location: str) -> str | None:
    """§11.8.2: a pending URL is on the origin of whoever answered; elsewhere our signature has no business."""
    try:
        url = urljoin(endpoint, location)
        return url if origin_of(url) == origin_of(endpoint) else None
    except ValueError:
        return None
