"""What every server does before its own work: a body is read whole, within its limit, or not at all."""

from __future__ import annotations

import pytest
from starlette.types import Message, Receive

from aauthkit.errors import InvalidRequest, PayloadTooLarge
from aauthkit.serving import received_body

pytestmark = pytest.mark.anyio


def receiving(*events: Message) -> Receive:
    waiting = iter(events)

    async def receive() -> Message:
        return next(waiting)

    return receive


def part(body: bytes, *, more: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_the_parts_of_a_body_are_one() -> None:
    receive = receiving(part(b"ab", more=True), part(b"", more=True), part(b"cd", more=False))
    assert await received_body(receive, limit=4) == b"abcd"


async def test_a_body_that_breaks_off_is_no_shorter_body() -> None:
    receive = receiving(part(b"ab", more=True), {"type": "http.disconnect"})
    with pytest.raises(InvalidRequest, match="ended before its body did"):
        await received_body(receive, limit=4)


async def test_a_body_over_the_limit_is_not_read_to_its_end() -> None:
    # Whoever read on would run out of events.
    with pytest.raises(PayloadTooLarge):
        await received_body(receiving(part(b"abcde", more=True)), limit=4)
