"""The real page and the real identity provider on free ports, a scripted backend, and the system's Chromium."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import uvicorn
from starlette.applications import Starlette

from aauthkit.demo.idp.app import create_app as create_identity_provider
from aauthkit.demo.idp.serving import listen
from aauthkit.demo.idp.settings import Settings as IdentityProviderSettings
from aauthkit.demo.ui.app import create_app
from aauthkit.demo.ui.settings import Settings
from tests.demo.ui.backend_double import BackendDouble

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PERSON_SERVER = "http://127.0.0.1:8765"


@dataclass
class Stage:
    """Everything the page talks to; ``backend`` is reset for every test and can be taken away and put back."""

    ui: str
    issuer: str
    backend_port: int
    backend: BackendDouble = field(default_factory=BackendDouble)

    @contextmanager
    def backend_up(self) -> Iterator[None]:
        with _serving(self.backend.app(self.ui), self.backend_port):
            yield


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("idp")) as stage:
        yield stage


@contextmanager
def staged(state: Path) -> Iterator[Stage]:
    """The page and the identity provider, which keeps its state there; whoever asks for the backend starts it."""
    ui_port, backend_port, idp_port = _free_port(), _free_port(), _free_port()
    ui = f"http://localhost:{ui_port}"
    issuer = f"http://localhost:{idp_port}/realms/aauth-test"
    identity = IdentityProviderSettings(state=state, issuer=issuer, ui_origins=(ui,))
    page = Settings(
        port=ui_port, issuer=issuer, backend=f"http://localhost:{backend_port}", person_server=PERSON_SERVER
    )
    with _identity_provider(identity, idp_port), _serving(create_app(page), ui_port):
        yield Stage(ui, issuer, backend_port)


@pytest.fixture
def backend(stage: Stage) -> Iterator[BackendDouble]:
    stage.backend = BackendDouble()
    with stage.backend_up():
        yield stage.backend


@pytest.fixture
def problems() -> list[str]:
    """What the browser complained about; empty when a test ends well."""
    return []


@pytest.fixture
def browser_page(chromium: Browser, problems: list[str]) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(10_000)
    page = context.new_page()
    page.on("pageerror", lambda error: problems.append(str(error)))
    # A blocked resource or script is a console error: the page's own policy must never be in its way.
    page.on("console", lambda message: problems.append(message.text) if "Security Policy" in message.text else None)
    yield page
    context.close()
    assert problems == []


@pytest.fixture
def signed_in(browser_page: Page, stage: Stage, backend: BackendDouble) -> Page:
    sign_in(browser_page, stage.ui)
    return browser_page


def sign_in(page: Page, ui: str, username: str = "mcp-user", password: str = "user123") -> None:
    page.goto(ui)
    page.get_by_role("button", name="Sign in").click()
    tell_who(page, username, password)
    page.get_by_role("button", name="Sign out").wait_for()


def tell_who(page: Page, username: str, password: str) -> None:
    """Fill in the form of the identity provider. Labels are its own; the fields have one name at both we have."""
    page.locator("input[name=username]").fill(username)
    page.locator("input[name=password]").fill(password)
    page.get_by_role("button", name="Sign in").click()


def until(page: Page, expression: str, arg: object = None) -> None:
    """Wait until a JavaScript expression is true of the page.

    Asked from outside: Playwright's own waiting evaluates text inside the page, which its CSP forbids, as it should.
    """
    from playwright.sync_api import Error

    for _ in range(200):
        # A page on its way to another one cannot be asked; the next one can.
        with suppress(Error):
            if page.evaluate(expression, arg):
                return
        page.wait_for_timeout(50)
    raise AssertionError(f"not true within ten seconds: {expression}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _serving(app: Starlette, port: int) -> Iterator[None]:
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", ws="none", lifespan="off")
    server = uvicorn.Server(config)
    with _running(server.run):
        _wait_for(port)
        yield
        server.should_exit = True


@contextmanager
def _identity_provider(settings: IdentityProviderSettings, port: int) -> Iterator[None]:
    server = listen(create_identity_provider(settings), "127.0.0.1", port)
    with _running(server.serve_forever):
        yield
        server.shutdown()
    server.server_close()


@contextmanager
def _running(target: Callable[[], object]) -> Iterator[None]:
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    yield
    thread.join(timeout=10)


def _wait_for(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except ConnectionRefusedError:
            threading.Event().wait(0.05)
    raise AssertionError(f"nothing answers on port {port}")
