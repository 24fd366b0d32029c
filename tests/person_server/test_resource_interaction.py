"""Resource-initiated interaction (AAuth-11 §7.2.3): the resource's own page first, then consent, and errors mapped."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from tests.person_server.native import NativeResource
from tests.person_server.talking import TALKS, TalkingAgent, person_token, talking_agent
from tests.person_server.world import ISSUER, Person, World, code_of

pytestmark = pytest.mark.anyio

PAGE = "https://thirdparty.example/connect"
CODE = "K7PQ-M2X4"
CALLBACK = "http://localhost:3050/done?run=1"


async def asked(world: World, **claims: Any) -> tuple[TalkingAgent, Person, httpx2.Response]:
    """A request whose resource wants to see the person first."""
    agent, person = await talking_agent(world, callback_origins=["http://localhost:3050"]), await world.person()
    resource = NativeResource(world)
    shown = await person_token(agent, person, resource)
    interaction = {"interaction": {"url": PAGE, "code": CODE}} | claims
    token = resource.token(shown, **interaction)
    return agent, person, await agent.auth(token, shown, capabilities=TALKS)


async def sent(person: Person, pending: httpx2.Response, callback: str = CALLBACK) -> tuple[httpx2.Response, str]:
    """The interstitial page and the way back it gives to the resource."""
    page = await person.opened({"code": code_of(pending), "callback": callback})
    (there,) = re.findall(r'id="go" href="([^"]*)"', page.text)
    target = urlsplit(there.replace("&amp;", "&"))
    query = parse_qs(target.query)
    assert (f"{target.scheme}://{target.netloc}{target.path}", query["code"]) == (PAGE, [CODE])
    return page, query["callback"][0]


def led_to(page: httpx2.Response) -> str:
    found = re.search(r'http-equiv="refresh" content="\d; url=([^"]*)"', page.text)
    assert found is not None, page.text
    return found.group(1).replace("&amp;", "&")


async def test_the_resource_is_seen_before_consent_and_then_the_person_decides__7_2_3(world: World) -> None:
    agent, person, pending = await asked(world)
    page, back = await sent(person, pending)
    assert "The resource needs you first" in page.text
    assert 'id="approve"' not in page.text
    assert back.startswith(f"{ISSUER}/ui/returned/")
    assert urlsplit(back).query == ""
    returned = await person.client.get(back, follow_redirects=True)
    assert "Will you allow this?" in returned.text
    fields = dict(re.findall(r'name="(seen|csrf_token|callback)" value="([^"]*)"', returned.text))
    decided = await person.client.post(
        f"/ui/decide/{returned.url.path.rpartition('/')[2]}", data=fields | {"decision": "approve"}
    )
    assert led_to(decided) == CALLBACK
    assert (await agent.poll(pending.headers["location"])).status_code == 200


@pytest.mark.conformance("11:§7.2.3-6", "11:§7.3.1-2", "11:§7.3.1-3")
@pytest.mark.parametrize(
    ("error", "answer", "told"),
    [
        ("access_denied", (403, "denied"), "access_denied"),
        ("user_abandoned", (403, "abandoned"), "user_abandoned"),
        ("interaction_expired", (408, "expired"), "interaction_expired"),
        ("server_error", (500, "server_error"), "server_error"),
        ("temporarily_unavailable", (500, "server_error"), "server_error"),
        ("made_up", (500, "server_error"), "server_error"),
    ],
)
async def test_an_error_of_the_resource_ends_the_request_with_its_polling_error__7_3_1(
    world: World, error: str, answer: tuple[int, str], told: str
) -> None:
    agent, person, pending = await asked(world)
    _, back = await sent(person, pending)
    page = await person.client.get(f"{back}?error={error}")
    assert led_to(page) == f"{CALLBACK}&error={told}"
    polled = await agent.poll(pending.headers["location"])
    assert (polled.status_code, polled.json()["error"]) == answer
    # §7.3.1: after an error the request is not completable, not even by the same way back without one.
    assert "Will you allow this?" not in (await person.client.get(back, follow_redirects=True)).text


@pytest.mark.attack
async def test_consent_is_not_given_before_the_resource_was_seen(world: World) -> None:
    _, person, pending = await asked(world)
    _, back = await sent(person, pending)
    pending_id = back.split("/")[5]
    early = await person.decide(pending_id, True)
    assert (early.status_code, early.json()["error"]) == (409, "already_decided")
    assert (await person.decide(pending_id, False)).status_code == 200


@pytest.mark.attack
async def test_the_way_back_is_of_one_request_and_one_person(world: World) -> None:
    agent, person, pending = await asked(world)
    _, back = await sent(person, pending)
    parts = back.split("/")
    wrong = "/".join([*parts[:6], "0" * 64])
    assert (await person.client.get(wrong)).status_code == 404
    mallory = await world.person("mallory")
    assert (await mallory.client.get(f"{back}?error=access_denied")).status_code == 404
    assert (await world.browser().get(f"{back}?error=access_denied")).status_code == 303
    assert (await agent.poll(pending.headers["location"])).status_code == 202


@pytest.mark.attack
async def test_a_way_back_changed_to_lead_elsewhere_leads_nowhere(world: World) -> None:
    _, person, pending = await asked(world)
    _, back = await sent(person, pending, "http://evil.example/")
    page = await person.client.get(f"{back}/aHR0cDovL2V2aWwuZXhhbXBsZS8?error=access_denied")
    assert "evil.example" not in page.text
    assert 'http-equiv="refresh"' not in page.text


@pytest.mark.attack
@pytest.mark.conformance("11:§7.2.3-3", "11:§7.2.3-4", "11:§7.2.3-5")
@pytest.mark.parametrize(
    "url",
    [
        "http://thirdparty.example/connect",
        "https://10.0.0.1/connect",
        "https://[::1]:1/x?y=1",
        "https://thirdparty.example/connect?x=1",
        "javascript:alert(1)",
        "https://169.254.169.254/",
        None,
    ],
)
async def test_an_address_nobody_is_sent_to_spoils_the_resource_token__7_2_3(world: World, url: str | None) -> None:
    _, _, refused = await asked(world, interaction={"url": url, "code": CODE})
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_resource_token")
