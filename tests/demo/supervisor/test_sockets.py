"""Who listens where, as /proc tells it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from aauthkit.demo.supervisor.part import Address
from aauthkit.demo.supervisor.sockets import beyond_this_machine, holder, is_free, listeners
from tests.demo.supervisor.conftest import eventually, free_port


def test_a_listening_socket_makes_its_port_busy_and_is_ours() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(Address(host="127.0.0.1", port=port))
        assert f"pid {os.getpid()}" in holder(port)
    assert is_free(Address(host="127.0.0.1", port=port))
    assert holder(port) == ""


def test_a_holder_is_named_by_program_and_module_without_its_options() -> None:
    port = free_port()
    argv = [sys.executable, "-P", "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    server = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: holder(port) != "", "it listens")
        assert holder(port) == f"{Path(sys.executable).name} http.server {port}, pid {server.pid}"
    finally:
        server.kill()
        server.wait()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1"])
def test_loopback_in_every_spelling_is_this_machine(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as server:
        if family == socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.bind((host, 0))
        server.listen()
        port = server.getsockname()[1]
        assert any(listener.port == port for listener in listeners())
        assert all(listener.port != port for listener in beyond_this_machine([os.getpid()]))


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_every_interface_is_beyond_this_machine(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        port = server.getsockname()[1]
        assert [listener.port for listener in beyond_this_machine([os.getpid()])] == [port]
