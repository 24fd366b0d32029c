"""When a document that could not be fetched is asked for again (AAuth-01 "JWKS Discovery and Caching")."""

from __future__ import annotations

from datetime import timedelta

import pytest

from aauthkit.clock import FixedClock
from aauthkit.discovery import CacheSettings, Discovery
from aauthkit.errors import Unavailable
from aauthkit.flow import Fetch, Fetched, run

ISSUER = "https://person.example"
SECOND = timedelta(seconds=1)


class Server:
    """Counts what it is asked, and answers when it is up."""

    def __init__(self) -> None:
        self.up = False
        self.asked = 0

    def fetch(self, request: Fetch) -> Fetched:
        self.asked += 1
        if not self.up:
            raise Unavailable("person.example does not answer.")
        return Fetched(status=200, body=f'{{"issuer": "{ISSUER}"}}'.encode())


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(1_700_000_000)


@pytest.fixture
def discovery(clock: FixedClock) -> Discovery:
    return Discovery(development=False, clock=clock)


def asks(discovery: Discovery, server: Server) -> bool:
    """Whether a request for the document made a fetch, which failed."""
    before = server.asked
    with pytest.raises(Unavailable, match=r"^person\.example does not answer\.$"):
        run(discovery.metadata(ISSUER, "aauth-person.json"), server)
    return server.asked > before


def test_a_server_that_is_away_is_asked_again_after_twice_as_long_each_time(
    discovery: Discovery, clock: FixedClock
) -> None:
    server = Server()
    assert asks(discovery, server)
    for seconds in (1, 2, 4, 8, 16, 30, 30):
        clock.advance(timedelta(seconds=seconds) - timedelta(milliseconds=1))
        assert not asks(discovery, server)
        clock.advance(timedelta(milliseconds=1))
        assert asks(discovery, server)


def test_the_longest_wait_is_a_setting(clock: FixedClock) -> None:
    server, discovery = Server(), Discovery(development=False, clock=clock, cache=CacheSettings(error_ttl=2 * SECOND))
    for _ in range(40):
        assert asks(discovery, server)
        clock.advance(2 * SECOND)


def test_a_server_that_is_back_is_known_a_second_later_and_its_next_failure_counts_anew(
    discovery: Discovery, clock: FixedClock
) -> None:
    server = Server()
    for _ in range(5):
        assert asks(discovery, server)
        clock.advance(30 * SECOND)
    server.up = True
    assert run(discovery.metadata(ISSUER, "aauth-person.json"), server)["issuer"] == ISSUER
    # Nothing older than a day is believed, so the next failure is like a first one.
    server.up = False
    clock.advance(timedelta(hours=24))
    assert asks(discovery, server)
    clock.advance(SECOND)
    assert asks(discovery, server)
