"""The service behind both fronts: holds the file in force, runs checks, tells observers what was decided."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from aauthkit.authz import check as checks
from aauthkit.authz import config as configuration
from aauthkit.authz import resources as protected
from aauthkit.authz.config import Config
from aauthkit.authz.outcome import Call, Outcome, refused
from aauthkit.authz.reading import ConfigurationFaults
from aauthkit.authz.resources import ProtectedResource, Resources
from aauthkit.clock import Clock, SystemClock
from aauthkit.discovery import CacheSettings, Discovery
from aauthkit.drafts import NATIVE
from aauthkit.errors import AAuthError, ConfigurationError, InternalError, NotFound
from aauthkit.fetching import HTTPFetcher
from aauthkit.flow import AsyncFetcher, Fetch, Fetched, Flow, arun
from aauthkit.httpsig.replay import ReplayCache, Replays
from aauthkit.resource.admission import Verification
from aauthkit.resource.revocation import RevocationReceiver, keep
from aauthkit.resource.revocation_store import FileRevocations
from aauthkit.revocation import IssuerRate, MemoryRevocations, Revocations


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One decision as observers see it. ``at`` in Unix seconds; ``fetches`` is 0 when every document was cached."""

    call: Call
    outcome: Outcome
    at: float
    latency: float
    fetches: int


Observer = Callable[[Decision], None]


@dataclass(frozen=True, kw_only=True)
class _InForce:
    """Everything that changes together when the file is read again."""

    config: Config
    resources: Resources
    verification: Verification
    receiver: RevocationReceiver
    fetcher: AsyncFetcher


class AuthorizationService:
    """Checks requests by the file at ``path``."""

    def __init__(
        self,
        path: Path,
        *,
        observers: Sequence[Observer] = (),
        on_fetch: Callable[[bool], None] | None = None,
        clock: Clock | None = None,
        replays: Replays | None = None,
        fetcher: AsyncFetcher | None = None,
    ) -> None:
        """Read the file; raises ``ConfigurationFaults``."""
        self._path = path
        self._observers = tuple(observers)
        self._on_fetch = on_fetch
        self._clock = clock or SystemClock()
        self._replays = replays or ReplayCache()
        self._given_fetcher = fetcher
        self._fetchers: dict[bool, AsyncFetcher] = {}
        self._revocations: dict[Path | None, Revocations] = {}
        self._rate = IssuerRate(self._clock)
        self._now = self._read()

    @property
    def config(self) -> Config:
        return self._now.config

    def reload(self) -> None:
        """Read the file again; raises ``ConfigurationFaults`` and then everything stays as it was.

        What was seen stays seen, and what was revoked revoked: a reload opens no window.
        """
        self._now = self._read()

    async def decide(self, call: Call) -> Outcome:
        """Decide about one request and tell the observers; never raises."""
        started = perf_counter()
        now = self._now
        fetcher = _Counting(now.fetcher)
        try:
            outcome = await arun(checks.check(call, now.resources, now.verification), fetcher)
        except Exception as error:  # check never raises; if it does, that is no answer "service down" either
            outcome = refused(InternalError("The check failed.", debug=repr(error)), NATIVE)
        self._tell(call, outcome, started, fetcher.count)
        return outcome

    async def resource_token(self, call: Call) -> str:
        """The resource token an agent asks for; raises ``AAuthError``."""
        started = perf_counter()
        now = self._now
        fetcher = _Counting(now.fetcher)
        resource = self.resource_at(call.message.authority)
        if resource is None:
            raise checks.UnknownResource("No resource is configured here under this name.")
        try:
            flow: Flow[tuple[str, Outcome]] = checks.resource_token(call, resource, now.verification)
            token, outcome = await arun(flow, fetcher)
        except AAuthError as error:
            self._tell(call, refused(error, resource.settings.draft, resource_id=resource.id), started, fetcher.count)
            raise
        self._tell(call, outcome, started, fetcher.count)
        return token

    async def revoke(self, call: Call) -> None:
        """Record the revocation a person server or access server sends; raises ``AAuthError``."""
        started = perf_counter()
        now = self._now
        fetcher = _Counting(now.fetcher)
        resource = self.resource_at(call.message.authority)
        if resource is None or not resource.settings.is_revocable:
            raise NotFound("No token is revoked here.")
        try:
            revocation, issuer, outcome = await arun(checks.revoke(call, resource, now.receiver), fetcher)
            await keep(revocation, issuer, now.receiver)
        except AAuthError as error:
            self._tell(call, refused(error, NATIVE, resource_id=resource.id), started, fetcher.count)
            raise
        self._tell(call, outcome, started, fetcher.count)

    def resource_at(self, authority: str) -> ProtectedResource | None:
        """The resource that answers to a Host value."""
        return self._now.resources.at(authority)

    def _read(self) -> _InForce:
        config = configuration.load(self._path)
        cache = config.jwks_cache
        discovery = Discovery(
            development=config.development,
            clock=self._clock,
            cache=CacheSettings(
                success_ttl=cache.success_ttl, error_ttl=cache.error_ttl, max_entries=cache.max_entries
            ),
            on_fetch=self._on_fetch,
        )
        resources = protected.build(config)
        revocations = self._revocations_at(config.revocations)
        return _InForce(
            config=config,
            resources=resources,
            verification=Verification(
                discovery=discovery, replays=self._replays, clock=self._clock, revocations=revocations
            ),
            receiver=RevocationReceiver(
                revocations=revocations,
                rate=self._rate,
                discovery=discovery,
                replays=self._replays,
                clock=self._clock,
            ),
            fetcher=self._fetcher_for(config.development),
        )

    def _revocations_at(self, path: Path | None) -> Revocations:
        """What was withdrawn, kept over reloads; raises ``ConfigurationFaults`` for a file that cannot be."""
        if path not in self._revocations:
            try:
                kept: Revocations = MemoryRevocations(clock=self._clock)
                self._revocations[path] = kept if path is None else FileRevocations(path, clock=self._clock)
            except ConfigurationError as error:
                raise ConfigurationFaults([f"revocations: {error.detail}"]) from error
        return self._revocations[path]

    def _fetcher_for(self, development: bool) -> AsyncFetcher:
        """One fetcher for each rule of admission, kept over reloads with its connections."""
        if self._given_fetcher is not None:
            return self._given_fetcher
        if development not in self._fetchers:
            self._fetchers[development] = HTTPFetcher(development=development)
        return self._fetchers[development]

    def _tell(self, call: Call, outcome: Outcome, started: float, fetches: int) -> None:
        latency = perf_counter() - started
        decision = Decision(call=call, outcome=outcome, at=self._clock.now(), latency=latency, fetches=fetches)
        for observer in self._observers:
            observer(decision)


class _Counting:
    """Counts what a check had to fetch."""

    __slots__ = ("_fetcher", "count")

    def __init__(self, fetcher: AsyncFetcher) -> None:
        self._fetcher = fetcher
        self.count = 0

    async def fetch(self, request: Fetch) -> Fetched:
        self.count += 1
        return await self._fetcher.fetch(request)
