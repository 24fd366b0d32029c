"""What a resource remembers of revocations: how long, how many, across processes and restarts (AAuth-11 §11.12.3)."""

from __future__ import annotations

import multiprocessing
import os
import signal
import stat
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from aauthkit import revocation
from aauthkit.clock import FixedClock
from aauthkit.errors import ConfigurationError, InvalidRequest, RateLimited, Unavailable
from aauthkit.resource import revocation_store
from aauthkit.resource.revocation_store import FileRevocations
from aauthkit.revocation import CLOCK_SKEW, LONGEST_TOKEN, IssuerRate, MemoryRevocations, Revocations

NOW = 1_795_300_000.0
PS = "https://ps.example"
OTHER = "https://other.example"
EXP = int(NOW) + 600
Keep = Callable[..., Revocations]


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture(params=["memory", "file"])
def keep(request: pytest.FixtureRequest, clock: FixedClock, tmp_path: Path) -> Keep:
    def make(**options: object) -> Revocations:
        if request.param == "memory":
            return MemoryRevocations(clock=clock, **options)  # type: ignore[arg-type]
        return FileRevocations(tmp_path / "revocations.db", clock=clock, **options)  # type: ignore[arg-type]

    return make


def test_an_entry_is_kept_by_issuer_and_jti__11_12_1(keep: Keep) -> None:
    kept = keep()
    assert kept.record(PS, "a", EXP)
    assert not kept.record(PS, "a", EXP)
    assert kept.is_revoked(PS, "a")
    assert not kept.is_revoked(OTHER, "a")
    assert not kept.is_revoked(PS, "b")


@pytest.mark.attack
def test_a_later_end_replaces_an_earlier_and_never_the_other_way__11_12_1(keep: Keep, clock: FixedClock) -> None:
    """An issuer that named a wrong `exp` and then the right one has revoked the token until that."""
    told: list[str] = []
    kept = keep(on_record=lambda _issuer, jti: told.append(jti))
    assert [kept.record(PS, "a", exp) for exp in (EXP, EXP + 900, EXP)] == [True, True, False]
    assert told == ["a"]
    clock.advance(timedelta(seconds=700))
    assert not kept.record(PS, "a", EXP + 900)
    assert kept.is_revoked(PS, "a")


def test_each_new_one_is_told_once(keep: Keep) -> None:
    told: list[tuple[str, str]] = []
    kept = keep(on_record=lambda issuer, jti: told.append((issuer, jti)))
    for jti in ("a", "a", "b"):
        kept.record(PS, jti, EXP)
    assert told == [(PS, "a"), (PS, "b")]


def test_an_exp_beyond_any_token_is_refused__11_12_1(keep: Keep) -> None:
    last = int(NOW + (LONGEST_TOKEN + CLOCK_SKEW).total_seconds())
    kept = keep()
    assert kept.record(PS, "a", last)
    with pytest.raises(InvalidRequest):
        kept.record(PS, "b", last + 1)
    assert not kept.is_revoked(PS, "b")


def test_a_token_that_expired_is_not_remembered(keep: Keep) -> None:
    kept, skew = keep(), int(CLOCK_SKEW.total_seconds())
    assert not kept.record(PS, "over", int(NOW) - skew)
    assert kept.record(PS, "just", int(NOW) - skew + 1)
    assert not kept.is_revoked(PS, "over")


def test_entry_10_001_of_one_issuer_is_rate_limited_until_others_expire__11_12_3(clock: FixedClock) -> None:
    kept = MemoryRevocations(clock=clock)
    for number in range(10_000):
        kept.record(PS, str(number), EXP)
    with pytest.raises(RateLimited) as refused:
        kept.record(PS, "one more", EXP)
    assert refused.value.retry_after > 0
    assert kept.record(OTHER, "0", EXP)
    assert not kept.record(PS, "9999", EXP)
    clock.advance(timedelta(seconds=660))
    assert kept.record(PS, "one more", EXP + 600)


