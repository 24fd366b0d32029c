"""How long a token's time is waited for, on both edges (AAuth-11 §11.9.3)."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from aauthkit.agent.clocks import LONGEST_WAIT, WINDOW, seconds_to_wait
from aauthkit.agent.steps import Incoming
from aauthkit.errors import CannotSign

NOW = 1_795_300_000


def dated(at: float | str) -> Incoming:
    date = at if isinstance(at, str) else format_datetime(datetime.fromtimestamp(at, UTC), usegmt=True)
    return Incoming(status=401, url="https://r.example/", headers={"date": date})


@pytest.mark.parametrize(("ahead", "waits"), [(WINDOW + 1, 2), (WINDOW + LONGEST_WAIT, LONGEST_WAIT + 1)])
def test_a_token_whose_time_is_near_is_waited_for(ahead: int, waits: int) -> None:
    assert seconds_to_wait(dated(NOW), (NOW - 9, NOW + ahead), now=NOW) == waits


@pytest.mark.parametrize("ahead", [0, WINDOW, WINDOW + LONGEST_WAIT + 1, 10**9])
def test_a_token_that_is_not_early_or_far_too_early_is_told_in_words(ahead: int) -> None:
    with pytest.raises(CannotSign, match="future"):
        seconds_to_wait(dated(NOW), (NOW + ahead,), now=NOW)


@pytest.mark.parametrize(("ahead", "ours"), [(WINDOW, False), (WINDOW + 1, True)])
def test_a_clock_of_ours_that_is_ahead_is_told_apart(ahead: int, ours: bool) -> None:
    with pytest.raises(CannotSign) as raised:
        seconds_to_wait(dated(NOW - ahead), (NOW - ahead,), now=NOW)
    assert ("this machine" in raised.value.detail) is ours


@pytest.mark.parametrize("date", ["", "yesterday", "Thu, 99 Foo 2026 00:00:00 GMT", "\x00", "9" * 400])
def test_a_date_that_cannot_be_read_is_told_in_words(date: str) -> None:
    with pytest.raises(CannotSign, match="what time"):
        seconds_to_wait(dated(date), (NOW,), now=NOW)
