"""Revocations in a file: they survive a restart, and every process of one resource that names the file sees them.

The file is SQLite, the answer comes from memory: a look into the file every quarter of a second finds what other
processes recorded meanwhile. When the file cannot be read nobody can know, so the request is refused as unavailable.
Asking never waits for a writer; recording waits for the disk and for other processes, so it belongs into a thread.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from aauthkit.clock import Clock, SystemClock
from aauthkit.errors import ConfigurationError, Unavailable
from aauthkit.revocation import CLOCK_SKEW, MOST_OF_ALL, MOST_OF_ONE_ISSUER, OnRecord, Revocation, too_many

# `seq` is never used twice, so "what is newer than what I know" is one comparison.
_TABLE = """
CREATE TABLE IF NOT EXISTS revocations (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, issuer TEXT NOT NULL, jti TEXT NOT NULL, until REAL NOT NULL,
    UNIQUE (issuer, jti)
)
"""
# Another process that writes is done within milliseconds.
_BUSY_SECONDS = 2.0
_FORGET_EVERY = timedelta(minutes=1)


class FileRevocations:
    """``Revocations`` in the SQLite file at ``path``, made (0600) when it is not there.

    ``on_record(issuer, jti)`` is told of each new one, also of those another process recorded. ``look_every`` is how
    long this process may not yet know what another one does.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock | None = None,
        on_record: OnRecord | None = None,
        look_every: timedelta = timedelta(milliseconds=250),
    ) -> None:
        self._clock = clock or SystemClock()
        self._on_record = on_record or (lambda issuer, jti: None)
        self._look_every = look_every.total_seconds()
        self._lock = threading.Lock()
        self._one_writes = threading.Lock()
        self._until: dict[tuple[str, str], float] = {}
        self._known_to = 0
        self._looked_at = float("-inf")
        self._forgot_at = self._clock.now()
        try:
            self._database = _open(path)
            # A look is not to wait for what this process itself is writing.
            self._written = _open(path)
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(f"Revocations cannot be kept in {path}: {error}.") from error
        self._look()

    def is_revoked(self, issuer: str, jti: str) -> bool:
        if time.monotonic() - self._looked_at >= self._look_every:
            self._look()
        return (issuer, jti) in self._until

    def record(self, issuer: str, jti: str, expires_at: int) -> bool:
        now = self._clock.now()
        Revocation(jti=jti, expires_at=expires_at).check_bound(now)
        until = expires_at + CLOCK_SKEW.total_seconds()
        if until <= now:
            return False
        with self._one_writes, self._writing() as database:
            is_new = _keep(database, issuer, jti, until, now)
        self._look()
        return is_new

    def close(self) -> None:
        self._database.close()
        self._written.close()

    def _look(self) -> None:
        """Learn what was recorded since the last look, here or elsewhere."""
        with self._lock:
            try:
                query = "SELECT seq, issuer, jti, until FROM revocations WHERE seq > ? ORDER BY seq"
                rows = self._database.execute(query, (self._known_to,)).fetchall()
            except sqlite3.Error as error:
                raise Unavailable("Revocations cannot be looked up just now.", debug=repr(error)) from error
            self._looked_at = time.monotonic()
            self._forget()
            new = [(issuer, jti) for _, issuer, jti, _ in rows if (issuer, jti) not in self._until]
            for seq, issuer, jti, until in rows:
                self._until[issuer, jti] = until
                self._known_to = seq
        for issuer, jti in new:
            self._on_record(issuer, jti)

    def _forget(self) -> None:
        now = self._clock.now()
        if now - self._forgot_at >= _FORGET_EVERY.total_seconds():
            self._until = {pair: until for pair, until in self._until.items() if until > now}
            self._forgot_at = now

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            self._written.execute("BEGIN IMMEDIATE")
            try:
                yield self._written
            except BaseException:
                self._written.execute("ROLLBACK")
                raise
            self._written.execute("COMMIT")
        except sqlite3.Error as error:
            raise Unavailable("The revocation cannot be kept just now; send it again.", debug=repr(error)) from error


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    database = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    # The answer is given after the commit, and a commit survives a kill.
    for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", _TABLE):
        database.execute(statement)
    return database


def _keep(database: sqlite3.Connection, issuer: str, jti: str, until: float, now: float) -> bool:
    query = "SELECT until FROM revocations WHERE issuer = ? AND jti = ?"
    known = database.execute(query, (issuer, jti)).fetchone()
    if known is None:
        _make_room(database, issuer, now)
    elif until <= known[0]:
        return False
    else:
        # A new `seq`, so that the other processes hear of the later end.
        database.execute("DELETE FROM revocations WHERE issuer = ? AND jti = ?", (issuer, jti))
    database.execute("INSERT INTO revocations (issuer, jti, until) VALUES (?, ?, ?)", (issuer, jti, until))
    return True


def _make_room(database: sqlite3.Connection, issuer: str, now: float) -> None:
    if _is_full(database, issuer):
        database.execute("DELETE FROM revocations WHERE until <= ?", (now,))
    if _is_full(database, issuer):
        raise too_many()


def _is_full(database: sqlite3.Connection, issuer: str) -> bool:
    query = "SELECT count(*) FILTER (WHERE issuer = ?), count(*) FROM revocations"
    of_one, of_all = database.execute(query, (issuer,)).fetchone()
    return bool(of_one >= MOST_OF_ONE_ISSUER or of_all >= MOST_OF_ALL)
