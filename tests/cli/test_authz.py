"""`aauth authz` as a process: checks its file, serves, reloads on SIGHUP, stops on SIGTERM."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server
from typing import Any

import httpx
from click.testing import CliRunner

from aauthkit.cli.authz import authz
from tests.authz.world import SCA_HOST, document, write


def test_check_says_ok_and_makes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, document())

    result = CliRunner().invoke(authz, ["--check"], env={"AAUTH_CONFIG": str(path)})

    assert (result.exit_code, result.output) == (0, f"{path}: OK\n")
    assert not (tmp_path / "spa.pem").exists()


def test_check_names_every_fault_on_a_line_of_its_own(tmp_path: Path) -> None:
    path = write(tmp_path, document(draft="7", acces={}))

    result = CliRunner().invoke(authz, ["--config", str(path), "--check"])

    lines = result.output.splitlines()
    assert result.exit_code == 1
    assert [line.removeprefix(f"{path}: ").partition(": ")[0] for line in lines] == [
        "resources[0].draft",
        "resources[0].acces",
    ]


def test_missing_file_is_told(tmp_path: Path) -> None:
    result = CliRunner().invoke(authz, ["--config", str(tmp_path / "none.yaml"), "--check"])

    assert result.exit_code == 1
    assert "cannot be read" in result.output


@contextmanager
def serving(directory: Path, content: dict[str, Any]) -> Iterator[tuple[int, subprocess.Popen[str], Path]]:
    with create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    path = write(directory, {**content, "listen": {"grpc": "127.0.0.1:0", "http": f"127.0.0.1:{port}"}})
    told = directory / "err.txt"
    with told.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "aauthkit.cli", "authz", "--config", str(path)],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "PYTHONPATH": "src"},
        )
    try:
        until(lambda: _answers(port))
        yield port, process, told
    finally:
        process.kill()
        process.communicate(timeout=10)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "did not happen within 20 seconds"
        time.sleep(0.05)


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
    except httpx.HTTPError:
        return False


def test_service_reloads_keeps_a_good_file_logs_and_stops(tmp_path: Path) -> None:
    with serving(tmp_path, document()) as (port, process, told):
        metadata = f"http://127.0.0.1:{port}/.well-known/aauth-resource.json"
        listen = {"listen": {"grpc": "127.0.0.1:0", "http": f"127.0.0.1:{port}"}}

        write(tmp_path, {**document(client_name="Renamed"), **listen})
        process.send_signal(signal.SIGHUP)
        until(lambda: httpx.get(metadata, headers={"host": SCA_HOST}).json().get("client_name") == "Renamed")

        write(tmp_path, document(client_name=""))
        process.send_signal(signal.SIGHUP)
        until(lambda: "the old one stays: resources[0].client_name" in told.read_text())
        assert httpx.get(metadata, headers={"host": SCA_HOST}).json()["client_name"] == "Renamed"

        httpx.get(f"http://127.0.0.1:{port}/check/", headers={"host": SCA_HOST})
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=15)

    (line,) = [json.loads(line) for line in output.splitlines()]
    assert (line["resource_id"], line["result"]) == ("supply-chain-agent", "challenged")
    assert "Traceback" not in told.read_text()


def test_second_service_on_the_same_port_is_told(tmp_path: Path) -> None:
    with create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        path = write(tmp_path, {**document(), "listen": {"grpc": "127.0.0.1:0", "http": address}})
        result = subprocess.run(
            [sys.executable, "-m", "aauthkit.cli", "authz", "--config", str(path)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": "src"},
            timeout=30,
        )

    assert result.returncode != 0
    assert address in result.stderr
    assert "Traceback" not in result.stderr
