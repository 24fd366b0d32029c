"""A small HTTP/1.1 client that sends exactly the bytes it is given and keeps every header line of the answer.

It never corrects anything: what it sends may be as wrong as a test needs.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

GATEWAY = 3000
PATIENCE_SECONDS = 20.0

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request as it goes over the wire; `host` is just another header line, the first."""

    method: str = "POST"
    target: str = "/"
    headers: Headers = ()
    body: bytes = b""
    version: str = "HTTP/1.1"

    def header(self, name: str) -> str | None:
        found = self.values(name)
        return ", ".join(found) if found else None

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def adding(self, *headers: tuple[str, str]) -> Request:
        return replace(self, headers=(*self.headers, *headers))

    def without(self, name: str) -> Request:
        return replace(self, headers=tuple(pair for pair in self.headers if pair[0].lower() != name.lower()))

    def setting(self, name: str, value: str) -> Request:
        """The same request with the one line of this name changed where it stands."""
        assert len(self.values(name)) == 1, name
        return replace(
            self, headers=tuple((key, value if key.lower() == name.lower() else old) for key, old in self.headers)
        )

    def raw(self) -> bytes:
        """The bytes; a Content-Length is added when there is a body and nothing says how long it is."""
        lines = list(self.headers)
        if self.body and self.header("content-length") is None and self.header("transfer-encoding") is None:
            lines.append(("Content-Length", str(len(self.body))))
        head = [f"{self.method} {self.target} {self.version}", *(f"{name}: {value}" for name, value in lines)]
        return "\r\n".join([*head, "", ""]).encode("latin-1") + self.body


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    headers: Headers
    body: bytes

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key == name.lower()]
        assert len(found) <= 1, f"{name} is there {len(found)} times"
        return found[0] if found else None

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str | None:
        """The stable code of a refusal; None when the body is not one."""
        try:
            body = self.json()
        except ValueError:
            return None
        return body.get("error") if isinstance(body, dict) and isinstance(body.get("error"), str) else None


class Connection:
    """One TCP connection; answers are read in order."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
        self._buffer = b""

    def close(self) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def send_as_far_as_it_goes(self, data: bytes) -> None:
        """For what the other side may refuse half-way."""
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return

    def end_sending(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def answer(self, method: str = "POST") -> Answer:
        """The next answer, which must come."""
        found = self.answer_or_end(method)
        assert found is not None, "the connection was closed without an answer"
        return found

    def answer_or_end(self, method: str = "POST") -> Answer | None:
        """The next final answer; None when the other side closed the connection instead."""
        while True:
            head = self._until(b"\r\n\r\n")
            if head is None:
                return None
            first, *lines = head.decode("latin-1").split("\r\n")
            status = int(first.split(" ")[1])
            if status >= 200:
                break
        headers = tuple((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
        return Answer(status=status, headers=headers, body=self._body(method, status, headers))

    def is_closed(self) -> bool:
        """Whether the other side ends the connection without saying more."""
        return self._buffer == b"" and not self._more()

    def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        while self._more():
            pass
        data, self._buffer = self._buffer, b""
        return data

    def _body(self, method: str, status: int, headers: Headers) -> bytes:
        fields = dict(headers)
        if method == "HEAD" or status in (204, 304):
            return b""
        if "chunked" in fields.get("transfer-encoding", ""):
            return self._chunks()
        if "content-length" in fields:
            return self._exactly(int(fields["content-length"]))
        return self.rest()

    def _chunks(self) -> bytes:
        body = b""
        while True:
            line = self._until(b"\r\n")
            assert line is not None, "a chunk is missing"
            size = int(line.split(b";")[0], 16)
            chunk = self._exactly(size + 2)[:-2]
            if size == 0:
                return body
            body += chunk

    def _until(self, mark: bytes) -> bytes | None:
        while mark not in self._buffer:
            if not self._more():
                return None
        found, _, self._buffer = self._buffer.partition(mark)
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size and self._more():
            pass
        assert len(self._buffer) >= size, "the answer was cut short"
        found, self._buffer = self._buffer[:size], self._buffer[size:]
        return found

    def _more(self) -> bool:
        try:
            data = self._socket.recv(65536)
        except ConnectionResetError:
            return False
        self._buffer += data
        return bool(data)


@contextmanager
def connected(port: int = GATEWAY) -> Iterator[Connection]:
    connection = Connection(port)
    try:
        yield connection
    finally:
        connection.close()


def send(request: Request, *, port: int = GATEWAY) -> Answer:
    """One request on a connection of its own."""
    with connected(port) as connection:
        connection.send(request.raw())
        return connection.answer(request.method)
