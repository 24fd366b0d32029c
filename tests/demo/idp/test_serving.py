"""The identity provider as a process: it binds, answers on a real socket, and refuses settings that make no sense."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from flask import Flask

from aauthkit.demo.idp.__main__ import main
from aauthkit.demo.idp.serving import listen
from aauthkit.demo.idp.settings import Settings
from aauthkit.errors import ConfigurationError
from tests.demo.idp.visitor import PROTOCOL


@contextmanager
def served(app: Flask) -> Iterator[str]:
    server = listen(app, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_over_a_real_socket_a_person_gets_a_token(app: Flask) -> None:
    form = {"grant_type": "password", "client_id": "supply-chain-ui", "username": "mcp-user", "password": "user123"}
    with served(app) as origin:
        response = httpx.post(origin + httpx.URL(PROTOCOL).path + "/token", data=form)

    assert response.status_code == 200
    assert response.headers["Server"] == "aauthkit-idp"


def test_the_log_holds_no_query(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with served(app) as origin:
        httpx.get(f"{origin}/health?code=something-secret")

    lines = [record.getMessage() for record in caplog.records if record.name.startswith("aauthkit")]
    assert lines == ["GET /health 200"]


def test_the_command_starts_and_says_that_its_passwords_are_public(state: Path) -> None:
    command = [sys.executable, "-m", "aauthkit.demo.idp", "--listen", "127.0.0.1:0", "--state", str(state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            lines = [process.stdout.readline(), process.stdout.readline()]
            address = re.search(r"http://127\.0\.0\.1:\d+", lines[1])
            assert address is not None
            health = httpx.get(f"{address[0]}/health")
        finally:
            process.terminate()

    assert "its passwords are public" in lines[0]
    assert health.json()["status"] == "healthy"


@pytest.mark.parametrize("address", ["0.0.0.0:8080", "192.168.1.2:8080", "8080", "127.0.0.1:", "127.0.0.1:99999"])
def test_an_address_that_is_not_loopback_is_refused_at_start(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--listen", address, "--state", str(tmp_path)]) == 1
    assert "identity provider:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "issuer", ["localhost:8080", "http://localhost:8080", "http://localhost:8080/realms/x/", "ftp://x/realms/y", ""]
)
def test_an_issuer_that_cannot_be_one_is_refused_at_start(issuer: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        Settings(state=tmp_path, issuer=issuer)
