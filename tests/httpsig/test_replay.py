"""The memory of unsafe requests: exact, bounded, forgetting no earlier than it may."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from aauthkit.errors import Unavailable
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.replay import RedisReplayCache, ReplayCache, fingerprint

MESSAGE = Message.of("POST", "https://a.example/x?y=1", (), b"body")


def print_of(message: Message = MESSAGE, **changed: Any) -> bytes:
    return fingerprint(message, **{"thumbprint": "t", "created": 1000, "signature": b"s", **changed})


def test_a_request_is_new_once() -> None:
    cache = ReplayCache()
    assert cache.is_new(b"a", until=100, now=0) is True
    assert cache.is_new(b"a", until=100, now=99.9) is False
    assert cache.is_new(b"b", until=100, now=99.9) is True


def test_an_entry_goes_at_its_time_and_not_before() -> None:
    cache = ReplayCache(max_entries=1)
    assert cache.is_new(b"a", until=100, now=0)
    with pytest.raises(Unavailable):
        cache.is_new(b"b", until=200, now=99.999)
    assert cache.is_new(b"b", until=200, now=100)


def test_a_long_lived_entry_at_the_head_delays_others_but_opens_nothing() -> None:
    cache = ReplayCache()
    assert cache.is_new(b"far", until=300, now=0)
    assert cache.is_new(b"near", until=100, now=0)
    assert cache.is_new(b"near", until=100, now=99) is False
    assert cache.is_new(b"far", until=300, now=299) is False


def test_a_full_cache_still_knows_what_it_saw() -> None:
    cache = ReplayCache(max_entries=3)
    for entry in (b"a", b"b", b"c"):
        assert cache.is_new(entry, until=100, now=0)
    for entry in (b"a", b"b", b"c"):
        assert cache.is_new(entry, until=100, now=1) is False
    with pytest.raises(Unavailable):
        cache.is_new(b"d", until=100, now=1)


def test_of_many_at_once_one_is_new() -> None:
    cache, new = ReplayCache(), []
    start = threading.Barrier(8)

    def ask() -> None:
        start.wait()
        new.append(sum(cache.is_new(str(number).encode(), until=100, now=0) for number in range(500)))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(new) == 500


@pytest.mark.parametrize(
    "other",
    [
        print_of(thumbprint="u"),
        print_of(created=1001),
        print_of(signature=b"z"),
        print_of(replace(MESSAGE, method="PUT")),
        print_of(replace(MESSAGE, path="/z")),
        print_of(replace(MESSAGE, authority="b.example")),
    ],
)
def test_another_request_has_another_fingerprint(other: bytes) -> None:
    """DESIGN §4 rule 1: keyed by thumbprint, created, method, authority, path and signature."""
    assert other != print_of()


@pytest.mark.parametrize(
    "same",
    [
        replace(MESSAGE, body=b"other"),
        replace(MESSAGE, query=None),
        replace(MESSAGE, headers=(("x", "1"),)),
        replace(MESSAGE, authority="A.EXAMPLE:443"),
    ],
)
def test_what_is_not_the_request_does_not_change_its_fingerprint(same: Message) -> None:
    assert print_of(same) == print_of()


class Redis:
    """`SET key value NX PXAT` of a Redis, and nothing else of it."""

    def __init__(self) -> None:
        self.kept: dict[bytes, int] = {}

    def set(self, name: bytes, value: bytes, *, nx: bool, pxat: int) -> bool | None:
        assert nx
        assert value
        if name in self.kept:
            return None
        self.kept[name] = pxat
        return True


def test_a_shared_cache_says_the_same() -> None:
    redis = Redis()
    one, two = RedisReplayCache(redis), RedisReplayCache(redis)
    assert one.is_new(b"a", until=1000.5, now=0) is True
    assert two.is_new(b"a", until=1000.5, now=0) is False
    assert redis.kept == {b"aauth:replay:a": 1_001_500}


def test_a_shared_cache_that_does_not_answer_lets_nothing_in() -> None:
    class Broken:
        def set(self, *_: object, **__: object) -> None:
            raise TimeoutError

    with pytest.raises(Unavailable):
        RedisReplayCache(Broken()).is_new(b"a", until=1, now=0)
