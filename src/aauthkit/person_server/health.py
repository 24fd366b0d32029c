"""Whether the server can do its work, and what of it not: what `/health` answers, in words without a secret.

Unhealthy (503) is a server that can decide and issue nothing: send nobody to it. Degraded (200) is one that can, but
something beside it needs a look. The answer is remembered for a moment and made by one at a time, so asking often
costs the database and the identity provider nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from aauthkit.clock import Clock
from aauthkit.person_server.signing import SigningKeys
from aauthkit.person_server.storage.condition import Condition

_log = logging.getLogger("aauthkit.person_server.health")
_REMEMBERED = timedelta(seconds=5)
# A balancer asks with a patience of a few seconds.
_LONGEST = timedelta(seconds=2)
# Every replica looks each second for what is due; a minute means that none does.
_LATE = timedelta(minutes=1)

Check = Callable[[], Awaitable[str]]
"""What is wrong, in words; empty when nothing is."""


@dataclass(frozen=True, kw_only=True)
class Report:
    unhealthy: Mapping[str, str] = field(default_factory=dict)
    degraded: Mapping[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        return 503 if self.unhealthy else 200

    def body(self) -> dict[str, object]:
        word = "unhealthy" if self.unhealthy else "degraded" if self.degraded else "healthy"
        reasons = {**self.degraded, **self.unhealthy}
        return {"status": word, "service": "person-server"} | ({"reasons": reasons} if reasons else {})


class Health:
    """Looks at the database, the keys, the identity provider and the outbox."""

    def __init__(
        self, condition: Condition, keys: SigningKeys, clock: Clock, *, identity_provider: Check | None = None
    ) -> None:
        self._condition = condition
        self._keys = keys
        self._clock = clock
        self._vital: dict[str, Check] = {"database": self._database, "keys": self._signing_keys}
        self._beside: dict[str, Check] = {"migrations": self._migrations, "revocations": self._outbox}
        if identity_provider is not None:
            self._beside["identity_provider"] = identity_provider
        self._lock = asyncio.Lock()
        self._last: tuple[float, Report] | None = None

    async def report(self) -> Report:
        async with self._lock:
            now = self._clock.now()
            if self._last is None or now - self._last[0] >= _REMEMBERED.total_seconds():
                self._last = now, await self._look()
            return self._last[1]

    async def _look(self) -> Report:
        vital = await _wrong(self._vital)
        # Without a database the others would only say so again.
        return Report(unhealthy=vital, degraded={} if vital else await _wrong(self._beside))

    async def _database(self) -> str:
        await self._condition.write_nothing()
        return ""

    async def _signing_keys(self) -> str:
        for draft in self._keys:
            self._keys[draft]
        return "" if len(self._keys) else "There are no signing keys."

    async def _migrations(self) -> str:
        if await self._condition.is_of_this_version():
            return ""
        return "The database is of another version of aauthkit than this server."

    async def _outbox(self) -> str:
        late = await self._condition.longest_due()
        return f"Revocations wait for {int(late)} s to be sent." if late > _LATE.total_seconds() else ""


async def _wrong(checks: Mapping[str, Check]) -> dict[str, str]:
    found = {}
    for name, check in checks.items():
        try:
            async with asyncio.timeout(_LONGEST.total_seconds()):
                wrong = await check()
        except Exception as error:  # what it is stands in the log; outside it could tell of addresses and names
            _log.warning("%s: %r", name, error)
            wrong = f"{name.replace('_', ' ').capitalize()} cannot be used; the server's log says why."
        if wrong:
            found[name] = wrong
    return found
