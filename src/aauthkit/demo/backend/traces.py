"""A run's trace: begun here, kept by the demo's receiver, shown to the person whose run it is.

The trace goes by the run's own id, so nothing has to be remembered about it. Without a receiver there is none, and
runs go on as if nobody had asked.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx2

from aauthkit.demo.backend.problems import Problem
from aauthkit.demo.backend.settings import Settings

log = logging.getLogger(__name__)

_TIMEOUT = httpx2.Timeout(2.0)


class Traces:
    def __init__(self, settings: Settings, client: httpx2.AsyncClient | None = None) -> None:
        self._receiver = settings.traces
        self._key = settings.traces_key
        self._client = client or httpx2.AsyncClient(timeout=_TIMEOUT, trust_env=False)

    async def close(self) -> None:
        await self._client.aclose()

    @asynccontextmanager
    async def of_run(self, request_id: str) -> AsyncIterator[None]:
        """What happens in the block is the run's trace."""
        if self._receiver is None:
            yield
            return
        # OpenTelemetry is loaded where traces are wanted.
        from aauthkit.observability.spans import trace_of

        await self._follow(request_id)
        with trace_of("run", _trace_id(request_id)):
            yield

    async def read(self, request_id: str, *, under_way: bool) -> dict[str, Any]:
        """The exchanges of a run so far; raises `Problem` when there is no receiver or it does not know the run.

        One that has just begun may not be known there yet: it has no exchanges so far.
        """
        if self._receiver is None:
            raise Problem(404, "not_found", "This backend keeps no traces.")
        try:
            answer = await self._client.get(self._address(request_id), headers=self._headers)
        except httpx2.HTTPError as error:
            log.warning("the trace receiver does not answer: %s", type(error).__name__)
            words = "The trace receiver does not answer; try again in a moment."
            raise Problem(503, "temporarily_unavailable", words, {"Retry-After": "2"}) from error
        if answer.status_code == 404 and under_way:
            return {"request_id": request_id, "arrows": []}
        if answer.status_code != 200:
            raise Problem(404, "not_found", "The trace of this run is not kept any more.")
        trace: dict[str, Any] = answer.json()
        return {"request_id": request_id, "arrows": trace["arrows"]}

    async def _follow(self, request_id: str) -> None:
        try:
            await self._client.put(self._address(request_id), headers=self._headers)
        except httpx2.HTTPError as error:
            # A run matters more than its picture.
            log.warning("the trace receiver does not answer: %s", type(error).__name__)

    def _address(self, request_id: str) -> str:
        return f"{self._receiver}/traces/{_trace_id(request_id)}"

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}"}


def _trace_id(request_id: str) -> str:
    return UUID(request_id).hex