def test_a_full_file_is_rate_limited_too__11_12_3(
    clock: FixedClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocation_store, "MOST_OF_ONE_ISSUER", 3)
    kept = FileRevocations(tmp_path / "r.db", clock=clock)
    for jti in "abc":
        kept.record(PS, jti, EXP)
    with pytest.raises(RateLimited):
        kept.record(PS, "d", EXP)
    assert not kept.is_revoked(PS, "d")
    assert kept.record(OTHER, "d", EXP)
    clock.advance(timedelta(seconds=660))
    assert kept.record(PS, "d", EXP + 600)


@pytest.mark.parametrize("module", [revocation, revocation_store])
def test_many_names_do_not_make_more_room(
    module: object, clock: FixedClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_OF_ALL", 3)
    kept = MemoryRevocations(clock=clock) if module is revocation else FileRevocations(tmp_path / "r.db", clock=clock)
    for number in range(3):
        kept.record(f"https://{number}.example", "a", EXP)
    with pytest.raises(RateLimited):
        kept.record(PS, "a", EXP)


def test_one_issuer_comes_in_bursts_and_then_steadily(clock: FixedClock) -> None:
    rate = IssuerRate(clock, burst=2, a_second=1.0)
    for issuer in (PS, PS, OTHER):
        rate.admit(issuer)
    with pytest.raises(RateLimited):
        rate.admit(PS)
    clock.advance(timedelta(seconds=1))
    rate.admit(PS)
    with pytest.raises(RateLimited):
        rate.admit(PS)


# The file


def test_a_file_survives_a_restart_and_is_for_its_owner_only(clock: FixedClock, tmp_path: Path) -> None:
    path = tmp_path / "state" / "r.db"
    FileRevocations(path, clock=clock).record(PS, "a", EXP)
    again = FileRevocations(path, clock=clock)
    assert again.is_revoked(PS, "a")
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


def test_another_process_is_seen_at_the_next_look(clock: FixedClock, tmp_path: Path) -> None:
    told: list[str] = []
    mine = FileRevocations(
        tmp_path / "r.db", clock=clock, look_every=timedelta(0), on_record=lambda _issuer, jti: told.append(jti)
    )
    assert not mine.is_revoked(PS, "a")
    FileRevocations(tmp_path / "r.db", clock=clock).record(PS, "a", EXP)
    assert mine.is_revoked(PS, "a")
    assert told == ["a"]


def _record_and_die(path: Path) -> None:
    FileRevocations(path, clock=FixedClock(NOW)).record(PS, "killed", EXP)
    os.kill(os.getpid(), signal.SIGKILL)


def test_within_a_second_whatever_happens_to_the_one_who_recorded_it(clock: FixedClock, tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    mine = FileRevocations(path, clock=clock)
    other = multiprocessing.get_context("spawn").Process(target=_record_and_die, args=(path,))
    other.start()
    other.join()
    assert other.exitcode == -signal.SIGKILL
    deadline = time.monotonic() + 1
    while not mine.is_revoked(PS, "killed") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert mine.is_revoked(PS, "killed")


def test_what_expired_leaves_the_memory_too(clock: FixedClock, tmp_path: Path) -> None:
    kept = FileRevocations(tmp_path / "r.db", clock=clock, look_every=timedelta(0))
    kept.record(PS, "a", EXP)
    clock.advance(timedelta(seconds=661))
    assert not kept.is_revoked(PS, "a")


def test_a_file_that_cannot_be_read_refuses_instead_of_letting_in(clock: FixedClock, tmp_path: Path) -> None:
    kept = FileRevocations(tmp_path / "r.db", clock=clock, look_every=timedelta(0))
    kept.close()
    with pytest.raises(Unavailable):
        kept.is_revoked(PS, "a")
    with pytest.raises(Unavailable):
        kept.record(PS, "a", EXP)


def test_a_path_that_cannot_be_is_told_at_start(tmp_path: Path) -> None:
    (tmp_path / "r.db").mkdir()
    with pytest.raises(ConfigurationError):
        FileRevocations(tmp_path / "r.db")
