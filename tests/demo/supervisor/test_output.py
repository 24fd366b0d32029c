"""Lines of a part, whatever bytes it prints."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from aauthkit.demo.supervisor import output
from aauthkit.demo.supervisor.console import Terminal
from aauthkit.demo.supervisor.output import LAST_LINES, LONGEST_LINE, PartOutput, lines_of

pytestmark = pytest.mark.anyio


async def read(data: bytes) -> list[str]:
    stream = asyncio.StreamReader()
    stream.feed_data(data)
    stream.feed_eof()
    return [line async for line in lines_of(stream)]


async def test_lines_end_at_line_feeds_and_the_last_needs_none() -> None:
    assert await read(b"one\r\ntwo\n\nthree") == ["one", "two", "", "three"]


async def test_bytes_that_are_no_text_do_not_stop_it() -> None:
    assert await read(b"\xff\xfe\nfine\n") == ["\ufffd\ufffd", "fine"]


async def test_a_line_without_end_is_cut_and_its_rest_dropped() -> None:
    long = b"x" * (5 * 64 * 1024)
    first, second = await read(long + b"\nnext\n")
    assert first == "x" * LONGEST_LINE + " … (line cut)"
    assert second == "next"


async def test_the_last_lines_are_remembered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part = PartOutput("ui", tmp_path / "ui.log", Terminal(["ui"]), set())
    for number in range(LAST_LINES + 5):
        part.add(str(number))
    assert list(part.last) == [str(number) for number in range(5, LAST_LINES + 5)]
    assert (tmp_path / "ui.log").read_text().splitlines()[0] == "0"
    assert capsys.readouterr().out.splitlines()[0] == "ui | 0"


async def test_a_log_does_not_grow_without_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "LARGEST_LOG", 1000)
    part = PartOutput("ui", tmp_path / "ui.log", Terminal(["ui"]), set())
    for _ in range(100):
        part.add("y" * 100)
    assert (tmp_path / "ui.log").stat().st_size < 1300
    assert (tmp_path / "ui.log").read_text().startswith("(earlier lines dropped)\n")
