"""Sending a person somewhere: a terminal with a QR code, a browser with a way back (AAuth-11 §7.3, §11.6.3.2)."""

from __future__ import annotations

import asyncio
import io
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from aauthkit.agent import Interaction, open_browser, print_address, tell_nobody
from aauthkit.agent.callback import LocalCallback

ASKED = Interaction(url="https://ps.example/consent", code="ABCD-EFGH", pending_url="https://ps.example/pending/1")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_address_code_and_a_qr_code() -> None:
    screen = Terminal()
    print_address(ASKED, to=screen)
    lines = screen.getvalue().splitlines()
    assert lines[0] == "A person is asked. Open https://ps.example/consent?code=ABCD-EFGH"
    assert lines[1] == "and compare the code: ABCD-EFGH"
    assert len(lines) > 15
    assert set("".join(lines[2:])) <= set(" █▀▄")


def test_a_file_gets_the_address_alone() -> None:
    log = io.StringIO()
    print_address(ASKED, to=log)
    assert len(log.getvalue().splitlines()) == 2


def test_without_the_extra_a_terminal_gets_the_address_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aauthkit.agent.interaction.find_spec", lambda _name: None)
    screen = Terminal()
    print_address(ASKED, to=screen)
    assert len(screen.getvalue().splitlines()) == 2


def test_a_browser_is_opened_at_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    open_browser(ASKED)
    tell_nobody(ASKED)
    assert opened == ["https://ps.example/consent?code=ABCD-EFGH"]


async def _visit(url: str, method: str = "GET") -> httpx2.Response:
    async with httpx2.AsyncClient() as browser:
        return await browser.request(method, url)


def _callback_in(opened: str) -> str:
    return parse_qs(urlsplit(opened).query)["callback"][0]


@pytest.mark.anyio
@pytest.mark.conformance("11:§7.3.1-3")
@pytest.mark.parametrize(("query", "error"), [("", None), ("?error=access_denied", "access_denied")])
async def test_a_browser_that_comes_back_is_noted__7_3(query: str, error: str | None) -> None:
    opened: list[str] = []
    asked = Interaction(url=ASKED.url, code=ASKED.code, pending_url=ASKED.pending_url)
    async with LocalCallback(opened.append) as callback:
        callback.open_browser(asked)
        back = _callback_in(opened[0])
        assert urlsplit(back).hostname == "127.0.0.1"
        page = await _visit(back + query)
        again = await _visit(back + "?error=server_error")
    assert (page.status_code, again.status_code) == (200, 404)
    assert asked.returned.error == error


@pytest.mark.anyio
@pytest.mark.attack
async def test_nobody_else_can_end_an_interaction__7_3() -> None:
    """Any page in the browser can call an address on this machine; it would have to guess this one."""
    asked = Interaction(url=ASKED.url, code=ASKED.code, pending_url=ASKED.pending_url)
    async with LocalCallback(lambda _: None) as callback:
        back = callback.address_for(asked)
        origin = back.rpartition("/")[0]
        statuses = [
            (await _visit(f"{origin}/?error=access_denied")).status_code,
            (await _visit(f"{origin}/guess?error=access_denied")).status_code,
            (await _visit(f"{back}?error=access_denied", "POST")).status_code,
        ]
    assert statuses == [404, 404, 404]
    assert asked.returned.error is None


@pytest.mark.anyio
@pytest.mark.attack
@pytest.mark.parametrize(
    "raw", [b"\r\n", b"GET\r\n", b"\xff\xfe /\r\n", b"GET " + b"/" * 20_000 + b"\r\n", b"G"], ids=str
)
async def test_what_is_no_request_ends_without_an_answer_that_says_anything(raw: bytes) -> None:
    asked = Interaction(url=ASKED.url, code=ASKED.code, pending_url=ASKED.pending_url)
    async with LocalCallback(lambda _: None) as callback:
        parts = urlsplit(callback.address_for(asked))
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(raw)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
    assert answer == b"" or answer.startswith(b"HTTP/1.1 404")
    assert asked.returned.error is None
