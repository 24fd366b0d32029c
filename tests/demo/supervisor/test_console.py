"""Names in front of lines, colour only for a terminal that wants it."""

from __future__ import annotations

import io

import pytest

from aauthkit.demo.supervisor.console import Terminal, table


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_names_are_as_wide_as_the_widest() -> None:
    out = io.StringIO()
    Terminal(["ui", "supply-chain"], out, out).line("ui", "hello")
    assert out.getvalue() == "ui           | hello\n"


def test_a_terminal_gets_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = FakeTerminal()
    terminal = Terminal(["ui", "idp"], out, out)
    terminal.line("ui", "hello")
    terminal.line("idp", "hello")
    first, second = out.getvalue().splitlines()
    assert first.startswith("\033[36mui ")
    assert second.startswith("\033[32midp")


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    out = FakeTerminal()
    terminal = Terminal(["ui"], out, out)
    terminal.line("ui", "hello")
    terminal.complain("oh")
    assert "\033" not in out.getvalue()


def test_what_is_no_terminal_gets_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = io.StringIO()
    Terminal(["ui"], out, out).complain("oh")
    assert out.getvalue() == "oh\n"


def test_ready_is_alone_on_its_line() -> None:
    out = io.StringIO()
    Terminal([], out, out).ready()
    assert out.getvalue() == "ready\n"


def test_a_table_aligns_its_columns() -> None:
    assert table([("part", "address"), ("ui", "http://127.0.0.1:3050")]) == "part  address\nui    http://127.0.0.1:3050"
