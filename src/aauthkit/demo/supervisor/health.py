"""Asks a part whether it serves: one HTTP/1.1 GET over loopback, a small answer, a short wait.

Not an HTTP client; the demo's parts have those.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from urllib.parse import urlsplit

from aauthkit.demo.supervisor.part import Health

# A part answers its own health at once or is not well.
PATIENCE = timedelta(seconds=2)
LARGEST_ANSWER = 64 * 1024


async def is_healthy(health: Health) -> bool:
    """Whether the part answers, and with what the table accepts."""
    with contextlib.suppress(OSError, ValueError, IndexError, TimeoutError):
        async with asyncio.timeout(PATIENCE.total_seconds()):
            status, body = await _get(health.url)
            return health.accepted(status, body)
    return False


async def _get(url: str) -> tuple[int, bytes]:
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"GET {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read(LARGEST_ANSWER)
        while len(answer) < LARGEST_ANSWER and (more := await reader.read(LARGEST_ANSWER - len(answer))):
            answer += more
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), body
