"""Pages of other sites in a person's browser: they read nothing here, and hold no stream."""

from __future__ import annotations

import pytest

from tests.person_server.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.attack]
ELSEWHERE = "https://evil.example"


@pytest.mark.parametrize("path", ["/person/events", "/person/waiting", "/person/me", "/ui/", "/openapi.json"])
async def test_no_other_origin_is_let_read(world: World, path: str) -> None:
    person = await world.person()
    for site in ("cross-site", "same-site", "same-origin"):
        headers = {"Origin": ELSEWHERE, "Sec-Fetch-Site": site, "Sec-Fetch-Mode": "cors"}
        if path == "/person/events" and site == "same-origin":
            continue  # its stream does not end
        answer = await person.client.get(path, headers=headers)
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    asks = {"Origin": ELSEWHERE, "Access-Control-Request-Method": "GET"}
    before = await person.client.options(path, headers=asks)
    assert (before.status_code, "access-control-allow-origin" in before.headers) == (405, False)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything else"])
async def test_a_page_of_another_origin_opens_no_stream(world: World, site: str) -> None:
    """A page beside ours (`same-site`) is sent with the cookie; it would hold the streams of the person."""
    person = await world.person()
    refused = await person.client.get("/person/events", headers={"Sec-Fetch-Site": site})
    assert (refused.status_code, refused.json()["error"]) == (403, "authorization_denied")


async def test_nobody_signed_in_is_told_nothing_wherever_they_come_from(world: World) -> None:
    for site in ("cross-site", "same-origin"):
        answer = await world.browser().get("/person/events", headers={"Sec-Fetch-Site": site})
        assert (answer.status_code, answer.content) == (204, b"")
