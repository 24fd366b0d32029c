"""What the UI serves: its files, settings and headers, and nothing inline or from another host."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient

from aauthkit.demo.ui.__main__ import main
from aauthkit.demo.ui.app import content_security_policy, create_app
from aauthkit.demo.ui.settings import Settings
from aauthkit.errors import ConfigurationError

STATIC = files("aauthkit.demo.ui") / "static"
SCRIPTS = tuple(
    sorted(path.relative_to(str(STATIC)).with_suffix("").as_posix() for path in Path(str(STATIC)).rglob("*.js"))
)


@pytest.fixture
def client() -> TestClient:
    return TestClient(create_app(Settings()))


def test_the_policy_allows_its_own_files_the_backend_and_the_identity_provider_only(client: TestClient) -> None:
    policy = client.get("/").headers["Content-Security-Policy"]

    assert "connect-src 'self' http://localhost:8000 http://localhost:8080;" in policy
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "style-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy


@pytest.mark.parametrize("path", ["/", "/callback", "/assets/main.js", "/config.json", "/health", "/nowhere"])
def test_every_answer_has_the_safety_headers(client: TestClient, path: str) -> None:
    headers = client.get(path).headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Content-Security-Policy" in headers


def test_the_page_has_nothing_inline_and_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/").text

    assert re.findall(r"<script(?![^>]*\bsrc=\"/assets/)", page) == []
    assert re.findall(r"\son\w+=|\sstyle=|<style|https?://", page) == []


def test_every_file_the_page_names_is_there(client: TestClient) -> None:
    page = client.get("/").text
    named = {*re.findall(r'(?:src|href)="(/assets/[^"]+)"', page), *(f"/assets/{name}.js" for name in SCRIPTS)}

    assert {client.get(path).status_code for path in named} == {200}


def test_scripts_never_write_markup(client: TestClient) -> None:
    for name in SCRIPTS:
        script = client.get(f"/assets/{name}.js")
        assert script.headers["Content-Type"].startswith("text/javascript")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", script.text)


def test_config_tells_the_page_where_everything_is() -> None:
    settings = Settings.from_environment(
        {
            "AAUTH_LISTEN": "127.0.0.1:4000",
            "AAUTH_OIDC_ISSUER": "https://id.example/realms/r/",
            "AAUTH_BACKEND": "https://api.example",
            "AAUTH_PERSON_SERVER": "https://person.example",
            "AAUTH_SUPPLY_CHAIN": "https://supply-chain.example",
            "AAUTH_MODE": "user-consent",
            "AAUTH_DRAFT": "11",
        }
    )

    assert (settings.host, settings.port) == ("127.0.0.1", 4000)
    assert TestClient(create_app(settings)).get("/config.json").json() == {
        "issuer": "https://id.example/realms/r",
        "client_id": "supply-chain-ui",
        "backend": "https://api.example",
        "person_server": "https://person.example",
        "supply_chain": "https://supply-chain.example",
        "mode": "user-consent",
        "draft": "11",
    }
    assert "connect-src 'self' https://api.example https://id.example;" in content_security_policy(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AAUTH_LISTEN", "3050"),
        ("AAUTH_LISTEN", "127.0.0.1:99999"),
        ("AAUTH_BACKEND", "localhost:8000"),
        ("AAUTH_BACKEND", "http://localhost:8000/api"),
        ("AAUTH_BACKEND", "http://localhost:8000; script-src *"),
        ("AAUTH_OIDC_ISSUER", "javascript:alert(1)"),
        ("AAUTH_PERSON_SERVER", ""),
        ("AAUTH_MODE", "two words"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_at_start(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError):
        Settings.from_environment({name: value})


def test_health(client: TestClient) -> None:
    assert client.get("/health").json() == {"status": "healthy", "service": "supply-chain-ui"}


def test_the_command_serves_where_it_is_told() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    environment = {**os.environ, "AAUTH_LISTEN": address}
    with subprocess.Popen([sys.executable, "-m", "aauthkit.demo.ui"], env=environment) as process:
        try:
            with httpx.Client(transport=httpx.HTTPTransport(retries=6)) as client:
                health = client.get(f"http://{address}/health")
        finally:
            process.terminate()

    assert health.json()["status"] == "healthy"


def test_the_command_says_which_setting_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AAUTH_BACKEND", "nonsense")

    assert main() == 1
    assert "AAUTH_BACKEND" in capsys.readouterr().err


@pytest.mark.attack
@pytest.mark.parametrize(
    "path",
    [
        "/assets/nothing.js",
        "/assets/..%2fapp.py",
        "/assets/protocol/../../app.py",
        "/assets/protocol",
        "/assets/",
        "/app.py",
    ],
)
def test_only_its_own_files_are_served(client: TestClient, path: str) -> None:
    response = client.get(path)

    assert response.status_code == 404
    assert response.json()["error"] == "not_found"


def test_other_methods_are_405_with_what_is_allowed(client: TestClient) -> None:
    response = client.post("/")

    assert response.status_code == 405
    assert "GET" in response.headers["Allow"]
