"""Who listens where, read from /proc: names the holder of a busy port, and finds a part that listens beyond this
machine. Opens a socket only to see that a port is free.
"""

from __future__ import annotations

import ipaddress
import itertools
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from aauthkit.demo.supervisor.part import Address
from aauthkit.demo.supervisor.processes import PROC, all_pids

LISTENING = "0A"  # TCP_LISTEN in include/net/tcp_states.h


@dataclass(frozen=True, kw_only=True)
class Listener:
    """One listening socket of this machine."""

    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    port: int
    inode: int


def listeners() -> list[Listener]:
    """Every listening TCP socket, of all users."""
    return [listener for table in ("tcp", "tcp6") for listener in _table(table)]


def _table(name: str) -> list[Listener]:
    try:
        lines = (PROC / "net" / name).read_text().splitlines()[1:]
    except OSError:
        return []
    rows = (line.split() for line in lines)
    return [_listener(row[1], int(row[9])) for row in rows if row[3] == LISTENING]


def _listener(local: str, inode: int) -> Listener:
    host, _, port = local.partition(":")
    return Listener(address=_address(host), port=int(port, 16), inode=inode)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    # Printed as words in the machine's own byte order.
    raw = b"".join(int(text[i : i + 8], 16).to_bytes(4, "little") for i in range(0, len(text), 8))
    return ipaddress.IPv4Address(raw) if len(raw) == 4 else ipaddress.IPv6Address(raw)


def beyond_this_machine(pids: Iterable[int]) -> list[Listener]:
    """Listening sockets of these processes that another machine could connect to."""
    inodes = {inode for pid in pids for inode in _sockets_of(pid)}
    return [listener for listener in listeners() if listener.inode in inodes and not _loopback(listener)]


def _loopback(listener: Listener) -> bool:
    mapped = getattr(listener.address, "ipv4_mapped", None)
    return bool((mapped or listener.address).is_loopback)


def _sockets_of(pid: int) -> set[int]:
    found: set[int] = set()
    try:
        for entry in (PROC / str(pid) / "fd").iterdir():
            target = str(entry.readlink())
            if target.startswith("socket:["):
                found.add(int(target[8:-1]))
    except OSError:  # ended meanwhile, or another user's
        return found
    return found


def is_free(address: Address) -> bool:
    """Whether a part could listen there now."""
    with socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET) as probe:
        # Without this a port whose last connection just closed would look taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except OSError:
            return False
    return True


def holder(port: int) -> str:
    """The process that listens on a port, in words a person can act on; empty when it cannot be read (another user's
    process).
    """
    inodes = {listener.inode for listener in listeners() if listener.port == port}
    for pid in all_pids():
        if inodes & _sockets_of(pid):
            return f"{_name(pid)}, pid {pid}"
    return ""


def _name(pid: int) -> str:
    try:
        program, *words = (PROC / str(pid) / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        return "a process that just ended"
    # `python -m http.server 80` is "python http.server 80"; from the first long option on, a value might be a secret.
    plain = itertools.takewhile(lambda word: not word.startswith("--"), words)
    telling = [word for word in plain if word and not word.startswith("-")]
    return " ".join([Path(program).name, *telling[:3]])
