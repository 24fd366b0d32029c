"""The peers, each started when the first test asks for it and ended with the run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.peer import Peer


@pytest.fixture(scope="session")
def regent() -> Iterator[Peer]:
    yield from _until_the_end(Peer.python("regent-httpsig", "regent"))


@pytest.fixture(scope="session")
def aauth_11() -> Iterator[Peer]:
    yield from _until_the_end(Peer.python("aauth-11", "aauth_11"))


@pytest.fixture(scope="session")
def aauth_01() -> Iterator[Peer]:
    yield from _until_the_end(Peer.python("aauth-01", "aauth_01"))


@pytest.fixture(scope="session")
def httpsig() -> Iterator[Peer]:
    yield from _until_the_end(Peer.node("httpsig.cjs"))


def _until_the_end(peer: Peer) -> Iterator[Peer]:
    try:
        yield peer
    finally:
        peer.stop()
