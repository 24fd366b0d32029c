"""One request over HTTP/2 with prior knowledge (RFC 9113 §3.3), frame by frame; it reads no header but the status."""

from __future__ import annotations

import socket
import struct

from tests.wire.http1 import GATEWAY, PATIENCE_SECONDS, Answer, Request

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY = 0, 1, 3, 4, 7
END_STREAM, END_HEADERS, ACK = 1, 4, 1
# RFC 7541 appendix A, 8 to 14, and appendix B for the ten digits: enough to read `:status`.
STATUSES = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}
DIGITS = {
    **{f"{n:05b}": str(n) for n in range(3)},
    **{f"{0b011001 + n - 3:06b}": str(n) for n in range(3, 10)},
}


def send(request: Request) -> Answer:
    """The status and body of the answer."""
    with socket.create_connection(("127.0.0.1", GATEWAY), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(PREFACE + _frame(SETTINGS, 0, 0, b"") + _request(request))
        return _answer(connection)


def _request(request: Request) -> bytes:
    pseudo = [
        (":method", request.method),
        (":scheme", "http"),
        (":authority", request.header("host") or ""),
        (":path", request.target),
    ]
    fields = [*pseudo, *((name.lower(), value) for name, value in request.headers if name.lower() != "host")]
    # RFC 7541 §6.2.2: literal, not indexed, name as text.
    block = b"".join(b"\x00" + _text(name) + _text(value) for name, value in fields)
    end = 0 if request.body else END_STREAM
    head = _frame(HEADERS, END_HEADERS | end, 1, block)
    return head + (_frame(DATA, END_STREAM, 1, request.body) if request.body else b"")


def _text(text: str) -> bytes:
    data = text.encode("latin-1")
    length = len(data)
    if length < 127:
        return bytes([length]) + data
    prefix, length = bytes([127]), length - 127
    while length >= 128:
        prefix, length = prefix + bytes([length % 128 + 128]), length // 128
    return prefix + bytes([length]) + data


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _answer(connection: socket.socket) -> Answer:
    status, body = 0, b""
    while True:
        head = _exactly(connection, 9)
        size, kind, flags = int.from_bytes(head[:3]), head[3], head[4]
        payload = _exactly(connection, size)
        if kind == SETTINGS and not flags & ACK:
            connection.sendall(_frame(SETTINGS, ACK, 0, b""))
        elif kind == HEADERS and not status:
            status = _status(payload)
        elif kind == DATA:
            body += payload
        assert kind not in (RST_STREAM, GOAWAY), payload
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            return Answer(status=status, headers=(), body=body)


def _status(block: bytes) -> int:
    """`:status` comes first; indexed, or literal under index 8."""
    first = block[0]
    if first & 0x80:
        return STATUSES[first & 0x7F]
    assert first in (0x08, 0x18, 0x48), block[:8]
    length, coded = block[1] & 0x7F, bool(block[1] & 0x80)
    text = block[2 : 2 + length]
    return int(_digits(text) if coded else text)


def _digits(data: bytes) -> str:
    bits = "".join(f"{byte:08b}" for byte in data)
    text = code = ""
    for bit in bits:
        code += bit
        if code in DIGITS:
            text, code = text + DIGITS[code], ""
    return text


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        assert more, "the connection ended"
        data += more
    return data
