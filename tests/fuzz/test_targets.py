"""On any bytes only our error tree leaves, in answers that can be given, and what is read is written as it was read."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.changing import PIECES, changes
from tests.fuzz.target import Target, stored
from tests.fuzz.targets import TARGETS

HERE = Path(__file__).parent
EVERY_TARGET = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
# How many changed seeds a target is tried on: the slow ones on fewer.
MOST_CHANGES = {
    **dict.fromkeys(("agent-endpoint", "person-endpoint"), 60),
    **dict.fromkeys(("configuration", "signed-request"), 150),
    **dict.fromkeys(("request", "presented-key", "ext-authz", "http-check", "documents", "delegation"), 600),
    **dict.fromkeys(("agent-token", "person-token", "auth-token", "resource-token", "policy-rule"), 1000),
}
MOST_CHANGES_OF_OTHERS = 15_000


@st.composite
def changed(draw: st.DrawFn, target: Target) -> bytes:
    """A seed with some of it replaced, or bytes that have nothing to do with one."""
    seeds = target.seeds()
    if not seeds or draw(st.integers(0, 7)) == 0:
        return draw(st.binary(max_size=300))
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 3))):
        begin = draw(st.integers(0, len(data)))
        end = min(len(data), begin + draw(st.sampled_from([0, 0, 1, 2, 8, 40])))
        data = data[:begin] + draw(st.sampled_from(PIECES) | st.binary(max_size=4)) + data[end:]
    return data


@EVERY_TARGET
def test_the_seeds_of_a_target_are_read_or_refused(target: Target) -> None:
    for seed in target.seeds():
        target.run(seed)


@EVERY_TARGET
def test_a_target_survives_what_once_broke_it(target: Target) -> None:
    for data in stored("crashes.json", target.name):
        target.run(data)


@EVERY_TARGET
def test_a_target_reads_or_refuses_its_seeds_with_any_part_changed(target: Target) -> None:
    inputs = [data for seed in target.seeds() for data in changes(seed) if len(data) < 20_000]
    # The same ones each time, and not every second one: what is changed goes round and round.
    Random(0).shuffle(inputs)
    for data in inputs[: MOST_CHANGES.get(target.name, MOST_CHANGES_OF_OTHERS)]:
        target.run(data)


@EVERY_TARGET
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example])
@given(data=st.data())
def test_a_target_reads_or_refuses_whatever_becomes_of_its_seeds(target: Target, data: st.DataObject) -> None:
    target.run(data.draw(changed(target)))


@pytest.mark.parametrize("file", ["seeds.json", "crashes.json"])
def test_stored_inputs_name_their_target_and_their_origin(file: str) -> None:
    for entry in json.loads((HERE / file).read_text(encoding="utf-8")):
        assert entry.keys() == {"targets", "origin", "input"}
        assert set(entry["targets"].split()) <= TARGETS.keys()
        assert entry["origin"]


@EVERY_TARGET
def test_a_target_has_seeds(target: Target) -> None:
    assert target.seeds()
