"""Metadata documents and JWKS: found, checked, cached; as flows, so it neither fetches nor signs.

AAuth-01 "JWKS Discovery and Caching", DESIGN §4 rule 6: ``issuer`` in a document equals the URL it came from; a
document that was once read is fetched at most once a minute, also when that failed, and one that never arrived is tried
again with exponential backoff up to ``error_ttl``; a stale good copy serves while a fetch fails; after 24 hours nothing
cached is believed; a failed fetch is ``Unavailable``, never "unknown key". Who needs a document that is being fetched
yields the same ``Fetch``, and the fetcher makes one of them.
"""

from __future__ import annotations

import contextlib
import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from aauthkit.clock import Clock, SystemClock
from aauthkit.drafts import Draft
from aauthkit.errors import (
    AAuthError,
    InvalidRequest,
    IssuerMismatch,
    IssuerMissing,
    SignatureError,
    Unavailable,
    UnknownKey,
)
from aauthkit.flow import Fetch, Fetched, Flow
from aauthkit.identifiers import endpoint_url, host_of, server_identifier
from aauthkit.keys import PublicKey

WELL_KNOWN_NAMES = frozenset({"aauth-agent.json", "aauth-resource.json", "aauth-person.json", "aauth-access.json"})
_MAX_KEYS = 100
# Punctuation bounds the values: 128 KiB of `{},` are three megabytes in memory, and a thousand such would be kept.
_MOST_VALUES = 5000
# More than takes a second past any error_ttl; a count of failures may grow for days.
_MOST_DOUBLINGS = 20


@dataclass(frozen=True, kw_only=True)
class CacheSettings:
    """How long documents are kept. ``floor`` is the least time between two fetches of one document.

    A document that never arrived is asked for again after ``first_retry``, then after twice that, up to ``error_ttl``.
    """

    success_ttl: timedelta = timedelta(minutes=5)
    # A server that is being restarted is back within seconds, and nobody should wait longer for it than it takes.
    first_retry: timedelta = timedelta(seconds=1)
    error_ttl: timedelta = timedelta(seconds=30)
    floor: timedelta = timedelta(minutes=1)
    longest: timedelta = timedelta(hours=24)
    max_entries: int = 1000


@dataclass(frozen=True)
class _Failure:
    """An error to be raised again and again. Never the error itself: its traceback would keep whole requests alive."""

    kind: type[Unavailable] | type[InvalidRequest]
    detail: str
    debug: str

    @classmethod
    def of(cls, error: AAuthError) -> _Failure:
        kind = InvalidRequest if isinstance(error, InvalidRequest) else Unavailable
        return cls(kind, error.detail, error.debug)

    def error(self) -> AAuthError:
        return self.kind(self.detail, debug=self.debug)


@dataclass
class _Entry:
    document: Mapping[str, Any] | None = None
    good_at: float = 0.0
    tried_at: float | None = None
    under_way: int = 0
    """Flows that wait for this document right now."""
    failure: _Failure | None = None
    """How the last try ended, when it failed."""
    failed: int = 0
    """How many tries in a row failed."""
    keys: dict[tuple[str, str], PublicKey] = field(default_factory=dict)
    """The keys that were selected from this copy of the document, by `kid` and draft."""
    jwks_uri: str | None = None
    """Where this copy of the document says the keys are, once that was checked."""

    def replace(self, document: Mapping[str, Any], now: float) -> None:
        self.document, self.good_at, self.failure, self.failed = document, now, None, 0
        self.keys, self.jwks_uri = {}, None


