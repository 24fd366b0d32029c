"""Texts that the code writes are in the pages as the code writes them now."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.docs.generated import Texts, texts
from tests.docs.pages import blocks

pytestmark = pytest.mark.anyio

_HOW = "run `python -m tests.docs.generated` and look at what changed"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def written() -> Texts:
    with tempfile.TemporaryDirectory() as scratch:
        return await texts(Path(scratch))


async def test_every_generated_text_is_what_the_code_writes_now(written: Texts) -> None:
    shown = [block for block in blocks("text", "http", "json") if block.name]
    stale = [f"{block}: {block.name}" for block in shown if written.get(block.name) != block.text]
    assert stale == [], _HOW


async def test_every_text_the_code_writes_is_shown(written: Texts) -> None:
    assert set(written) - {block.name for block in blocks("text", "http", "json")} == set()


def test_messages_are_never_written_by_hand() -> None:
    assert [str(block) for block in blocks("http", "json") if not block.name] == []
