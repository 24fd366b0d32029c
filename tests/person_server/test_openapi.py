"""`/openapi.json`: the whole JSON interface is described, and the description is well-formed.

That answers are as described is checked in every test of this folder (`described.py`); that requests are, in
`test_schemathesis.py`.
"""

from __future__ import annotations

from typing import Any

import pytest
from starlette.routing import BaseRoute, Route

from aauthkit.describing import operation_of
from tests.person_server.described import Description
from tests.person_server.world import World

pytestmark = pytest.mark.anyio


async def document_of(world: World) -> dict[str, Any]:
    response = await world.client.get("/openapi.json")
    assert response.status_code == 200
    found: dict[str, Any] = response.json()
    return found


def _is_for_programs(route: BaseRoute) -> bool:
    """Pages, their forms and their files are for people."""
    return isinstance(route, Route) and route.path != "/" and not route.path.startswith("/ui")


async def test_every_address_for_programs_is_described(world: World) -> None:
    """What is missing here gets `@describes(…)` on its function; person_server/web/person.py has many examples."""
    routes = [route for route in world.app._app.routes if _is_for_programs(route)]
    assert [route.path for route in routes if operation_of(route) is None] == []
    described = {(path, method) for path, methods in (await document_of(world))["paths"].items() for method in methods}
    assert len(described) == sum(len(route.methods - {"HEAD"}) for route in routes)


async def test_anybody_may_read_it_and_it_names_the_server(world: World) -> None:
    document = await document_of(world)
    assert document["openapi"] == "3.1.0"
    assert document["servers"] == [{"url": "http://127.0.0.1:8765"}]


async def test_it_says_how_a_browser_shows_who_its_person_is(world: World) -> None:
    document = await document_of(world)
    schemes = document["components"]["securitySchemes"]
    assert (schemes["session"]["in"], schemes["session"]["name"]) == ("cookie", "aauth_person")
    assert (schemes["page"]["in"], schemes["page"]["name"]) == ("header", "x-csrf-token")
    looking, changing = document["paths"]["/person/consents"], document["paths"]["/person/consents/{id}"]
    assert looking["get"]["security"] == [{"person": []}, {"session": []}]
    assert changing["delete"]["security"] == [{"person": []}, {"session": [], "page": []}]


@pytest.mark.attack
async def test_who_shows_nothing_is_asked_who_they_are_by_all_that_say_so(world: World) -> None:
    for path, methods in (await document_of(world))["paths"].items():
        for method, told in methods.items():
            if "security" in told:
                answer = await world.client.request(method, path.replace("{", "").replace("}", ""), json={})
                assert answer.status_code == (204 if path == "/person/events" else 401), (method, path)


async def test_other_methods_are_405_with_those_that_are_taken__9110_15_5_6(world: World) -> None:
    for path, methods in (await document_of(world))["paths"].items():
        taken = {method.upper() for method in methods} | ({"HEAD"} if "get" in methods else set())
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} - taken:
            answer = await world.client.request(method, path)
            assert answer.status_code == 405, (method, path)
            assert set(answer.headers["allow"].split(", ")) == taken, (method, path)
    pages = await world.client.request("PATCH", "/ui/passkeys")
    assert (pages.status_code, pages.headers["allow"]) == (405, "GET, HEAD, POST")


async def test_an_answer_that_is_not_described_is_noticed(world: World) -> None:
    description = Description(await document_of(world))
    member = await world.automation().get("/person/me")
    body = b'{"username":"a","email":null,"roles":[],"administrator":false,"password":"x"}'
    with pytest.raises(Exception, match="Additional properties"):
        description.check("GET", "/person/me", member, body)
    with pytest.raises(AssertionError, match="does not name"):
        description.check("GET", "/person/me", await world.client.get("/nothing"), b"{}")