class Discovery:
    """A cache of documents with the rules above. ``on_fetch(kind, ok)`` is told of every fetch, for metrics."""

    def __init__(
        self,
        *,
        development: bool,
        clock: Clock | None = None,
        cache: CacheSettings | None = None,
        on_fetch: Callable[[bool], None] | None = None,
    ) -> None:
        self.development = development
        self._clock = clock or SystemClock()
        self._cache = cache or CacheSettings()
        self._fresh_for = min(self._cache.success_ttl, self._cache.longest).total_seconds()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._on_fetch = on_fetch or (lambda ok: None)

    def metadata(self, issuer: str, dwk: str) -> Flow[Mapping[str, Any]]:
        """The document at ``{issuer}/.well-known/{dwk}``, its ``issuer`` checked."""
        if dwk not in WELL_KNOWN_NAMES:
            raise InvalidRequest(f"There is no AAuth metadata document named {dwk[:64]!r}.")
        issuer = server_identifier(issuer, development=self.development)
        document = yield from self._document(_well_known(issuer, dwk), refresh=False)
        if "issuer" not in document:
            raise IssuerMissing(f"The metadata of {issuer} names no issuer.")
        if document["issuer"] != issuer:
            raise IssuerMismatch(f"The metadata of {issuer} names another issuer.")
        return document

    def key(
        self, issuer: str, dwk: str, kid: str | None, draft: Draft, *, jwks_uri: str | None = None
    ) -> Flow[PublicKey]:
        """The key ``kid`` of an issuer; ``jwks_uri`` pins where its keys are and skips the metadata.

        An unknown ``kid`` makes one more fetch when the floor allows it, to follow a rotation. Raises ``UnknownKey``,
        ``Unavailable``, or ``InvalidRequest`` for documents that are not what they should be.
        """
        if kid is None:
            raise UnknownKey("The token names no key; put the kid of the issuer's key in its header.")
        uri = jwks_uri or (yield from self._jwks_uri(issuer, dwk))
        document = yield from self._document(uri, refresh=False)
        key = self._selected(uri, document, kid, draft)
        if key is None:
            document = yield from self._document(uri, refresh=True)
            key = self._selected(uri, document, kid, draft)
        if key is None:
            self._check_current(uri)
            raise UnknownKey("The key named by the token is not published by its issuer.")
        return key

    def published(
        self, issuer: str, dwk: str, drafts: Iterable[Draft]
    ) -> Flow[tuple[Mapping[str, Any], tuple[tuple[str, PublicKey], ...]]]:
        """An issuer's metadata and every key of its own, by `kid`, that one of ``drafts`` can use; for whoever looks
        before trusting it. Raises as ``key`` does."""
        metadata = yield from self.metadata(issuer, dwk)
        document = yield from self._document((yield from self._jwks_uri(issuer, dwk)), refresh=False)
        listed = document.get("keys")
        named = dict.fromkeys(
            jwk["kid"]
            for jwk in (listed[:_MAX_KEYS] if isinstance(listed, list) else ())
            if isinstance(jwk, Mapping) and isinstance(jwk.get("kid"), str)
        )
        found = {kid: _usable(document, kid, drafts) for kid in named}
        return metadata, tuple((kid, key) for kid, key in found.items() if key is not None)

    def key_at_hand(
        self, issuer: str, dwk: str, kid: str, draft: Draft, *, jwks_uri: str | None = None
    ) -> PublicKey | None:
        """What ``key`` found before in copies that are fresh still, without a flow; ``None`` when it has to look."""
        uri = jwks_uri
        if uri is None:
            metadata = self._fresh(_well_known(issuer, dwk))
            uri = metadata.jwks_uri if metadata is not None else None
        published = self._fresh(uri) if uri is not None else None
        return published.keys.get((kid, draft.name)) if published is not None else None

    def _selected(self, url: str, document: Mapping[str, Any], kid: str, draft: Draft) -> PublicKey | None:
        """``_select``, once for every key of one copy of a document: every request asks for its issuer's."""
        entry = self._entries.get(url)
        if entry is None or entry.document is not document:
            return _select(document, kid, draft)
        key = entry.keys.get((kid, draft.name))
        if key is None:
            key = _select(document, kid, draft)
            if key is not None:
                entry.keys[kid, draft.name] = key
        return key

    def forget(self, url: str) -> None:
        """Drop a document, for tests and operators."""
        self._entries.pop(url, None)

    def forget_failures(self) -> None:
        """Let what failed be fetched again at once; for a caller that paces its own retries of one server."""
        for url in [url for url, entry in self._entries.items() if entry.document is None]:
            del self._entries[url]

    def _jwks_uri(self, issuer: str, dwk: str) -> Flow[str]:
        document = yield from self.metadata(issuer, dwk)
        uri = endpoint_url(document.get("jwks_uri"), development=self.development)
        # Signature Keys §7.3: keys on another host than the metadata need to be admitted, which pinning them does.
        if host_of(uri) != host_of(issuer):
            raise InvalidRequest(f"The keys of {issuer} are on another host; they are fetched only where it is pinned.")
        entry = self._entries.get(_well_known(issuer, dwk))
        if entry is not None and entry.document is document:
            entry.jwks_uri = uri
        return uri

    def _check_current(self, url: str) -> None:
        """A key that is missing from an old copy may be in the document that could not be fetched."""
        entry = self._entries.get(url)
        if entry is not None and entry.failure is not None:
            raise entry.failure.error()

    def _fresh(self, url: str) -> _Entry | None:
        """The entry whose document ``_document`` would return at once."""
        entry = self._entries.get(url)
        if entry is None or entry.document is None or self._clock.now() - entry.good_at >= self._fresh_for:
            return None
        self._entries.move_to_end(url)
        return entry

    def _document(self, url: str, *, refresh: bool) -> Flow[Mapping[str, Any]]:
        entry = self._entry(url)
        now = self._clock.now()
        age = now - entry.good_at
        if entry.document is not None and age >= self._cache.longest.total_seconds():
            entry.document = None
        fresh = entry.document is not None and age < self._cache.success_ttl.total_seconds() and not refresh
        joining = entry.under_way > 0 and (refresh or entry.document is None)
        if fresh or not (joining or self._may_retry(entry, now)):
            return self._known(entry)
        if not joining:
            entry.tried_at = now
        try:
            document = yield from self._fetched(url, entry)
        except AAuthError as error:
            entry.failure = _Failure.of(error)
            entry.failed += 0 if joining else 1
        else:
            entry.replace(document, now)
        if not joining:
            self._on_fetch(entry.failure is None)
        return self._known(entry)

    @staticmethod
    def _fetched(url: str, entry: _Entry) -> Flow[Mapping[str, Any]]:
        entry.under_way += 1
        try:
            return _json_document(url, (yield Fetch(url)))
        except GeneratorExit:
            # Whoever asked has gone, and with them the answer; the next one who needs it must not wait for that.
            if entry.document is None:
                entry.tried_at = None
            raise
        finally:
            entry.under_way -= 1

    def _may_retry(self, entry: _Entry, now: float) -> bool:
        # "SHOULD retry with exponential backoff": a peer that starts a moment late must not stay unknown for a minute.
        # A document that was good is not fetched again before the floor.
        wait = self._cache.floor if entry.document is not None else self._backoff(entry)
        return entry.tried_at is None or now - entry.tried_at >= wait.total_seconds()

    def _backoff(self, entry: _Entry) -> timedelta:
        doublings = min(max(entry.failed, 1) - 1, _MOST_DOUBLINGS)
        return min(self._cache.first_retry * int(2**doublings), self._cache.error_ttl)

    @staticmethod
    def _known(entry: _Entry) -> Mapping[str, Any]:
        if entry.document is not None:
            return entry.document
        if entry.failure is not None:
            raise entry.failure.error()
        raise Unavailable("A document that is needed could not be read; try again in a moment.")

    def _entry(self, url: str) -> _Entry:
        entry = self._entries.get(url)
        if entry is None:
            entry = self._entries[url] = _Entry()
            if len(self._entries) > self._cache.max_entries:
                self._entries.popitem(last=False)
        self._entries.move_to_end(url)
        return entry


