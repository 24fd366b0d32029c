"""Where held invocations are kept (AAuth-11 §6.5.1): one SQLite file, or memory; it executes nothing.

An invocation waits, is claimed once, is answered, and is gone. Every transition is one guarded statement, so two
processes over one file cannot both claim. Handles are kept as hashes; signatures and credentials are not kept at all.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Protocol, TypeVar

from aauthkit.keys import write_new_private_file

T = TypeVar("T")
Lines = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Who may poll: the agent's key, and the person it acts for."""

    thumbprint: str
    ps: str
    sub: str


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """A verified request that waits for an auth token with ``scopes`` for ``account``; times are Unix seconds."""

    owner: Owner
    method: str
    path: str
    raw_path: str
    query: str | None
    headers: Lines = field(repr=False)
    body: bytes = field(repr=False)
    scopes: tuple[str, ...]
    account: str | None
    expires_at: float

    @property
    def size(self) -> int:
        target = len(self.raw_path) + len(self.query or "")
        return len(self.body) + target + sum(len(name) + len(value) for name, value in self.headers)


@dataclass(frozen=True, kw_only=True)
class Grant:
    """The auth token an invocation was executed with."""

    issuer: str
    jti: str


@dataclass(frozen=True, kw_only=True)
class KeptAnswer:
    """What the application answered."""

    status: int
    headers: Lines = field(repr=False)
    body: bytes = field(repr=False)


class State(StrEnum):
    """``waiting → executing → answered → gone``; a waiting one may also be given up or run out, and then is gone."""

    WAITING = "waiting"
    EXECUTING = "executing"
    ANSWERED = "answered"
    GONE = "gone"


@dataclass(frozen=True, kw_only=True)
class Record:
    """An invocation as it stands. ``token_until`` is when the resource token its agent has runs out."""

    state: State
    owner: Owner
    invocation: Invocation | None = None
    token_until: float = 0.0
    tokens: int = 0
    """How many resource tokens were issued for it."""
    grant: Grant | None = None
    lease_until: float = 0.0
    answer: KeptAnswer | None = None


@dataclass(frozen=True, kw_only=True)
class Room:
    """How many invocations are kept, waiting and answered together."""

    most: int
    most_of_one: int


class Invocations(Protocol):
    """A store; every method is one transaction."""

    async def hold(self, handle: str, invocation: Invocation, token_until: float, room: Room, now: float) -> bool:
        """Keep it; False when there is no room for it."""
        ...

    async def find(self, handle: str, now: float) -> Record | None:
        """How it stands; ``None`` for a handle nobody was given, or long ago."""
        ...

    async def claim(self, handle: str, grant: Grant, lease_until: float, now: float) -> bool:
        """Take it for execution; True for one caller only, ever."""
        ...

    async def extend(self, handle: str, lease_until: float) -> None:
        """The one who claimed it is still at work."""
        ...

    async def answer(self, handle: str, answer: KeptAnswer, keep_until: float) -> None:
        """What came of it, to be kept until then."""
        ...

    async def token_issued(self, handle: str, token_until: float) -> None:
        """Another resource token was issued for it."""
        ...

    async def close(self, handle: str, *, of: State, now: float) -> bool:
        """It is gone, if it was in that state; False otherwise."""
        ...


# A late poll is told that it is over for this long; then the handle means nothing.
_TOMBSTONE = timedelta(hours=24)
# For this long one that ran out can still be told so; whoever never polls again is not waited for.
_LATE = timedelta(hours=1)

_TABLE = """
CREATE TABLE IF NOT EXISTS held_invocations (
    handle TEXT PRIMARY KEY,
    thumbprint TEXT NOT NULL, ps TEXT NOT NULL, sub TEXT NOT NULL,
    state TEXT NOT NULL,
    expires_at REAL NOT NULL,
    token_until REAL NOT NULL,
    tokens INTEGER NOT NULL DEFAULT 1,
    request TEXT, body BLOB,
    issuer TEXT, jti TEXT, lease_until REAL NOT NULL DEFAULT 0,
    answer TEXT, answer_body BLOB,
    keep_until REAL NOT NULL
) STRICT;
"""
_INDEX = "CREATE INDEX IF NOT EXISTS held_by_person ON held_invocations (ps, sub, state)"


