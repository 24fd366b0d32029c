"""What a test of this suite shows, said in a mark, so that docs/interop.md can be drawn from the tests."""

from __future__ import annotations

from enum import StrEnum

import pytest


class Way(StrEnum):
    """Who makes, and who judges."""

    FROM_PEER = "it makes, we judge"
    TO_PEER = "we make, it judges"


def speaks(way: Way, what: str) -> pytest.MarkDecorator:
    """It is understood as it is meant."""
    return pytest.mark.interop(way=way, what=what, outcome="yes", fault="")


def refused(way: Way, what: str, *, fault: str) -> pytest.MarkDecorator:
    """Something good is not understood; ``fault`` says whose fault that is, and by which text."""
    return pytest.mark.interop(way=way, what=what, outcome="no", fault=fault)


def caught(way: Way, what: str) -> pytest.MarkDecorator:
    """Something bad is refused, as it should be."""
    return pytest.mark.interop(way=way, what=what, outcome="refused", fault="")


def differs(way: Way, what: str, *, fault: str) -> pytest.MarkDecorator:
    """Something bad is refused, with a code the text does not have for it; ``fault`` says by whom."""
    return pytest.mark.interop(way=way, what=what, outcome="refused, other code", fault=fault)


def missed(way: Way, what: str, *, fault: str) -> pytest.MarkDecorator:
    """Something bad is let through; ``fault`` says by whom, and against which text."""
    return pytest.mark.interop(way=way, what=what, outcome="let through", fault=fault)


IT_MAKES, WE_MAKE = Way.FROM_PEER, Way.TO_PEER