def _well_known(issuer: str, dwk: str) -> str:
    return f"{issuer}/.well-known/{dwk}"


def _json_document(url: str, fetched: Fetched) -> Mapping[str, Any]:
    if fetched.status >= 500 or fetched.status in (408, 429):
        raise Unavailable("A server whose documents are needed does not answer.", debug=f"{url}: {fetched.status}")
    if fetched.status != 200:
        raise InvalidRequest(
            "A server named in the request does not publish the document it should.", debug=f"{url}: {fetched.status}"
        )
    if sum(map(fetched.body.count, (b",", b"[", b"{"))) > _MOST_VALUES:
        raise InvalidRequest("A server named in the request publishes a document with too much in it.", debug=url)
    try:
        document = json.loads(fetched.body)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(
            "A server named in the request publishes a document that is not JSON.", debug=url
        ) from error
    if not isinstance(document, dict):
        raise InvalidRequest("A server named in the request publishes a document that is not an object.", debug=url)
    return document


def _usable(document: Mapping[str, Any], kid: str, drafts: Iterable[Draft]) -> PublicKey | None:
    for draft in drafts:
        with contextlib.suppress(SignatureError):
            if (key := _select(document, kid, draft)) is not None:
                return key
    return None


def _select(document: Mapping[str, Any], kid: str, draft: Draft) -> PublicKey | None:
    """Key selection, in one function: by ``kid``, exactly one; keys that were not asked for harm nobody."""
    keys = document.get("keys")
    if not isinstance(keys, list):
        return None
    named = [key for key in keys[:_MAX_KEYS] if isinstance(key, Mapping) and key.get("kid") == kid]
    usable = []
    failure: SignatureError | None = None
    for candidate in named:
        try:
            usable.append(PublicKey.from_jwk(candidate, draft))
        except SignatureError as error:
            failure = error
    if len(usable) == 1:
        return usable[0]
    if failure is not None and not usable:
        raise failure
    return None