class SQLiteInvocations:
    """In the file at ``path``, made for its owner only; without one, in memory, and then a restart forgets them."""

    def __init__(self, path: Path | None = None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Requests and answers are a person's: the file is 0600 from its first moment.
            write_new_private_file(path, b"")
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
        for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA busy_timeout=10000", _TABLE):
            self._connection.execute(statement)
        self._connection.execute(_INDEX)

    def close_file(self) -> None:
        self._connection.close()

    async def hold(self, handle: str, invocation: Invocation, token_until: float, room: Room, now: float) -> bool:
        def work(connection: sqlite3.Connection) -> bool:
            _forget_old(connection, now)
            owner = invocation.owner
            (everybody,) = connection.execute(_ALL_KEPT).fetchone()
            (theirs,) = connection.execute(_KEPT_OF_ONE, (owner.ps, owner.sub)).fetchone()
            if everybody >= room.most or theirs >= room.most_of_one:
                return False
            connection.execute(
                "INSERT INTO held_invocations (handle, thumbprint, ps, sub, state, expires_at, token_until, request, "
                "body, keep_until) VALUES (?, ?, ?, ?, 'waiting', ?, ?, ?, ?, ?)",
                (
                    _hashed(handle),
                    owner.thumbprint,
                    owner.ps,
                    owner.sub,
                    invocation.expires_at,
                    token_until,
                    _written(invocation),
                    invocation.body,
                    invocation.expires_at,
                ),
            )
            return True

        return await self._transaction(work)

    async def find(self, handle: str, now: float) -> Record | None:
        def work(connection: sqlite3.Connection) -> Record | None:
            _forget_old(connection, now)
            row = connection.execute(
                "SELECT state, thumbprint, ps, sub, request, body, expires_at, token_until, tokens, issuer, jti, "
                "lease_until, answer, answer_body FROM held_invocations WHERE handle = ?",
                (_hashed(handle),),
            ).fetchone()
            return _record(row) if row is not None else None

        return await self._transaction(work)

    async def claim(self, handle: str, grant: Grant, lease_until: float, now: float) -> bool:
        return await self._change(
            "UPDATE held_invocations SET state = 'executing', issuer = ?, jti = ?, lease_until = ? "
            "WHERE handle = ? AND state = 'waiting' AND expires_at > ?",
            (grant.issuer, grant.jti, lease_until, _hashed(handle), now),
        )

    async def extend(self, handle: str, lease_until: float) -> None:
        await self._change(
            "UPDATE held_invocations SET lease_until = ? WHERE handle = ? AND state = 'executing'",
            (lease_until, _hashed(handle)),
        )

    async def answer(self, handle: str, answer: KeptAnswer, keep_until: float) -> None:
        head = json.dumps({"status": answer.status, "headers": answer.headers})
        await self._change(
            "UPDATE held_invocations SET state = 'answered', answer = ?, answer_body = ?, keep_until = ?, "
            "request = NULL, body = NULL WHERE handle = ? AND state = 'executing'",
            (head, answer.body, keep_until, _hashed(handle)),
        )

    async def token_issued(self, handle: str, token_until: float) -> None:
        await self._change(
            "UPDATE held_invocations SET token_until = ?, tokens = tokens + 1 WHERE handle = ? AND state = 'waiting'",
            (token_until, _hashed(handle)),
        )

    async def close(self, handle: str, *, of: State, now: float) -> bool:
        return await self._change(
            _CLOSE,
            (now, _hashed(handle), of.value),
        )

    async def _change(self, statement: str, values: tuple[object, ...]) -> bool:
        return await self._transaction(lambda connection: connection.execute(statement, values).rowcount == 1)

    async def _transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """One write transaction in a thread of its own: a committed decision is on the disk."""

        def run() -> T:
            # Taken in the thread: a caller that goes away does not hand on a connection that is still at work.
            with self._lock:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    result = work(self._connection)
                except BaseException:
                    self._connection.execute("ROLLBACK")
                    raise
                self._connection.execute("COMMIT")
                return result

        return await asyncio.to_thread(run)


_ALL_KEPT = "SELECT count(*) FROM held_invocations WHERE state != 'gone'"
_KEPT_OF_ONE = "SELECT count(*) FROM held_invocations WHERE state != 'gone' AND ps = ? AND sub = ?"
_CLOSE = """
UPDATE held_invocations
SET state = 'gone', request = NULL, body = NULL, answer = NULL, answer_body = NULL, keep_until = ?
WHERE handle = ? AND state = ?
"""
# Answers whose time is over; those who ran out and did not come to be told so; those whose executor died.
_BURY = """
UPDATE held_invocations
SET state = 'gone', request = NULL, body = NULL, answer = NULL, answer_body = NULL
WHERE state = 'answered' AND keep_until <= :now
   OR state = 'waiting' AND expires_at <= :late
   OR state = 'executing' AND max(lease_until, keep_until) <= :buried
"""
_FORGET = "DELETE FROM held_invocations WHERE state = 'gone' AND keep_until <= :buried"


def _forget_old(connection: sqlite3.Connection, now: float) -> None:
    times = {"now": now, "late": now - _LATE.total_seconds(), "buried": now - _TOMBSTONE.total_seconds()}
    connection.execute(_BURY, times)
    connection.execute(_FORGET, times)


def _hashed(handle: str) -> str:
    return hashlib.sha256(handle.encode()).hexdigest()


def _written(invocation: Invocation) -> str:
    return json.dumps(
        {
            "method": invocation.method,
            "path": invocation.path,
            "raw_path": invocation.raw_path,
            "query": invocation.query,
            "headers": invocation.headers,
            "scopes": invocation.scopes,
            "account": invocation.account,
        }
    )


def _record(row: tuple[object, ...]) -> Record:
    state, thumbprint, ps, sub, request, body, expires_at, token_until, tokens, issuer, jti, lease, head, content = row
    owner = Owner(thumbprint=str(thumbprint), ps=str(ps), sub=str(sub))
    return Record(
        state=State(str(state)),
        owner=owner,
        invocation=_read(owner, str(request), body, float(str(expires_at))) if request is not None else None,
        token_until=float(str(token_until)),
        tokens=int(str(tokens)),
        grant=Grant(issuer=str(issuer), jti=str(jti)) if jti is not None else None,
        lease_until=float(str(lease)),
        answer=_read_answer(str(head), content) if head is not None else None,
    )


def _read(owner: Owner, request: str, body: object, expires_at: float) -> Invocation:
    members = json.loads(request)
    return Invocation(
        owner=owner,
        method=members["method"],
        path=members["path"],
        raw_path=members["raw_path"],
        query=members["query"],
        headers=_lines(members["headers"]),
        body=body if isinstance(body, bytes) else b"",
        scopes=tuple(members["scopes"]),
        account=members["account"],
        expires_at=expires_at,
    )


def _read_answer(head: str, body: object) -> KeptAnswer:
    members = json.loads(head)
    content = body if isinstance(body, bytes) else b""
    return KeptAnswer(status=members["status"], headers=_lines(members["headers"]), body=content)


def _lines(value: list[list[str]]) -> Lines:
    return tuple((name, content) for name, content in value)
